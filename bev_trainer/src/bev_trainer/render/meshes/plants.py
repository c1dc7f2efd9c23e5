"""Trees, bushes and hedges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bev_trainer.render.mesh import Material
from bev_trainer.render.meshes.shapes import Array, Part, circle, ellipsoid, loft, merge, tube


def _ruffled(part: Part, depth_m: float, seed: int) -> Part:
    """Returns the part with its corners pushed to and fro; corners at one place move as one."""
    points = part.corners.reshape(-1, 3)
    _, group = np.unique(np.round(points, 4), axis=0, return_inverse=True)
    group = group.reshape(-1)
    shifts = np.random.default_rng(seed).uniform(-1, 1, (group.max() + 1, 3)) * depth_m
    moved = (points + shifts[group]).reshape(-1, 3, 3)
    return Part(moved, part.normals, part.materials, part.limbs)


def tree_round() -> Part:
    """Returns a broad-leaved tree, 6 m wide and 8 m tall."""
    trunk = tube(((0, 0, 0), (0.06, 0.02, 3.6)), (0.22, 0.14), 6, Material.BARK, lids=False)
    boughs = [tube(((0.04, 0.0, 2.2), tip), (0.10, 0.05), 4, Material.BARK, lids=False)
              for tip in ((1.3, 0.5, 3.6), (-0.9, 1.0, 3.8), (-0.3, -1.2, 3.7))]  # fmt: skip
    blobs = (
        ((0.1, 0.0, 5.9), (1.9, 1.9, 2.0)),
        ((1.35, 0.55, 4.6), (1.5, 1.5, 1.45)),
        ((-0.85, 1.25, 4.7), (1.6, 1.5, 1.5)),
        ((-0.6, -1.25, 4.5), (1.7, 1.6, 1.5)),
    )
    crown = [
        _ruffled(ellipsoid(center, radii, 8, 5, Material.LEAVES), 0.22, 11 + i)
        for i, (center, radii) in enumerate(blobs)
    ]
    return merge(trunk, *boughs, *crown)


def tree_conifer() -> Part:
    """Returns a spruce, 4 m wide and 9 m tall."""
    trunk = tube(((0, 0, 0), (0, 0, 2.0)), (0.17, 0.14), 6, Material.BARK, lids=False)
    tiers = [
        _tier(radius, low, high, i)
        for i, (radius, low, high) in enumerate(
            (
                (2.1, 1.1, 4.0),
                (1.75, 2.6, 5.5),
                (1.35, 4.1, 6.9),
                (0.95, 5.6, 8.1),
                (0.55, 7.0, 9.0),
            )
        )
    ]
    return merge(trunk, *tiers)


def _tier(radius: float, low: float, high: float, turn: int) -> Part:
    """Returns a cone of drooping branches with a jagged rim."""
    sides = 12
    unit = circle(sides, 0.37 * turn)
    jag = np.where(np.arange(sides) % 2, 0.78, 1.0)[:, None]
    rim = np.column_stack((unit * radius * jag, low + 0.35 * (1.0 - jag[:, 0])))
    inner = np.column_stack(
        (unit * 0.25 * radius, np.full(sides, low + 0.45 * (high - low) * 0.6))
    )
    tip = np.tile((0.0, 0.0, high), (sides, 1))
    return loft((inner, rim, tip), Material.LEAVES).smooth(50)


def bush() -> Part:
    """Returns a bush of a few rounded clumps."""
    clumps = (((0.0, 0.05, 0.42), (0.66, 0.64, 0.66)), ((0.36, -0.24, 0.30), (0.44, 0.46, 0.44)),
              ((-0.38, -0.18, 0.32), (0.42, 0.44, 0.48)))  # fmt: skip
    whole = merge(*(_ruffled(ellipsoid(c, r, 7, 4, Material.LEAVES), 0.06, 31 + i)
                    for i, (c, r) in enumerate(clumps)))  # fmt: skip
    return replace(whole, corners=np.maximum(whole.corners, (-9.0, -9.0, 0.0)))


def hedge() -> Part:
    """Returns a stretch of trimmed hedge along x."""
    rings = np.array([_hedge_section(x, i) for i, x in enumerate(np.linspace(-2.0, 2.0, 7))])
    return loft(rings, Material.LEAVES, start=Material.LEAVES, end=Material.LEAVES).smooth(30)


def _hedge_section(x: float, index: int) -> Array:
    sway = 0.03 * np.cos(2.3 * index), 0.03 * np.sin(1.7 * index)
    half = 0.37 + sway[0]
    top = 1.17 + sway[1]
    profile = ((half - 0.03, 0.0), (half, 0.85 * top), (half - 0.12, top), (0.12 - half, top),
               (-half, 0.85 * top), (0.03 - half, 0.0))  # fmt: skip
    return np.array([(x, y, z) for y, z in profile])
