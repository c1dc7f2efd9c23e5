"""Lamps, traffic lights, signs and furniture at the outer edge of the sidewalks."""

from __future__ import annotations

import numpy as np

from bev_trainer.world.catalogue import Rgb
from bev_trainer.world.free_ground import FreeGround, rectangle
from bev_trainer.world.frontage import Frontage
from bev_trainer.world.prop_sizes import PROP_SIZES_M
from bev_trainer.world.road_map import RoadMap
from bev_trainer.world.scenery import Prop

STEEL: Rgb = (0.33, 0.35, 0.36)
LAMP_POLE = 0.98 / 2.2  # from the middle of a lamp's box back to its pole, share of its length
LAMP_SPACING_M = 60.0  # on one side
NEAR_SIGNAL_M = 22.0
NEAR_JUNCTION_M = 30.0
ZONE_MPS = 8.5  # the sign shows 30 km/h


def place_signals(road_map: RoadMap, ground: FreeGround) -> list[Prop]:
    """Returns all traffic lights, in their order."""
    length, width, height = PROP_SIZES_M['signal']
    props = []
    for index, head in enumerate(road_map.signals):
        ground.take(rectangle(head.x_m, head.y_m, head.yaw_rad, length, width))
        props.append(Prop('signal', head.x_m, head.y_m, head.yaw_rad, length, width, height, STEEL,
                          signal=index))  # fmt: skip
    return props


def place_lamps(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator
) -> list[Prop]:
    """Returns street lamps; those of both sides of a street alternate."""
    _, width, _ = PROP_SIZES_M['street_lamp']
    props = []
    for side in sides:
        height = float(rng.uniform(6.0, 8.5))
        length = float(np.clip(side.pavement_m - 0.3, 1.2, 2.2))
        count = max(1, round(side.length_m / LAMP_SPACING_M))
        # A quarter of a spacing from the start: the other side, which runs back, has its lamps
        # half-way between these.
        for along in (np.arange(count) + 0.25) * side.length_m / count:
            base, run = side.place(float(along), 0.18)
            post = rectangle(base[0], base[1], run, 0.3, 0.3)
            if not ground.is_free(post, 0.0, 0.3):
                continue
            ground.take(post)
            yaw = side.outward_rad(run) + np.pi
            x, y = base + LAMP_POLE * length * np.array((np.cos(yaw), np.sin(yaw)))
            props.append(Prop('street_lamp', float(x), float(y), float(yaw), length, width, height,
                              STEEL, int(rng.integers(256))))  # fmt: skip
    return props


def place_signs(
    sides: tuple[Frontage, ...],
    road_map: RoadMap,
    ground: FreeGround,
    rng: np.random.Generator,
) -> list[Prop]:
    """Returns yield and stop signs at approaches without lights, and speed limits."""
    ends = np.array([side.place(side.length_m, 0.0)[0] for side in sides])
    lights = np.array([(head.x_m, head.y_m) for head in road_map.signals]).reshape(-1, 2)
    ranks = np.array([side.lanes * side.speed_mps for side in sides])
    props: list[Prop] = []
    for side, end, rank in zip(sides, ends, ranks, strict=True):
        lit = np.any(np.linalg.norm(lights - end, axis=1) < NEAR_SIGNAL_M)
        around = np.linalg.norm(ends - end, axis=1) < NEAR_JUNCTION_M
        if around.sum() > 2 and not lit and rank < ranks[around].max() - 1e-6:
            model = 'sign_stop' if rng.random() < 0.3 else 'sign_yield'
            props += _sign(model, side, side.length_m - 2.5, ground)
        if side.speed_mps <= ZONE_MPS and side.length_m > 40.0 and rng.random() < 0.5:
            props += _sign('sign_speed', side, float(rng.uniform(6.0, 12.0)), ground)
    return props


def _sign(model: str, side: Frontage, along_m: float, ground: FreeGround) -> list[Prop]:
    """Returns a sign that faces those who drive along, if there is room near the place."""
    length, width, height = PROP_SIZES_M[model]
    for back_m in (0.0, 1.5, 3.0, 5.0):
        (x, y), run = side.place(max(along_m - back_m, 0.5), 0.15 + width / 2)
        footprint = rectangle(x, y, run, length, width)
        if ground.is_free(footprint, 0.02, 0.3):
            ground.take(footprint)
            return [Prop(model, float(x), float(y), run + np.pi, length, width, height, STEEL)]
    return []


def place_shelters(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator
) -> list[Prop]:
    """Returns a few bus shelters behind the sidewalks of longer streets."""
    props: list[Prop] = []
    for side in sides:
        if side.length_m > 70.0 and rng.random() < 0.25:
            along = float(rng.uniform(0.3, 0.6)) * side.length_m
            props += _facing_road('bus_shelter', side, along, 0.05, ground)
    return props


def place_small_things(
    sides: tuple[Frontage, ...], ground: FreeGround, rng: np.random.Generator
) -> list[Prop]:
    """Returns benches, bins and rows of bollards just behind the sidewalks."""
    props: list[Prop] = []
    for side in sides:
        for along in np.arange(12.0, side.length_m - 12.0, 35.0):
            place, draw = float(along + rng.uniform(0.0, 20.0)), float(rng.random())
            if draw < 0.14:
                props += _facing_road('bench', side, place, 0.15, ground)
                props += _facing_road('bin', side, place + 1.5, 0.10, ground)
            elif draw < 0.22:
                props += _facing_road('bin', side, place, 0.10, ground)
        if rng.random() < 0.07:
            for k in range(4):
                props += _facing_road('bollard', side, 3.0 + 1.5 * k, 0.05, ground)
    return props


def _facing_road(
    model: str, side: Frontage, along_m: float, gap_m: float, ground: FreeGround
) -> list[Prop]:
    """Returns a thing of nominal size whose front is `gap_m` behind the pavement."""
    length, width, height = PROP_SIZES_M[model]
    if along_m > side.length_m - width / 2:
        return []
    (x, y), run = side.place(along_m, gap_m + length / 2)
    yaw = side.outward_rad(run) + np.pi
    footprint = rectangle(x, y, yaw, length, width)
    if not ground.is_free(footprint, 0.0, 0.2):
        return []
    ground.take(footprint)
    return [Prop(model, float(x), float(y), float(yaw), length, width, height, STEEL)]
