"""Street furniture: lamps, signals, signs, bollards, benches, bins, fences, shelters."""

from __future__ import annotations

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import (
    Array,
    Part,
    box,
    circle,
    decal,
    disc,
    loft,
    merge,
    polygon,
    tube,
)


def street_lamp() -> Part:
    """Returns a pole at the rear of the box with an arm that holds the lamp ahead."""
    pole_x, tip = -0.98, 1.10
    pole = tube(((pole_x, 0.0, 0.0), (pole_x, 0.0, 6.6)), (0.09, 0.055), 7, Material.POLE)
    foot = tube(((pole_x, 0.0, 0.0), (pole_x, 0.0, 0.9)), (0.12, 0.11), 7, Material.POLE)
    arm = [tube(pair, 0.045, 5, Material.POLE, lids=False) for pair in (
        ((pole_x, 0.0, 6.5), (pole_x + 0.35, 0.0, 6.86)),
        ((pole_x + 0.35, 0.0, 6.86), (0.60, 0.0, 6.93)),
    )]  # fmt: skip
    head = loft(
        (_rectangle(0.46, tip, 0.15, 6.86), _rectangle(0.46, tip, 0.15, 6.94),
         _rectangle(0.54, tip - 0.12, 0.07, 7.0)),
        Material.POLE, end=Material.POLE,
    )  # fmt: skip
    glass = polygon(_rectangle(0.46, tip, 0.15, 6.86)[::-1], Material.LAMP)
    return merge(pole, foot, *arm, head, glass)


def _rectangle(x0: float, x1: float, half: float, z: float) -> Array:
    return np.array([(x0, -half, z), (x1, -half, z), (x1, half, z), (x0, half, z)])


def signal() -> Part:
    """Returns a traffic light on its pole; red above yellow above green."""
    pole = tube(((0.0, 0.0, 0.0), (0.0, 0.0, 2.45)), 0.06, 7, Material.POLE, lids=False)
    foot = box((-0.13, -0.13, 0.0), (0.13, 0.13, 0.12), Material.POLE, 'z-')
    housing = box((-0.22, -0.15, 2.42), (0.04, 0.15, 3.37), Material.SIGN_BLACK)
    board = merge(
        polygon(_upright(0.045, 0.17, 2.38, 3.40), Material.SIGN_BLACK),
        polygon(_upright(0.035, 0.17, 2.38, 3.40)[::-1], Material.SIGN_BLACK),
    )
    lamps = []
    colors = (Material.LIGHT_GREEN, Material.LIGHT_YELLOW, Material.LIGHT_RED)
    for material, z in zip(colors, (2.57, 2.89, 3.21), strict=True):
        lamps += [disc((0.06, 0.0, z), 0.115, 'x', 10, material), _hood(z)]
    button = box((0.05, -0.05, 1.05), (0.13, 0.05, 1.25), Material.METAL, 'x-')
    return merge(pole, foot, housing, board, button, *lamps)


def _hood(z: float) -> Part:
    angles = np.linspace(-0.35, np.pi + 0.35, 6)
    back = np.stack((np.full(6, 0.045), np.cos(angles) * 0.13, z + np.sin(angles) * 0.13), axis=1)
    front = back * (1.0, 0.95, 1.0)
    front[:, 0] = 0.22
    return merge(loft((back, front), Material.SIGN_BLACK, closed=False),
                 loft((front, back), Material.SIGN_BLACK, closed=False))  # fmt: skip


def _upright(x: float, half: float, low: float, high: float, y: float = 0.0) -> Array:
    return np.array(
        [(x, y - half, low), (x, y + half, low), (x, y + half, high), (x, y - half, high)]
    )


def _sign_pole(top: float) -> Part:
    return tube(((0.0, 0.0, 0.0), (0.0, 0.0, top)), 0.034, 6, Material.POLE)


def _face(outline: Array, material: int) -> Part:
    """Returns a plate ahead of the pole with a grey back; outline [n, 2] of (y, z)."""
    front = np.column_stack((np.full(len(outline), 0.041), outline))
    back = np.column_stack((np.full(len(outline), 0.034), outline))[::-1]
    return merge(polygon(front, material), polygon(back, Material.POLE))


def _clamp(z: float) -> Part:
    return box((-0.045, -0.05, z), (0.036, 0.05, z + 0.05), Material.POLE, 'x+')


def sign_speed() -> Part:
    """Returns a speed limit: black marks on white in a red ring."""
    z, radius = 2.29, 0.31
    ring = circle(14) * radius + np.array((0.0, z))
    white = np.column_stack((np.full(14, 0.043), circle(14) * 0.75 * radius + (0.0, z)))
    digits = [decal(_upright(0.044, half, z + low, z + high, y), Material.SIGN_BLACK,
                    0.001) for y, half, low, high in (
        (-0.07, 0.055, 0.08, 0.12), (-0.07, 0.055, -0.02, 0.02), (-0.07, 0.055, -0.12, -0.08),
        (-0.035, 0.02, -0.12, 0.12), (0.03, 0.02, -0.12, 0.12), (0.115, 0.02, -0.12, 0.12),
        (0.07, 0.03, 0.08, 0.12), (0.07, 0.03, -0.12, -0.08),
    )]  # fmt: skip
    return merge(_sign_pole(2.58), _clamp(z), _face(ring, Material.SIGN_RED),
                 polygon(white, Material.SIGN_WHITE),
                 *digits)  # fmt: skip


