"""Wheels of cars, trucks and two-wheelers."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import Part, circle, disc, loft, merge, polygon


def car_wheel(
    x: float, y: float, radius: float, arch_radius: float, sides: int = 10, rim: float = 0.62
) -> Part:
    """Returns a wheel of the left side whose outer face lies at `y`, in its dark arch.

    The upper part of the tread is left out: it is inside the arch.
    """
    unit = circle(sides, 0.5)
    outer = np.stack((unit[:, 0] * radius, np.zeros(sides), radius + unit[:, 1] * radius), axis=1)
    inner = outer - (0.0, 0.24, 0.0)
    shown = [i for i in range(sides) if unit[i, 1] + unit[(i + 1) % sides, 1] < 0.9]
    tread = merge(
        *(
            loft(
                (outer[[(i + 1) % sides, i]], inner[[(i + 1) % sides, i]]),
                Material.RUBBER,
                closed=False,
            )
            for i in shown
        )
    )
    face = disc((0.0, 0.0, radius), radius, 'y', sides, Material.RUBBER)
    hub = disc((0.0, 0.004, radius), rim * radius, 'y', 8, Material.METAL)
    cap = disc((0.0, 0.008, radius), 0.2 * radius, 'y', 4, Material.PLASTIC)
    parts = [tread, face, hub, cap]
    if arch_radius > 0:
        angles = np.linspace(-0.15, np.pi + 0.15, 9)
        arch = np.zeros((9, 3))
        arch[:, 0], arch[:, 2] = -np.cos(angles) * arch_radius, np.sin(angles) * arch_radius
        parts.append(polygon(arch + (0.0, -0.006, radius), Material.PLASTIC))
    return merge(*parts).moved(x, y)


def ring_wheel(
    x: float, radius: float, tyre: float, sides: int = 12, material: int = Material.RUBBER
) -> Part:
    """Returns a tyre in the x-z plane at y = 0 that stands on the ground, see-through."""
    unit = circle(sides)
    rings = []
    for part, y in (
        (1.0, 0.0),
        (1.0 - tyre / radius, tyre * 0.45),
        (1.0 - tyre / radius, -tyre * 0.45),
    ):
        points = np.zeros((sides, 3))
        points[:, 0], points[:, 1] = unit[:, 0] * radius * part, y
        points[:, 2] = radius + unit[:, 1] * radius * part
        rings.append(points)
    return loft([*rings, rings[0]], material).smooth(35).moved(x)


def spokes(x: float, radius: float, count: int, thickness: float) -> Part:
    """Returns flat bars across a ring wheel, seen from both sides."""
    bars = []
    for angle in np.pi * np.arange(count) / count:
        along = np.array((np.cos(angle), 0.0, np.sin(angle))) * radius * 0.95
        across = np.array((-np.sin(angle), 0.0, np.cos(angle))) * thickness / 2
        middle = np.array((x, 0.0, radius))
        quad = np.array((-along - across, along - across, along + across, -along + across))
        bars.append(
            loft((quad[[0, 1]] + middle, quad[[3, 2]] + middle), Material.METAL, closed=False)
        )
        bars.append(
            loft((quad[[1, 0]] + middle, quad[[2, 3]] + middle), Material.METAL, closed=False)
        )
    return merge(*bars)
