"""Which ground beside the roads is still free."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from bev_trainer.world.road_map import RoadMap

_CELL_M = 16.0


def rectangle(x_m: float, y_m: float, yaw_rad: float, length_m: float, width_m: float) -> Polygon:
    """Returns the footprint of a box."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    along = np.array((cos, sin)) * length_m / 2
    across = np.array((-sin, cos)) * width_m / 2
    middle = np.array((x_m, y_m))
    return Polygon(
        (
            middle - along - across,
            middle + along - across,
            middle + along + across,
            middle - along + across,
        )
    )


class FreeGround:
    """The pavement of a road map, and the footprints taken so far."""

    def __init__(self, road_map: RoadMap) -> None:
        self._paved = shapely.unary_union([road_map.drivable, road_map.sidewalk])
        shapely.prepare(self._paved)
        self._cells: dict[tuple[int, int], list[Polygon]] = {}

    def is_free(self, footprint: Polygon, paved_gap_m: float, gap_m: float) -> bool:
        """Returns whether a footprint keeps its distance from pavement and from all taken ones."""
        return self.is_off_pavement(footprint, paved_gap_m) and self.is_untaken(footprint, gap_m)

    def is_off_pavement(self, footprint: Polygon, gap_m: float) -> bool:
        """Returns whether a footprint keeps its distance from roads and sidewalks."""
        return not shapely.dwithin(self._paved, footprint, gap_m)

    def is_untaken(self, footprint: Polygon, gap_m: float) -> bool:
        """Returns whether a footprint keeps its distance from all taken ones."""
        near = [other for cell in _cells(footprint, gap_m) for other in self._cells.get(cell, ())]
        return not near or not bool(np.any(shapely.dwithin(near, footprint, gap_m)))

    def take(self, footprint: Polygon) -> None:
        """Takes a footprint."""
        for cell in _cells(footprint, 0.0):
            self._cells.setdefault(cell, []).append(footprint)


def _cells(area: BaseGeometry, margin_m: float) -> Iterable[tuple[int, int]]:
    x0, y0, x1, y1 = area.bounds
    lows = (int(np.floor((v - margin_m) / _CELL_M)) for v in (x0, y0))
    highs = (int(np.floor((v + margin_m) / _CELL_M)) for v in (x1, y1))
    (a, b), (c, d) = lows, highs
    return ((i, j) for i in range(a, c + 1) for j in range(b, d + 1))
