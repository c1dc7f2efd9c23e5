"""Puts buildings, plants and street furniture beside the roads of a road map."""

from __future__ import annotations

import numpy as np

from bev_trainer.world.free_ground import FreeGround
from bev_trainer.world.frontage import frontages
from bev_trainer.world.road_map import RoadMap
from bev_trainer.world.scenery import Prop
from bev_trainer.world.scenery_buildings import place_background, place_buildings
from bev_trainer.world.scenery_furniture import (
    place_lamps,
    place_shelters,
    place_signals,
    place_signs,
    place_small_things,
)
from bev_trainer.world.scenery_greenery import (
    place_garden_borders,
    place_park_trees,
    place_street_trees,
)

MAX_PROPS = 600
PARK_TREES_PER_KM = 40.0
BACKGROUND_PER_KM = 10.0


def place_scenery(road_map: RoadMap, rng: np.random.Generator) -> tuple[Prop, ...]:
    """Returns what stands beside the roads.

    Traffic lights stand where the road map says. Everything else stands off the pavement;
    only the arms of lamps and the crowns of trees reach over sidewalks, above people's heads.
    Footprints of buildings keep at least two metres from pavement. What is left out first when
    there would be more than `MAX_PROPS` are plants and small things.

    Args:
        road_map: the roads.
        rng: decides everything; equal generators give equal scenery.
    """
    sides = frontages(road_map)
    ground = FreeGround(road_map)
    fixed = place_signals(road_map, ground)
    if not sides:
        return tuple(fixed)
    kilometres = sum(side.length_m for side in sides) / 1000
    fixed += place_shelters(sides, ground, rng)
    fixed += place_lamps(sides, ground, rng)
    fixed += place_signs(sides, road_map, ground, rng)
    buildings = place_buildings(sides, ground, rng)
    fixed += buildings
    fixed += place_background(sides, ground, rng, round(BACKGROUND_PER_KM * kilometres))
    loose = place_garden_borders(sides, buildings, ground, rng)
    loose += place_small_things(sides, ground, rng)
    loose += place_street_trees(sides, ground, rng)
    room = max(MAX_PROPS - len(fixed) - len(loose), 0)
    wanted = round(PARK_TREES_PER_KM * kilometres)
    loose += place_park_trees(sides, ground, rng, min(room, wanted))
    return tuple(fixed + _thinned(loose, MAX_PROPS - len(fixed), rng))


def _thinned(props: list[Prop], count: int, rng: np.random.Generator) -> list[Prop]:
    if len(props) <= count:
        return props
    kept = rng.choice(len(props), size=max(count, 0), replace=False)
    return [props[index] for index in np.sort(kept)]
