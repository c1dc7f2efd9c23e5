"""Frontages: the outer borders of streets, along which scenery stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, Point

from bev_trainer.world.road_map import Lane, RoadMap

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frontage:
    """One side of a street between two junctions.

    Attributes:
        edge_id: of the lanes that run along it.
        border: outer border of the pavement, in driving direction.
        outward: +1 when away from the road is to the left of the driving direction, else -1.
        pavement_m: width of the sidewalk, 0 where there is none.
        speed_mps: limit on the street.
        lanes: driving lanes in this direction.
    """

    edge_id: str
    border: LineString
    outward: int
    pavement_m: float
    speed_mps: float
    lanes: int

    @property
    def length_m(self) -> float:
        return float(self.border.length)

    def place(self, along_m: float, off_m: float) -> tuple[FloatArray, float]:
        """Returns the point `off_m` outside the border, and the driving direction there."""
        step = 0.5
        behind = np.array(self.border.interpolate(max(along_m - step, 0.0)).coords[0])
        ahead = np.array(self.border.interpolate(min(along_m + step, self.length_m)).coords[0])
        run = (ahead - behind) / np.linalg.norm(ahead - behind)
        out = self.outward * np.array((-run[1], run[0]))
        point = np.array(self.border.interpolate(along_m).coords[0]) + off_m * out
        return point, float(np.arctan2(run[1], run[0]))

    def outward_rad(self, run_rad: float) -> float:
        """Returns the direction away from the road where the driving direction is `run_rad`."""
        return run_rad + self.outward * np.pi / 2


def frontages(road_map: RoadMap) -> tuple[Frontage, ...]:
    """Returns the frontages of a road map, in the order of its lanes."""
    by_edge: dict[str, list[Lane]] = {}
    for lane in road_map.lanes:
        by_edge.setdefault(lane.edge_id, []).append(lane)
    found = (_frontage(lanes, road_map) for lanes in by_edge.values())
    return tuple(item for item in found if item is not None)


def _frontage(lanes: list[Lane], road_map: RoadMap) -> Frontage | None:
    driving = [lane for lane in lanes if lane.kind == 'driving']
    walks = [lane for lane in lanes if lane.kind == 'sidewalk']
    if not driving and not walks:
        return None
    for lane in walks or [lane for lane in lanes if lane.kind != 'sidewalk']:
        line = LineString(lane.centerline_m)
        for outward in (-1, 1):
            border = line.offset_curve(outward * lane.width_m / 2)
            if border.is_empty or border.geom_type != 'LineString' or border.length < 1.0:
                continue
            beyond = line.offset_curve(outward * (lane.width_m / 2 + 0.6))
            if _is_outside(beyond.interpolate(0.5, normalized=True), road_map):
                speed = min(item.speed_mps for item in driving or walks)
                width = lane.width_m if walks else 0.0
                return Frontage(lane.edge_id, border, outward, width, speed, len(driving))
    return None


def _is_outside(point: Point, road_map: RoadMap) -> bool:
    return not (
        shapely.intersects(road_map.drivable, point)
        or shapely.intersects(road_map.sidewalk, point)
    )
