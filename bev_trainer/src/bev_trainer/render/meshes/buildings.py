"""Buildings; windows are drawn on their walls by the renderer."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import Array, Part, box, loft, merge, polygon


def _outline(length: float, width: float, z: float) -> Array:
    x, y = length / 2, width / 2
    return np.array([(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)])


def _block(length: float, width: float, low: float, high: float, parapet: float) -> Part:
    """Returns walls with a flat roof behind a parapet."""
    inset = 0.35
    rings = (
        _outline(length, width, low),
        _outline(length, width, high),
        _outline(length - 2 * inset, width - 2 * inset, high),
        _outline(length - 2 * inset, width - 2 * inset, high - parapet),
    )
    materials = [[Material.FACADE], [Material.ROOF], [Material.ROOF]]
    return loft(rings, materials, end=Material.ROOF)


def building_flat() -> Part:
    """Returns a block with a flat roof, 22 x 13 x 12 m with what stands on the roof."""
    return merge(
        _block(22.0, 13.0, 0.0, 11.2, 0.6),
        box((-6.5, -2.2, 10.6), (-2.5, 2.0, 12.0), Material.ROOF, 'z-'),
        box((4.0, 1.0, 10.6), (5.6, 2.4, 11.5), Material.METAL, 'z-'),
        box((7.0, -3.0, 10.6), (8.0, -2.0, 11.6), Material.METAL, 'z-'),
        _vent(1.0, -3.5, 10.6, 11.4),
    )


def _vent(x: float, y: float, low: float, high: float) -> Part:
    """Returns a small square vent on a roof."""
    return box((x - 0.3, y - 0.3, low), (x + 0.3, y + 0.3, high), Material.POLE, 'z-')


def building_gable() -> Part:
    """Returns a house with a pitched roof whose ridge runs along x, 11 x 9 x 9 m."""
    x, y, eaves, ridge = 5.2, 4.1, 5.4, 8.6
    walls = loft((_outline(2 * x, 2 * y, 0.0), _outline(2 * x, 2 * y, eaves)), Material.FACADE)
    gables = merge(
        polygon([(x, -y, eaves), (x, y, eaves), (x, 0.0, ridge)], Material.FACADE),
        polygon([(-x, y, eaves), (-x, -y, eaves), (-x, 0.0, ridge)], Material.FACADE),
    )
    chimney = box((1.8, 0.5, 7.0), (2.6, 1.2, 9.0), Material.ROOF, 'z-')
    dormer = _dormer(-1.6)
    return merge(walls, gables, _pitched_roof(eaves, ridge), chimney, dormer,
                 dormer.turned('z', np.pi).moved(x=-0.6))  # fmt: skip


def _pitched_roof(eaves: float, ridge: float) -> Part:
    """Returns a roof slab with overhang, closed below."""
    over_x, over_y, thick = 5.5, 4.5, 0.22
    slope = (ridge - eaves) / 4.1
    low = ridge - slope * over_y
    profile = [(over_y, low), (over_y, low + thick), (0.0, ridge + thick), (-over_y, low + thick),
               (-over_y, low), (0.0, ridge)]  # fmt: skip
    ends = [[(x, y, z) for y, z in profile] for x in (-over_x, over_x)]
    roof = loft(ends, Material.ROOF)
    lids = []
    for x, order in ((over_x, 1), (-over_x, -1)):
        for half in ((0, 1, 2, 5), (5, 2, 3, 4)):
            lids.append(polygon([(x, *profile[i]) for i in half][::order], Material.ROOF))
    return merge(roof, *lids)


def _dormer(x: float) -> Part:
    """Returns a dormer window on the left slope."""
    y, low, high, half = 3.3, 6.1, 7.4, 0.8
    edges = ((x - half, 0.8), (x + half, 0.8), (x + half, y), (x - half, y))
    under = [(u, v, high) for u, v in edges]
    over = [(u, v + 0.1 * (v == y), high + 0.15 - 0.05 * (v == y)) for u, v in edges]
    body = box((x - half, 1.2, low), (x + half, y, high), Material.CARGO, 'y-z-z+')
    pane = polygon([(x + 0.5, y + 0.01, low + 0.3), (x - 0.5, y + 0.01, low + 0.3),
                    (x - 0.5, y + 0.01, high - 0.1), (x + 0.5, y + 0.01, high - 0.1)],
                   Material.GLASS)  # fmt: skip
    roof = loft((under, over), Material.ROOF, end=Material.ROOF)
    return merge(body, pane, roof)


def building_tower() -> Part:
    """Returns a tower on a podium, its top stepped back, 24 x 20 x 42 m."""
    return merge(
        _block(24.0, 20.0, 0.0, 7.0, 0.6),
        _block(19.0, 15.5, 6.4, 35.0, 0.6).moved(x=-1.2),
        _block(14.5, 11.5, 34.4, 40.0, 0.5).moved(x=-1.2),
        box((-4.0, -2.5, 39.5), (1.0, 2.5, 42.0), Material.ROOF, 'z-'),
        box((2.5, -1.0, 39.5), (4.0, 1.0, 41.0), Material.METAL, 'z-'),
    )
