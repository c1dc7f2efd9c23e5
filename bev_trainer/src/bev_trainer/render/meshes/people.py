"""Bodies of people, walking and riding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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


def torso(slabs: Sequence[Slab], material: int, sides: int = 8) -> Part:
    """Returns a body of oval cross-sections, bottom up, with lids."""
    unit = circle(sides, 0.5)
    rings = np.empty((len(slabs), sides, 3))
    for ring, (z, x, depth, width) in zip(rings, slabs, strict=True):
        ring[:, 0], ring[:, 1], ring[:, 2] = x + depth * unit[:, 0], width * unit[:, 1], z
    return loft(rings, material, start=material, end=material).smooth(62)


def head(x: float, z: float, size: float, hair: int | None = Material.HAIR) -> Part:
    """Returns a head of height `size`, centre at (x, 0, z), with hair or without."""
    skull = ellipsoid((x, 0.0, z), (0.42 * size, 0.34 * size, 0.5 * size), 8, 4, Material.SKIN)
    if hair is None:
        return skull
    crop = ellipsoid((x, 0.0, z), (0.46 * size, 0.39 * size, 0.53 * size), 8, 2, hair, 0.55)
    nape = ellipsoid(
        (x - 0.10 * size, 0.0, z + 0.04 * size),
        (0.38 * size, 0.385 * size, 0.40 * size),
        7,
        3,
        hair,
    )
    return merge(skull, crop, nape)


def shoe(x: float, y: float, length: float, height: float, material: int) -> Part:
    """Returns a shoe, heel and toe a little off the ground; (x, y) is below the ankle."""
    back, front, half = x - 0.34 * length, x + 0.66 * length, 0.19 * length
    lift = 0.022 * length / 0.25
    sections = (
        (back, 0.75 * half, 0.6 * lift, 0.85 * height),
        (x + 0.05 * length, half, 0.0, height),
        (front, 0.7 * half, 1.6 * lift, 0.45 * height),
    )
    rings = [[(u, y + w, low), (u, y + 0.8 * w, top), (u, y - 0.8 * w, top), (u, y - w, low)]
             for u, w, low, top in sections]  # fmt: skip
    return loft(rings, material, start=material, end=material).smooth(30)


def limb(points: ArrayLike, radii: Sequence[float], material: int, sides: int = 6) -> Part:
    """Returns an arm or a leg along its joints, without lids."""
    path = np.asarray(points, dtype=np.float64)
    return merge(
        *(tube(path[i : i + 2], radii[i : i + 2], sides, material, lids=False)
          for i in range(len(path) - 1))
    )  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """Proportions of a standing body, metres.

    Attributes:
        height: whole, hair included.
        head: height of the head.
        shoulder: half width of the shoulders.
        girth: scale of torso and limbs.
        coat: hem height of a coat; 0 for a jacket that ends at the hips.
    """

    height: float
    head: float
    shoulder: float
    girth: float
    coat: float = 0.0


def walker(figure: Figure) -> Part:
    """Returns a standing body whose limbs are tagged."""
    h, g = figure.height, figure.girth
    chin = h - 1.02 * figure.head
    hip, shoulder = HIP_HEIGHT * h, SHOULDER_HEIGHT * h
    top = max(chin - 0.03 * h, shoulder)
    trunk = torso(_jacket(figure, hip, top), Material.CLOTH)
    neck = tube(((0.0, 0.0, top - 0.03), (0.012, 0.0, chin + 0.04)), 0.055 * g, 5, Material.SKIN,
                lids=False)  # fmt: skip
    skull = head(0.012, h - 0.525 * figure.head, figure.head)
    return merge(trunk, neck, skull, both_sides(merge(_leg(figure, hip), _arm(figure, shoulder))))


def _jacket(figure: Figure, hip: float, top: float) -> list[Slab]:
    g, s = figure.girth, figure.shoulder
    rows: list[Slab] = [
        (hip - 0.05 * g, 0.0, 0.115 * g, 0.165 * g),
        (hip + 0.10 * g, 0.0, 0.120 * g, 0.160 * g),
        (hip + 0.62 * (top - hip), 0.01, 0.135 * g, 0.190 * g),
        (top - 0.07 * g, 0.0, 0.115 * g, 0.92 * s),
        (top, 0.0, 0.065 * g, 0.085 * g),
    ]
    if figure.coat:
        rows[0] = (hip - 0.02 * g, 0.0, 0.130 * g, 0.180 * g)
        rows.insert(0, (figure.coat, 0.0, 0.165 * g, 0.215 * g))
    return rows


def _leg(figure: Figure, hip: float) -> Part:
    g = figure.girth
    y = 0.085 * g
    cloth = Material.CLOTH_DARK
    length = 0.235 * g
    ankle = 0.065 * g
    joints = ((0.0, y, hip + 0.02), (0.006, y, 0.53 * hip), (-0.015 * g, y, ankle))
    return merge(
        limb(joints, (0.088 * g, 0.068 * g, 0.052 * g), cloth),
        shoe(0.0, y, length, 0.085 * g, Material.PLASTIC),
    ).of_limb(Limb.LEFT_LEG)


def _arm(figure: Figure, shoulder: float) -> Part:
    g, y = figure.girth, figure.shoulder
    reach = 0.40 * figure.height / 1.76 * 0.75
    elbow = shoulder - reach
    joints = (
        (0.0, y, shoulder + 0.035 * g),
        (-0.012 * g, y + 0.03 * g, elbow),
        (0.045 * g, y + 0.035 * g, elbow - 0.86 * reach),
    )
    hand = tube((joints[2], (0.06 * g, y + 0.03 * g, elbow - 1.18 * reach)),
                (0.036 * g, 0.030 * g), 4, Material.SKIN)  # fmt: skip
    sleeve = limb(joints, (0.058 * g, 0.050 * g, 0.040 * g), Material.CLOTH, 5)
    return merge(sleeve, hand).of_limb(Limb.LEFT_ARM)


ADULT = Figure(height=1.76, head=0.245, shoulder=0.215, girth=1.0)
ADULT_COAT = Figure(height=1.70, head=0.24, shoulder=0.215, girth=1.02, coat=0.56)
CHILD = Figure(height=1.28, head=0.235, shoulder=0.155, girth=0.74)
