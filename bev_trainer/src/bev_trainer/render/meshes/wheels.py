"""Wheels of cars, trucks and two-wheelers."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import Array, Part, circle, disc, loft, merge, polygon


def car_wheel(
    x: float, y: float, radius: float, arch_radius: float, sides: int = 10, rim: float = 0.62
) -> Part:
    """Returns a wheel of the left side whose outer face lies at `y`, in its dark arch.

    The upper part of the tread is left out where there is an arch. A radius of 0 is no arch.
    """
    unit = circle(sides, 0.5)
    outer = np.stack((unit[:, 0] * radius, np.zeros(sides), radius + unit[:, 1] * radius), axis=1)
    inner = outer - (0.0, 0.24, 0.0)
    hidden = 0.45 if arch_radius > 0 else 2.0
    shown = [i for i in range(sides) if (unit[i, 1] + unit[(i + 1) % sides, 1]) / 2 < hidden]
    strips = [
        loft((outer[[i, (i + 1) % sides]], inner[[i, (i + 1) % sides]]), Material.RUBBER, False)
        for i in shown
    ]
    tread = merge(*strips)
    face = disc((0.0, 0.0, radius), radius, 'y', sides, Material.RUBBER)
    hub = disc((0.0, 0.004, radius), rim * radius, 'y', 8, Material.METAL)
    cap = disc((0.0, 0.008, radius), 0.2 * radius, 'y', 4, Material.PLASTIC)
    parts = [tread, face, hub, cap]
    if arch_radius > 0:
        angles = np.linspace(-0.15, np.pi + 0.15, 9)
        arch = np.full((9, 3), -0.006)
        arch[:, 0] = -np.cos(angles) * arch_radius
        arch[:, 2] = radius + np.sin(angles) * arch_radius
        parts.append(polygon(arch, Material.PLASTIC))
    return merge(*parts).moved(x, y)


def ring_wheel(
    x: float, radius: float, tyre: float, sides: int = 12, material: int = Material.RUBBER
) -> Part:
    """Returns a see-through tyre in the x-z plane at y = 0 that stands on the ground.

    What it shows towards its hub is left out.
    """
    outer, left, right = (_hoop(sides, radius, part, y) for part, y in _tyre(radius, tyre))
    return loft((left, outer, right), material).smooth(35).moved(x)


def solid_wheel(x: float, radius: float, tyre: float, sides: int = 9) -> Part:
    """Returns a tyre in the x-z plane at y = 0, with a disc for spokes and brakes."""
    outer, left, right = (_hoop(sides, radius, part, y) for part, y in _tyre(radius, tyre))
    skin = loft((left, outer, right), Material.RUBBER).smooth(35)
    hub = polygon(left[::-1] - (0.0, 0.01, 0.0), Material.METAL)
    return merge(skin, hub, hub.mirrored()).moved(x)


def _tyre(radius: float, tyre: float) -> tuple[tuple[float, float], ...]:
    """Returns the corners of the cross-section: share of the radius, and y."""
    inner = 1.0 - tyre / radius
    return (1.0, 0.0), (inner, tyre * 0.45), (inner, -tyre * 0.45)


def _hoop(sides: int, radius: float, part: float, y: float) -> Array:
    unit = circle(sides)
    ring = np.full((sides, 3), y)
    ring[:, 0], ring[:, 2] = unit[:, 0] * radius * part, radius + unit[:, 1] * radius * part
    return ring


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
