"""Finds road users who leave the ground that is theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import contains_xy, distance, points, prepare
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.road_map import RoadMap
from bev_trainer.world.tracks import Track

STRAY_M = 0.5


@dataclass(frozen=True, eq=False)
class RightfulGround:
    """Where the middles of vehicles and of pedestrians belong."""

    drivable: MultiPolygon
    walkable: BaseGeometry

    @classmethod
    def of(cls, road_map: RoadMap) -> RightfulGround:
        """Returns the ground of a road map: people walk on sidewalks and crossings."""
        walkable = unary_union([road_map.sidewalk, road_map.crossing])
        prepare(road_map.drivable)
        prepare(walkable)
        return cls(road_map.drivable, walkable)

    def keeps(self, track: Track) -> bool:
        """Whether a road user is always where it belongs; pedestrians within `STRAY_M`."""
        if track.parked:
            return True
        if track.object_class != SemanticClass.PEDESTRIAN:
            return bool(contains_xy(self.drivable, track.x_m, track.y_m).all())
        outside = ~contains_xy(self.walkable, track.x_m, track.y_m)
        where = points(np.column_stack([track.x_m, track.y_m])[outside])
        return bool((distance(where, self.walkable) <= STRAY_M).all())
