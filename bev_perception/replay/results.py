"""Results of a replay as JSON: complete, stable bytes, no timings."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError
from bev_perception.files import write_atomically
from bev_perception.frame import BevFrame, BevObject, CameraReport, Trajectory, occupancy_to_int8
from bev_perception.geometry.grid import BevGrid
from bev_perception.replay.timing import stage_table

FORMAT = 1


class ReplayResults:
    """Collects the results of a replay, packed, so that memory grows by kilobytes per frame."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self.frames: list[dict[str, Any]] = []
        self._stage_s: list[dict[str, float]] = []

    def add(self, frame: BevFrame) -> None:
        """Takes one frame."""
        self.frames.append(frame_to_dict(frame))
        self._stage_s.append(frame.stage_s)

    def to_json(self) -> str:
        """Returns the JSON text; equal frames give equal text."""
        content = {'format': FORMAT, 'model_id': self._model_id, 'frames': self.frames}
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + '\n'

    def summary(self, name: str) -> str:
        """Returns what came out, camera by camera, and where the time went, for people."""
        if not self.frames:
            return f'{name}: no frame: no camera image could be used'
        lines = [f'{name}: {len(self.frames)} frames with model {self._model_id}']
        for index, camera in enumerate(self.frames[0]['cameras']):
            states = [frame['cameras'][index]['state'] for frame in self.frames]
            others = sorted({s.lower() for s in states if s != 'USED'})
            line = f'  {camera["name"]}: used in {states.count("USED")} of {len(states)}'
            lines.append(' '.join([line, *others]))
        objects = sum(len(frame['objects'] or ()) for frame in self.frames)
        lines += [f'  {objects} objects in all', stage_table(self._stage_s)]
        return '\n'.join(lines)


def frame_to_dict(frame: BevFrame) -> dict[str, Any]:
    """Returns one frame: cameras, objects, and the grids as `encode_grid` writes them."""
    grids: dict[str, Any] = {}
    if frame.occupancy is not None:
        grids['occupancy'] = encode_grid(occupancy_to_int8(frame.occupancy, frame.observed))
    if frame.future_occupancy is not None:
        grids['future_occupancy'] = [
            encode_grid(occupancy_to_int8(step, frame.observed)) for step in frame.future_occupancy
        ]
    return {
        'stamp_ns': frame.stamp_ns,
        'frame_id': frame.frame_id,
        'grid': _grid(frame.grid),
        'time_step_s': frame.time_step_s,
        'past_dropped': frame.past_dropped,
        'cameras': [_camera(report) for report in frame.cameras],
        'objects': None if frame.objects is None else [_object(o) for o in frame.objects],
        'grids': grids,
    }


def encode_grid(cells: NDArray[np.int8]) -> dict[str, Any]:
    """Returns int8 [Y, X] as its shape and base64 of its zlib-compressed bytes."""
    packed = zlib.compress(np.ascontiguousarray(cells, dtype=np.int8).tobytes(), 9)
    return {'shape_yx': list(cells.shape), 'zlib_base64': base64.b64encode(packed).decode()}


def decode_grid(encoded: dict[str, Any]) -> NDArray[np.int8]:
    """Returns the cells [Y, X] of `encode_grid`."""
    raw = zlib.decompress(base64.b64decode(encoded['zlib_base64']))
    return np.frombuffer(raw, dtype=np.int8).reshape(encoded['shape_yx'])


def write_text_atomically(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Raises:
        BevError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise BevError(f'{path}: cannot be written: {error.strerror}') from error


def _grid(grid: BevGrid) -> dict[str, float | int]:
    return {
        'x_min_m': grid.x_min_m,
        'y_min_m': grid.y_min_m,
        'resolution_m': grid.resolution_m,
        'size_x': grid.size_x,
        'size_y': grid.size_y,
    }


def _camera(report: CameraReport) -> dict[str, Any]:
    return {
        'name': report.name,
        'state': report.state.name,
        'detail': report.detail,
        'stamp_ns': report.stamp_ns,
        'age_s': report.age_s,
    }


def _object(item: BevObject) -> dict[str, Any]:
    return {
        'object_id': item.object_id.hex(),
        'age_frames': item.age_frames,
        'existence_probability': item.existence_probability,
        'classes': [
            {'index': c.index, 'name': c.name, 'probability': c.probability} for c in item.classes
        ],
        'center_m': list(item.center_m),
        'size_m': list(item.size_m),
        'yaw_rad': item.yaw_rad,
        'velocity_mps': None if item.velocity_mps is None else list(item.velocity_mps),
        'trajectories': [_trajectory(t) for t in item.trajectories],
    }


def _trajectory(item: Trajectory) -> dict[str, Any]:
    return {
        'probability': item.probability,
        'time_step_s': item.time_step_s,
        'start_offset_s': item.start_offset_s,
        'positions_m': np.asarray(item.positions_m, dtype=float).tolist(),
        'yaws_rad': np.asarray(item.yaws_rad, dtype=float).tolist(),
    }
