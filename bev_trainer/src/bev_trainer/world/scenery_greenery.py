"""Trees in rows and in gaps, hedges and fences before gardens, bushes."""

from __future__ import annotations

import numpy as np
from shapely.geometry import Point

from bev_trainer.world.catalogue import Rgb
from bev_trainer.world.free_ground import FreeGround, rectangle
from bev_trainer.world.frontage import Frontage
from bev_trainer.world.scenery import Prop

LEAVES: tuple[Rgb, ...] = (
    (0.075, 0.150, 0.040), (0.095, 0.180, 0.045), (0.060, 0.125, 0.045), (0.130, 0.185, 0.050),
    (0.110, 0.140, 0.040),
)  # fmt: skip
NEEDLES: tuple[Rgb, ...] = ((0.035, 0.085, 0.045), (0.045, 0.100, 0.040))
WOOD: Rgb = (0.25, 0.16, 0.09)


def place_street_trees(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator
) -> list[Prop]:
    """Returns rows of trees close behind the sidewalks of some streets."""
    props: list[Prop] = []
    for side in sides:
        if rng.random() < 0.5:
            continue
        spacing, kind = float(rng.uniform(10.0, 16.0)), float(rng.random())
        for along in np.arange(5.0, side.length_m - 5.0, spacing):
            size = float(rng.uniform(0.85, 1.1))
            model = 'tree_conifer' if kind < 0.08 else 'tree_round'
            for off, width in ((1.2, 4.6), (0.9, 3.4), (0.8, 2.7)):
                place, _ = side.place(float(along), off)
                height = (2.0 + 1.1 * width) * size
                tree = _tree(model, place, width * size, height, 0.3, ground, rng)
                if tree is not None:
                    props.append(tree)
                    break
    return props


def place_park_trees(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator, count: int
) -> list[Prop]:
    """Returns trees and bushes in gardens, yards and gaps between buildings."""
    props: list[Prop] = []
    lengths = np.array([side.length_m for side in sides])
    for _ in range(count * 5):
        if len(props) >= count:
            break
        side = sides[int(rng.choice(len(sides), p=lengths / lengths.sum()))]
        off = 2.5 + float(rng.gamma(1.6, 7.0))
        place, _ = side.place(float(rng.uniform(0.0, side.length_m)), min(off, 60.0))
        draw = float(rng.random())
        if draw < 0.18:
            width = float(rng.uniform(1.0, 2.2))
            tree = _tree('bush', place, width, 0.7 * width, 0.3, ground, rng)
        elif draw < 0.40:
            width = float(rng.uniform(3.2, 4.8))
            height = width * float(rng.uniform(1.9, 2.5))
            tree = _tree('tree_conifer', place, width, height, 1.0, ground, rng)
        else:
            width = float(rng.uniform(4.5, 8.0))
            height = width * float(rng.uniform(1.1, 1.45))
            tree = _tree('tree_round', place, width, height, 1.0, ground, rng)
        props += [] if tree is None else [tree]
    return props


def _tree(
    model: str,
    place: np.ndarray,
    width: float,
    height: float,
    paved_gap_m: float,
    ground: FreeGround,
    rng: np.random.Generator,
) -> Prop | None:
    """Returns a plant where its crown has room; over pavement a crown of a tree may reach."""
    x, y = place
    yaw = float(rng.uniform(-np.pi, np.pi))
    core = width if model == 'bush' else 0.8 * width
    crown = rectangle(x, y, yaw, core, core)
    stem = rectangle(x, y, 0.0, 0.6, 0.6)
    grounded = crown if model == 'bush' else stem
    if not ground.is_off_pavement(grounded, paved_gap_m) or not ground.is_untaken(crown, 0.2):
        return None
    ground.take(crown)
    palette = NEEDLES if model == 'tree_conifer' else LEAVES
    color = palette[int(rng.integers(len(palette)))]
    return Prop(model, float(x), float(y), yaw, width, width, height, color,
                int(rng.integers(256)))  # fmt: skip


def place_garden_borders(
    sides: tuple[Frontage, ...],
    houses: list[Prop],
    ground: FreeGround,
    rng: np.random.Generator,
) -> list[Prop]:
    """Returns hedges and fences between the sidewalk and houses, with a gap for the door."""
    props: list[Prop] = []
    for house in houses:
        if house.model != 'building_gable' or rng.random() < 0.65:
            continue
        side, along = _nearest(sides, house)
        hedge = bool(rng.random() < 0.55)
        model, width = ('hedge', 0.8) if hedge else ('fence', 0.10)
        half = 0.5 * max(house.length_m, house.width_m) + 0.8
        height = float(rng.uniform(0.9, 1.5) if hedge else rng.uniform(0.9, 1.2))
        color = LEAVES[int(rng.integers(len(LEAVES)))] if hedge else WOOD
        for sign in (-1.0, 1.0):
            length = half - 0.9
            place = along + sign * (0.9 + length / 2)
            if not length / 2 < place < side.length_m - length / 2:
                continue
            (x, y), run = side.place(place, 0.7)
            footprint = rectangle(x, y, run, length, width)
            if not ground.is_free(footprint, 0.1, 0.1):
                continue
            ground.take(footprint)
            props.append(Prop(model, float(x), float(y), run, length, width, height, color,
                              int(rng.integers(256))))  # fmt: skip
    return props


def _nearest(sides: tuple[Frontage, ...], house: Prop) -> tuple[Frontage, float]:
    point = Point(house.x_m, house.y_m)
    side = min(sides, key=lambda item: item.border.distance(point))
    return side, float(side.border.project(point))
