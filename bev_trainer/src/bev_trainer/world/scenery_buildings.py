"""Buildings along the streets: houses at the rim, blocks and towers in the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bev_trainer.world.catalogue import Rgb
from bev_trainer.world.free_ground import FreeGround, rectangle
from bev_trainer.world.frontage import Frontage
from bev_trainer.world.scenery import Prop

PAVED_GAP_M = 2.1
PLASTER: tuple[Rgb, ...] = (
    (0.62, 0.56, 0.46), (0.70, 0.66, 0.58), (0.55, 0.42, 0.30), (0.42, 0.20, 0.14),
    (0.48, 0.50, 0.50), (0.66, 0.52, 0.34), (0.36, 0.38, 0.40), (0.58, 0.60, 0.54),
    (0.50, 0.28, 0.20), (0.74, 0.72, 0.68),
)  # fmt: skip
CONCRETE: tuple[Rgb, ...] = (
    (0.45, 0.46, 0.47), (0.32, 0.35, 0.38), (0.56, 0.54, 0.50), (0.24, 0.28, 0.33),
    (0.60, 0.60, 0.60),
)  # fmt: skip


@dataclass(frozen=True)
class Lot:
    """What is to be built next on a frontage.

    Attributes:
        model: of the building.
        length_m: along the street.
        depth_m: away from it.
        height_m: up.
        setback_m: from the pavement to the wall.
        gap_m: to the next lot.
        crosswise: whether its own x points away from the street.
    """

    model: str
    length_m: float
    depth_m: float
    height_m: float
    setback_m: float
    gap_m: float
    crosswise: bool


def place_buildings(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator
) -> list[Prop]:
    """Returns buildings on all frontages; takes their ground."""
    middles = np.array([side.place(side.length_m / 2, 0.0)[0] for side in sides])
    center = middles.mean(axis=0)
    reach = max(float(np.linalg.norm(middles - center, axis=1).max()), 60.0)
    props: list[Prop] = []
    for side, middle in zip(sides, middles, strict=True):
        density = 1.0 - float(np.linalg.norm(middle - center)) / reach + rng.normal(0.0, 0.22)
        props += _along(side, density, ground, rng)
    return props


def _along(
    side: Frontage, density: float, ground: FreeGround, rng: np.random.Generator
) -> list[Prop]:
    props: list[Prop] = []
    at_m = float(rng.uniform(0.0, 3.0))
    setback_m = _setback(density, rng)
    while at_m < side.length_m:
        lot = _lot(density, setback_m, rng)
        if rng.random() < (0.10 if density > 0.3 else 0.18):
            at_m += lot.length_m  # a gap: a park, a yard
            continue
        prop = _built(side, at_m + lot.length_m / 2, lot, ground, rng)
        if prop is None:
            at_m += 2.5
            continue
        props.append(prop)
        at_m += lot.length_m + lot.gap_m
    return props


def _setback(density: float, rng: np.random.Generator) -> float:
    """Returns the building line of a frontage: close, or behind a row of trees or gardens."""
    if density < 0.35:
        return float(rng.uniform(4.5, 8.0))
    return float(rng.choice((2.4, 3.6, 4.8, 6.5)))


def _lot(density: float, setback_m: float, rng: np.random.Generator) -> Lot:
    if density > 0.55 and rng.random() < 0.14:
        height = float(rng.uniform(28.0, 55.0))
        return Lot('building_tower', float(rng.uniform(17, 27)), float(rng.uniform(16, 22)),
                   height, setback_m + 2.0, float(rng.uniform(4, 10)), False)  # fmt: skip
    if density > 0.35 + rng.normal(0.0, 0.08):
        storeys = int(rng.integers(3, 7))
        gap = 0.6 if rng.random() < 0.45 else float(rng.uniform(3.0, 9.0))
        return Lot('building_flat', float(rng.uniform(15, 40)), float(rng.uniform(11, 15)),
                   3.1 * storeys + 1.0, setback_m, gap, False)  # fmt: skip
    setback_m += float(rng.uniform(0.0, 1.5))
    gap = float(rng.uniform(3.0, 10.0))
    if rng.random() < 0.15:
        return Lot('building_flat', float(rng.uniform(9, 14)), float(rng.uniform(9, 12)),
                   float(rng.uniform(6.0, 7.5)), setback_m, gap, False)  # fmt: skip
    return Lot('building_gable', float(rng.uniform(8, 14)), float(rng.uniform(8, 11)),
               float(rng.uniform(7.5, 11.0)), setback_m, gap,
               bool(rng.random() < 0.35))  # fmt: skip


def _built(
    side: Frontage, along_m: float, lot: Lot, ground: FreeGround, rng: np.random.Generator
) -> Prop | None:
    """Returns the building of a lot, set back further if it must; None where none fits."""
    for further_m in (0.0, 1.5, 3.5):
        if along_m > side.length_m:
            break
        off = lot.setback_m + further_m + lot.depth_m / 2
        (x, y), run = side.place(along_m, off)
        footprint = rectangle(x, y, run, lot.length_m, lot.depth_m)
        if not ground.is_free(footprint, PAVED_GAP_M, 0.5):
            continue
        ground.take(footprint)
        yaw = run + np.pi / 2 if lot.crosswise else run
        length, width = (
            (lot.depth_m, lot.length_m) if lot.crosswise else (lot.length_m, lot.depth_m)
        )
        palette = CONCRETE if lot.model == 'building_tower' else PLASTER
        color = palette[int(rng.integers(len(palette)))]
        return Prop(lot.model, float(x), float(y), float(yaw), length, width, lot.height_m, color,
                    int(rng.integers(256)))  # fmt: skip
    return None


def place_background(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator, count: int
) -> list[Prop]:
    """Returns buildings of a second row, which close the view between those of the first."""
    props: list[Prop] = []
    lengths = np.array([side.length_m for side in sides])
    for _ in range(count * 6):
        if len(props) == count:
            break
        side = sides[int(rng.choice(len(sides), p=lengths / lengths.sum()))]
        length, depth = float(rng.uniform(14, 30)), float(rng.uniform(11, 16))
        off = float(rng.uniform(20.0, 38.0)) + depth / 2
        (x, y), run = side.place(float(rng.uniform(0.0, side.length_m)), off)
        footprint = rectangle(x, y, run, length, depth)
        if not ground.is_free(footprint, 14.0, 4.0):
            continue
        ground.take(footprint)
        color = PLASTER[int(rng.integers(len(PLASTER)))]
        height = 3.1 * int(rng.integers(3, 9)) + 1.0
        props.append(Prop('building_flat', float(x), float(y), run, length, depth, height, color,
                          int(rng.integers(256))))  # fmt: skip
    return props
