"""A road map as GeoJSON: lanes, their borders, crossings, paint and traffic lights.

Coordinates are metres of the world frame, not degrees; the `crs` member says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, mapping

from bev_trainer.traffic.shapes import shifted
from bev_trainer.world.road_map import RoadMap

Feature = dict[str, Any]


def road_map_geojson(road_map: RoadMap) -> str:
    """Returns a FeatureCollection; the same text for the same map.

    Every feature has a property `kind`: drivable, sidewalk, crossing, white_paint, yellow_paint,
    lane, left_border, right_border or signal.
    """
    features = [*_areas(road_map), *_lanes(road_map), *_signals(road_map)]
    name = {'name': 'local metres: x east, y north'}
    collection = {
        'type': 'FeatureCollection',
        'crs': {'type': 'name', 'properties': name},
        'features': features,
    }
    return json.dumps(collection, separators=(',', ':'), sort_keys=True) + '\n'


def _areas(road_map: RoadMap) -> Iterator[Feature]:
    for kind in ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint'):
        area: MultiPolygon = getattr(road_map, kind)
        for polygon in area.geoms:
            rings = mapping(polygon)['coordinates']
            yield _feature(kind, 'Polygon', [_rounded(np.array(ring)) for ring in rings])


def _lanes(road_map: RoadMap) -> Iterator[Feature]:
    for lane in road_map.lanes:
        properties = {
            'lane': lane.lane_id,
            'edge': lane.edge_id,
            'lane_kind': lane.kind,
            'width_m': round(lane.width_m, 3),
            'speed_mps': round(lane.speed_mps, 3),
        }
        sides = (('lane', 0.0), ('left_border', 0.5), ('right_border', -0.5))
        for kind, side in sides:
            line = shifted(lane.centerline_m, side * lane.width_m)
            yield _feature(kind, 'LineString', _rounded(line), **properties)


def _signals(road_map: RoadMap) -> Iterator[Feature]:
    for head in road_map.signals:
        place = [round(head.x_m, 3), round(head.y_m, 3)]
        yaw = round(head.yaw_rad, 4)
        yield _feature(
            'signal', 'Point', place, controller=head.controller, link=head.link, yaw_rad=yaw
        )


def _rounded(points: NDArray[np.float64]) -> list[list[float]]:
    return [[round(x, 3), round(y, 3)] for x, y in points[:, :2].tolist()]


def _feature(kind: str, shape: str, coordinates: object, **properties: object) -> Feature:
    return {
        'type': 'Feature',
        'properties': {'kind': kind, **properties},
        'geometry': {'type': shape, 'coordinates': coordinates},
    }
