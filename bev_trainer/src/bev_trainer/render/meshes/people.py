"""People on foot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_trainer.render.mesh import HIP_HEIGHT, SHOULDER_HEIGHT, Limb, Material
from bev_trainer.render.meshes.shapes import (
    Part,
    both_sides,
    circle,
    ellipsoid,
    loft,
    merge,
    tube,
)

# z, middle x, half depth (x), half width (y)
Slab = tuple[float, float, float, float]
# Materials of a head: bands from the chin up, faces from +x over +y (left).
Look = tuple[tuple[int, ...], ...]

_S, _H = Material.SKIN, Material.HAIR
BARE_HEAD: Look = (
    (_S,) * 8,
    (_S, _S, _H, _H, _H, _H, _S, _S),
    (_S, _H, _H, _H, _H, _H, _H, _S),
    (_H,) * 8,
)


@dataclass(frozen=True)
class Figure:
    """Proportions of a standing body, metres.

    Attributes:
        height: whole, hair included.
        head: height of the head.
        shoulder: half width of the shoulders, arms left out.
        girth: scale of torso and limbs.
        coat: height of a coat's hem; 0 for a jacket that ends at the hips.
    """

    height: float
    head: float
    shoulder: float
    girth: float
    coat: float = 0.0


ADULT = Figure(height=1.76, head=0.255, shoulder=0.215, girth=1.0)
ADULT_COAT = Figure(height=1.70, head=0.25, shoulder=0.225, girth=1.02, coat=0.60)
CHILD = Figure(height=1.28, head=0.240, shoulder=0.155, girth=0.74)


def walker(figure: Figure) -> Part:
    """Returns a standing body whose limbs are tagged."""
    h, g = figure.height, figure.girth
    hip, shoulder = HIP_HEIGHT * h, SHOULDER_HEIGHT * h
    chin = h - 0.98 * figure.head
    top = max(chin - 0.02 * h, shoulder)
    trunk = torso(_jacket(figure, hip, top), Material.CLOTH, lid=Material.CLOTH_DARK)
    path = ((0.0, 0.0, top - 0.03), (0.012, 0.0, chin + 0.05))
    neck = tube(path, 0.055 * g, 5, Material.SKIN, lids=False)
    skull = head(0.012, h - 0.5 * figure.head, figure.head)
    limbs = merge(_leg(figure, hip), _arm(figure, shoulder))
    return merge(trunk, neck, skull, both_sides(limbs))


def torso(slabs: Sequence[Slab], material: int, sides: int = 8, lid: int | None = None) -> Part:
    """Returns a body of oval cross-sections, bottom up; `lid` is the material of its lower end."""
    unit = circle(sides, 0.5)
    rings = np.empty((len(slabs), sides, 3))
    for ring, (z, x, depth, width) in zip(rings, slabs, strict=True):
        ring[:, 0], ring[:, 1], ring[:, 2] = x + depth * unit[:, 0], width * unit[:, 1], z
    return loft(rings, material, start=lid).smooth(62)


def head(x: float, z: float, size: float, look: Look = BARE_HEAD) -> Part:
    """Returns a head of height `size`, centre at (x, 0, z)."""
    return ellipsoid((x, 0.0, z), (0.42 * size, 0.36 * size, 0.5 * size), 8, 4, look)


def shoe(x: float, y: float, length: float, height: float) -> Part:
    """Returns a shoe without its sole, toe off the ground; (x, y) is below the ankle."""
    back, front, half = x - 0.34 * length, x + 0.66 * length, 0.19 * length
    lift = 0.022 * length / 0.25
    sections = (
        (back, 0.75 * half, 0.6 * lift, 0.85 * height),
        (x + 0.05 * length, half, 0.0, height),
        (front, 0.7 * half, 1.6 * lift, 0.45 * height),
    )
    rings = [
        [(u, y + w, low), (u, y + 0.8 * w, top), (u, y - 0.8 * w, top), (u, y - w, low)]
        for u, w, low, top in sections
    ]
    leather = Material.PLASTIC
    return loft(rings, leather, closed=False, start=leather, end=leather).smooth(30)


def _jacket(figure: Figure, hip: float, top: float) -> list[Slab]:
    g, s = figure.girth, figure.shoulder
    rows: list[Slab] = [
        (hip - 0.05 * g, 0.0, 0.115 * g, 0.170 * g),
        (hip + 0.12 * g, 0.0, 0.118 * g, 0.160 * g),
        (hip + 0.62 * (top - hip), 0.01, 0.135 * g, 0.195 * g),
        (top - 0.055 * g, 0.0, 0.112 * g, 0.93 * s),
        (top + 0.01 * g, 0.0, 0.060 * g, 0.080 * g),
    ]
    if figure.coat:
        rows[0] = (figure.coat, 0.0, 0.185 * g, 0.235 * g)
    return rows


def _leg(figure: Figure, hip: float) -> Part:
    g = figure.girth
    y, ankle = 0.088 * g, 0.065 * g
    joints = [(0.0, y, hip + 0.02), (0.006, y, 0.53 * hip), (-0.015 * g, y, ankle)]
    radii = [0.090 * g, 0.068 * g, 0.052 * g]
    trousers = tube(joints, radii, 6, Material.CLOTH_DARK, lids=False)
    return merge(trousers, shoe(0.0, y, 0.235 * g, 0.085 * g)).of_limb(Limb.LEFT_LEG)


def _arm(figure: Figure, shoulder: float) -> Part:
    g, y = figure.girth, figure.shoulder - 0.012
    upper = 0.170 * figure.height
    elbow, wrist = shoulder - upper, shoulder - 1.86 * upper
    joints = (
        (0.0, y - 0.015 * g, shoulder + 0.065 * g),
        (0.0, y, shoulder + 0.015 * g),
        (-0.012 * g, y + 0.035 * g, elbow),
        (0.045 * g, y + 0.045 * g, wrist),
        (0.062 * g, y + 0.038 * g, wrist - 0.10 * g),
    )
    radii = (0.020 * g, 0.060 * g, 0.048 * g, 0.038 * g, 0.022 * g)
    sleeve = (Material.CLOTH,) * 3
    return tube(joints, radii, 5, (*sleeve, Material.SKIN), lids=False).of_limb(Limb.LEFT_ARM)
