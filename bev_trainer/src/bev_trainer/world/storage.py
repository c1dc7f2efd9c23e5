"""Worlds in files: gzipped JSON, the same bytes for the same world.

Lengths are whole millimetres and angles whole 1e-4 rad in the file, so that what is loaded is
exactly `rounded(world)`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from bev_perception.files import write_atomically
from bev_trainer.errors import DatasetError
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.road_map import Lane, RoadMap, SignalHead, SignalPlan
from bev_trainer.world.scenery import Prop
from bev_trainer.world.tracks import Track
from bev_trainer.world.world import EgoDrive, World

FORMAT = 1
PER_M = 1000
PER_RAD = 10000
_AREAS = ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint')


def rounded(world: World) -> World:
    """Returns a world as it comes back from a file."""
    return _world(_plain(world))


def save_world(world: World, path: Path) -> None:
    """Writes a world, all at once or not at all; raises DatasetError when that fails."""
    text = json.dumps(_plain(world), separators=(',', ':'), sort_keys=True)
    try:
        write_atomically(path, gzip.compress(text.encode(), 9, mtime=0))
    except OSError as error:
        raise DatasetError(f'world {path}: cannot be written: {error.strerror}') from error


def load_world(path: Path) -> World:
    """Returns the world of a file; raises DatasetError when there is none, or another format."""
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
    except OSError as error:
        reason = error.strerror or 'is not gzip'
        raise DatasetError(f'world {path}: cannot be read: {reason}') from error
    except (EOFError, ValueError, zlib.error) as error:
        raise DatasetError(f'world {path}: is damaged; make it again') from error
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        raise DatasetError(f'world {path}: is not a world of format {FORMAT}; make it again')
    try:
        return _world(content)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DatasetError(f'world {path}: is damaged; make it again') from error


def _mm(values: NDArray[np.float64] | float) -> Any:
    return np.rint(np.asarray(values, float) * PER_M).astype(np.int64).tolist()


def _angle(values: NDArray[np.float64] | float) -> Any:
    return np.rint(np.asarray(values, float) * PER_RAD).astype(np.int64).tolist()


def _metres(values: Any) -> Any:
    return np.asarray(values, np.float64) / PER_M


def _plain(world: World) -> dict[str, Any]:
    return {
        'format': FORMAT,
        'name': world.name,
        'start': _mm(world.start_s),
        'end': _mm(world.end_s),
        'road_map': _plain_map(world.road_map),
        'signals': {
            name: [_mm(times_s), list(states)]
            for name, (times_s, states) in world.signals.controllers.items()
        },
        'props': [_plain_prop(prop) for prop in world.props],
        'tracks': [_plain_track(track) for track in world.tracks],
        'ego_drives': [
            [_plain_track(drive.track), _mm(drive.start_s), drive.replaces]
            for drive in world.ego_drives
        ],
    }


def _world(content: dict[str, Any]) -> World:
    return World(
        content['name'],
        _map(content['road_map']),
        tuple(_prop(item) for item in content['props']),
        tuple(_track(item) for item in content['tracks']),
        SignalPlan(
            {
                name: (_metres(times), tuple(states))
                for name, (times, states) in content['signals'].items()
            }
        ),
        content['start'] / PER_M,
        content['end'] / PER_M,
        tuple(
            EgoDrive(_track(track), start / PER_M, replaces)
            for track, start, replaces in content['ego_drives']
        ),
    )


def _plain_map(road_map: RoadMap) -> dict[str, Any]:
    areas = {name: _plain_area(getattr(road_map, name)) for name in _AREAS}
    lanes = [
        [*_ids(lane), _mm(lane.centerline_m), _mm(lane.width_m), _mm(lane.speed_mps)]
        for lane in road_map.lanes
    ]
    heads = [
        [_mm(s.x_m), _mm(s.y_m), _angle(s.yaw_rad), s.controller, s.link] for s in road_map.signals
    ]
    return {**areas, 'lanes': lanes, 'signals': heads}


def _ids(lane: Lane) -> tuple[str, str, str]:
    return lane.lane_id, lane.edge_id, lane.kind


def _map(content: dict[str, Any]) -> RoadMap:
    areas = {name: _area(content[name]) for name in _AREAS}
    lanes = tuple(
        Lane(name, edge, kind, _metres(line), width / PER_M, speed / PER_M)
        for name, edge, kind, line, width, speed in content['lanes']
    )
    heads = tuple(
        SignalHead(x / PER_M, y / PER_M, yaw / PER_RAD, controller, link)
        for x, y, yaw, controller, link in content['signals']
    )
    return RoadMap(**areas, lanes=lanes, signals=heads)


def _plain_area(area: MultiPolygon) -> list[list[Any]]:
    rings = [[polygon.exterior, *polygon.interiors] for polygon in area.geoms]
    return [[_mm(np.asarray(ring.coords)[:, :2]) for ring in group] for group in rings]


def _area(polygons: list[list[Any]]) -> MultiPolygon:
    made = [[_metres(ring) for ring in rings] for rings in polygons]
    return MultiPolygon([Polygon(rings[0], rings[1:]) for rings in made])


_PROP_UNITS = {'yaw_rad': PER_RAD, **dict.fromkeys(('x_m', 'y_m'), PER_M)}
_PROP_UNITS |= dict.fromkeys(('length_m', 'width_m', 'height_m'), PER_M)


def _plain_prop(prop: Prop) -> dict[str, Any]:
    plain: dict[str, Any] = asdict(prop)
    scaled = {name: round(plain[name] * unit) for name, unit in _PROP_UNITS.items()}
    return {**plain, **scaled, 'color_rgb': [round(part, 4) for part in prop.color_rgb]}


def _prop(content: dict[str, Any]) -> Prop:
    scaled = {name: content[name] / unit for name, unit in _PROP_UNITS.items()}
    return Prop(**{**content, **scaled, 'color_rgb': tuple(content['color_rgb'])})


def _plain_track(track: Track) -> dict[str, Any]:
    return {
        'name': track.name,
        'class': int(track.object_class),
        'model': track.model,
        'color': [round(part, 4) for part in track.color_rgb],
        'size': [_mm(track.length_m), _mm(track.width_m), _mm(track.height_m)],
        'start': _mm(track.start_s),
        'step': _mm(track.step_s),
        'x': _mm(track.x_m),
        'y': _mm(track.y_m),
        'yaw': _angle(track.yaw_rad),
        'parked': track.parked,
    }


def _track(content: dict[str, Any]) -> Track:
    length, width, height = (part / PER_M for part in content['size'])
    return Track(
        content['name'],
        SemanticClass(content['class']),
        content['model'],
        tuple(content['color']),
        length,
        width,
        height,
        content['start'] / PER_M,
        content['step'] / PER_M,
        _metres(content['x']),
        _metres(content['y']),
        np.asarray(content['yaw'], np.float64) / PER_RAD,
        content['parked'],
    )
