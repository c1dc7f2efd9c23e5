"""Tall bodies of vans, trucks and buses, and the panes and lamps laid on them."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import Array, Part, both_sides, decal, loft

# x, half width, bottom, top of a cross-section, and whether glass leads on to the next one.
Slice = tuple[float, float, float, float, bool]


def tall_body(slices: tuple[Slice, ...], roof_round_m: float = 0.10, lid: bool = True) -> Part:
    """Returns a tall body lofted along x, from the rear."""
    rings = np.array([_section(x, w, low, top, roof_round_m) for x, w, low, top, _ in slices])
    materials = np.full((len(slices) - 1, rings.shape[1]), Material.PAINT)
    materials[:, -1] = Material.PLASTIC
    materials[[row[4] for row in slices[:-1]], 3] = Material.GLASS
    end = Material.PAINT if lid else None
    return loft(rings, materials, start=end, end=end).smooth(38)


def _section(x: float, half: float, bottom: float, top: float, corner: float) -> Array:
    left = [(half, bottom), (half, bottom + 0.5 * (top - bottom)), (0.98 * half, top - corner),
            (0.98 * half - 0.9 * corner, top)]  # fmt: skip
    right = [(-y, z) for y, z in left]
    return np.array([(x, y, z) for y, z in [*left, *right[::-1]]])


def side_panel(
    x: tuple[float, float], y: float, z: tuple[float, float], material: int, lean_m: float = 0.0
) -> Part:
    """Returns a rectangle on the left side; its upper edge leans in by `lean_m`."""
    (x0, x1), (z0, z1) = x, z
    points = [(x1, y, z0), (x0, y, z0), (x0, y - lean_m, z1), (x1, y - lean_m, z1)]
    return decal(points, material, 0.008)


def end_panel(
    x: float, y: tuple[float, float], z: tuple[float, float], material: int, ahead: int,
    lean_m: float = 0.0,
) -> Part:  # fmt: skip
    """Returns a rectangle on the front (ahead = 1) or the rear (-1)."""
    (y0, y1), (z0, z1) = y, z
    top = x - ahead * lean_m
    points = [(x, y0, z0), (x, y1, z0), (top, y1, z1), (top, y0, z1)]
    return decal(points[::ahead], material, 0.008)


def lamps(x: float, y: tuple[float, float], z: tuple[float, float], front: bool) -> Part:
    """Returns a pair of head or tail lights."""
    material = Material.HEADLIGHT if front else Material.TAILLIGHT
    return both_sides(end_panel(x, y, z, material, 1 if front else -1))


def plate(x: float, z: float, ahead: int) -> Part:
    """Returns a number plate."""
    return end_panel(x + 0.004 * ahead, (-0.26, 0.26), (z, z + 0.11), Material.PLATE, ahead)
