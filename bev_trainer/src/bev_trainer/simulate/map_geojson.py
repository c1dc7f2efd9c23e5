"""Road maps for other tools, as GeoJSON in metres of the world frame."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from shapely.geometry import MultiPolygon, mapping

from bev_trainer.world.road_map import RoadMap

_AREAS = ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint')
_DECIMALS = 3


def map_geojson(network: str, road_map: RoadMap) -> bytes:
    """Returns a feature collection: areas, lanes with their driving direction, traffic lights.

    Coordinates are x east and y north in metres on a plane, not degrees, rounded to millimetres.
    Each feature has a `kind`: one of the areas' names, 'lane' or 'signal'.
    """
    features = [_area(kind, getattr(road_map, kind)) for kind in _AREAS]
    for lane in road_map.lanes:
        line = {'type': 'LineString', 'coordinates': lane.centerline_m.tolist()}
        properties = {
            'kind': 'lane',
            'id': lane.lane_id,
            'edge': lane.edge_id,
            'use': lane.kind,
            'width_m': lane.width_m,
            'speed_mps': lane.speed_mps,
        }
        features.append(_feature(line, properties))
    for head in road_map.signals:
        point = {'type': 'Point', 'coordinates': [head.x_m, head.y_m]}
        properties = {
            'kind': 'signal',
            'yaw_rad': head.yaw_rad,
            'controller': head.controller,
            'link': head.link,
        }
        features.append(_feature(point, properties))
    collection = {
        'type': 'FeatureCollection',
        'name': network,
        'units': 'metres, x east, y north, on a plane',
        'features': features,
    }
    return (json.dumps(collection, separators=(',', ':')) + '\n').encode()


def _area(kind: str, area: MultiPolygon) -> dict[str, Any]:
    return _feature(mapping(area), {'kind': kind})


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    rounded = {**geometry, 'coordinates': _rounded(geometry['coordinates'])}
    return {'type': 'Feature', 'properties': properties, 'geometry': rounded}


def _rounded(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    # Adding 0.0 turns -0.0 into 0.0.
    return float(np.round(value, _DECIMALS)) + 0.0