def sign_yield() -> Part:
    """Returns a white triangle on its tip with a red rim."""
    top, low, half = 2.60, 1.90, 0.40
    outline = np.array([(0.0, low), (half, top), (-half, top)])
    inner = np.array([(0.0, low + 0.20), (0.61 * half, top - 0.085), (-0.61 * half, top - 0.085)])
    white = np.column_stack((np.full(3, 0.044), inner))
    return merge(_sign_pole(2.45), _clamp(2.40), _face(outline, Material.SIGN_RED),
                 polygon(white, Material.SIGN_WHITE))  # fmt: skip


def sign_stop() -> Part:
    """Returns a red octagon with a white rim and a white bar for the word."""
    z, radius = 2.22, 0.41
    outline = circle(8, 0.5) * radius + np.array((0.0, z))
    red = np.column_stack((np.full(8, 0.0435), circle(8, 0.5) * 0.91 * radius + (0.0, z)))
    bars = [polygon(_upright(0.045, 0.045, z - 0.09, z + 0.09, y),
                    Material.SIGN_WHITE) for y in (-0.24, -0.08, 0.08, 0.24)]  # fmt: skip
    return merge(_sign_pole(2.5), _clamp(z), _face(outline, Material.SIGN_WHITE),
                 polygon(red, Material.SIGN_RED), *bars)  # fmt: skip


def bollard() -> Part:
    """Returns a post with a light band."""
    post = tube(((0, 0, 0), (0, 0, 0.90)), 0.075, 8, Material.PLASTIC, lids=False)
    top = tube(((0, 0, 0.90), (0, 0, 0.95)), (0.09, 0.06), 8, Material.PLASTIC)
    band = tube(((0, 0, 0.70), (0, 0, 0.80)), 0.080, 8, Material.SIGN_WHITE, lids=False)
    return merge(post, top, band)


def bench() -> Part:
    """Returns a bench to sit on facing ahead."""
    slats = [box((x, -0.9, 0.42), (x + 0.13, 0.9, 0.46), Material.WOOD)
             for x in (-0.14, 0.02, 0.18)]  # fmt: skip
    back = [_leaning(z) for z in (0.56, 0.72)]
    legs = [merge(box((-0.20, y - 0.03, 0.0), (0.28, y + 0.03, 0.42), Material.PLASTIC, 'z-'),
                  tube(((-0.17, y, 0.40), (-0.27, y, 0.84)), 0.03, 4, Material.PLASTIC))
            for y in (-0.7, 0.7)]  # fmt: skip
    return merge(*slats, *back, *legs)


def _leaning(z: float) -> Part:
    x = -0.20 - 0.24 * (z - 0.46)
    ends = [[(x - 0.02, y, z), (x - 0.05, y, z + 0.13), (x - 0.01, y, z + 0.13), (x + 0.02, y, z)]
            for y in (-0.9, 0.9)]  # fmt: skip
    return loft(ends, Material.WOOD, start=Material.WOOD, end=Material.WOOD)


def bin_() -> Part:
    """Returns a litter bin."""
    drum = tube(((0, 0, 0), (0, 0, 0.82)), (0.19, 0.22), 9, Material.PLASTIC, lids=False)
    collar = tube(((0, 0, 0.80), (0, 0, 0.88)), 0.23, 9, Material.METAL, lids=False)
    lid = tube(((0, 0, 0.88), (0, 0, 1.0)), (0.23, 0.12), 9, Material.PLASTIC)
    return merge(drum, collar, lid)


def fence() -> Part:
    """Returns a stretch of wooden fence along x."""
    posts = [box((x - 0.05, -0.05, 0.0), (x + 0.05, 0.05, 1.10), Material.WOOD, 'z-')
             for x in (-1.45, 0.0, 1.45)]  # fmt: skip
    rails = [box((-1.5, -0.03, z), (1.5, 0.03, z + 0.16), Material.WOOD)
             for z in (0.18, 0.50, 0.82)]  # fmt: skip
    return merge(*posts, *rails)


def bus_shelter() -> Part:
    """Returns a glazed shelter, open ahead, with a bench and a roof."""
    roof = box((-0.75, -2.0, 2.38), (0.75, 2.0, 2.50), Material.METAL)
    posts = [box((x - 0.04, y - 0.04, 0.0), (x + 0.04, y + 0.04, 2.38), Material.PLASTIC, 'z-z+')
             for x in (-0.66, 0.40) for y in (-1.9, 1.9)]  # fmt: skip
    back = box((-0.67, -1.86, 0.25), (-0.64, 1.86, 2.25), Material.GLASS)
    ends = [box((-0.62, y - 0.015, 0.25), (0.36, y + 0.015, 2.25), material)
            for y, material in ((-1.9, Material.GLASS), (1.9, Material.SIGN_BLUE))]  # fmt: skip
    seat = box((-0.55, -1.3, 0.42), (-0.15, 1.3, 0.48), Material.WOOD)
    legs = [box((-0.40, y - 0.03, 0.0), (-0.30, y + 0.03, 0.42), Material.PLASTIC, 'z-z+')
            for y in (-1.0, 1.0)]  # fmt: skip
    return merge(roof, *posts, back, *ends, seat, *legs)
