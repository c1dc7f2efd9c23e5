"""Ground truth from a JSON file: `<bag>_objects.json` beside a recording, or any other.

The file is a list of frames with rising stamps:

    [{"stamp_ns": 1561597450027900000,
      "frame_id": "base_link",
      "odom_T_base": [[...], [...], [...], [...]],   optional: rows of the ego pose, 4 x 4
      "objects": [{"class_name": "car",
                   "center_m": [x, y, z],            centre of the box
                   "length_m": 4.5, "width_m": 1.9, "height_m": 1.6,
                   "yaw_rad": 0.1,
                   "track_id": 17,                   optional: number or text
                   "velocity_mps": [vx, vy],         optional: over ground, axes of the frame;
                                                     NaN where unknown
                   "visibility": 0.8,                optional: visible share
                   "num_lidar_pts": 5,               optional, likewise num_radar_pts
                  }]}]

`occlusion` and `truncation` of an object, which data sets scale in their own ways, are not used.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from bev_perception.errors import BevError
from bev_perception.evaluation.truth.frame import FloatArray, TruthFrame
from bev_perception.evaluation.truth.framed import FramedTruth
from bev_perception.evaluation.truth.rows import UNKNOWN_VELOCITY, TruthRow, objects_of

_RIGID_TOLERANCE = 1e-4


def _not_infinite(value: float) -> float:
    if math.isinf(value):
        raise PydanticCustomError('finite_number', 'must be a finite number')
    return value


_Positive = Annotated[FiniteFloat, Field(gt=0)]
_FiniteOrNan = Annotated[float, AfterValidator(_not_infinite)]
_Count = Annotated[int, Field(ge=0)]
_Row4 = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class _Object(_Section):
    class_name: Annotated[str, Field(min_length=1)]
    center_m: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    length_m: _Positive
    width_m: _Positive
    height_m: _Positive
    yaw_rad: FiniteFloat
    track_id: int | str | None = None
    velocity_mps: tuple[_FiniteOrNan, _FiniteOrNan] | None = None
    visibility: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    num_lidar_pts: _Count | None = None
    num_radar_pts: _Count | None = None
    occlusion: FiniteFloat | None = None
    truncation: FiniteFloat | None = None


class _Frame(_Section):
    stamp_ns: int
    frame_id: Annotated[str, Field(min_length=1)]
    odom_T_base: tuple[_Row4, _Row4, _Row4, _Row4] | None = None
    objects: tuple[_Object, ...]


_FRAMES = TypeAdapter(tuple[_Frame, ...])


def read_truth_file(path: Path) -> list[FramedTruth]:
    """Returns the frames of a ground-truth file, in order, each in its own frame.

    Raises:
        BevError: the file cannot be read or is wrong; names file, frame, object and field.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BevError(f'ground truth {path}: cannot be read: {error.strerror}') from error
    try:
        frames = _FRAMES.validate_json(content, strict=True)
    except ValidationError as error:
        raise BevError(f'ground truth {path}: {_first_problem(error)}') from error
    if not frames:
        raise BevError(f'ground truth {path}: holds no frame; name another file')
    found: list[FramedTruth] = []
    for index, frame in enumerate(frames):
        problem = _problem(frame, found[-1].frame.stamp_ns if found else None)
        if problem:
            raise BevError(f'ground truth {path}: frame {index}: {problem}')
        found.append(_framed(frame))
    return found


def _problem(frame: _Frame, stamp_before_ns: int | None) -> str:
    if stamp_before_ns is not None and frame.stamp_ns <= stamp_before_ns:
        return f'stamp_ns {frame.stamp_ns} must be greater than that of the frame before'
    if frame.odom_T_base is not None and not _is_rigid(np.array(frame.odom_T_base)):
        return 'odom_T_base must be a rotation and a translation (rows of a 4 x 4 matrix)'
    tracks = [str(item.track_id) for item in frame.objects if item.track_id is not None]
    twice = sorted({track for track in tracks if tracks.count(track) > 1})
    return f'track_id {twice[0]} is there twice' if twice else ''


def _is_rigid(pose: FloatArray) -> bool:
    turn = pose[:3, :3]
    level = np.abs(turn @ turn.T - np.eye(3)).max() < _RIGID_TOLERANCE
    return bool(level and np.linalg.det(turn) > 0 and np.array_equal(pose[3], (0, 0, 0, 1)))


def _framed(frame: _Frame) -> FramedTruth:
    pose = None if frame.odom_T_base is None else np.array(frame.odom_T_base, np.float64)
    objects = objects_of([_row(item) for item in frame.objects])
    return FramedTruth(frame.frame_id, TruthFrame(frame.stamp_ns, objects, pose))


def _row(item: _Object) -> TruthRow:
    counts = [n for n in (item.num_lidar_pts, item.num_radar_pts) if n is not None]
    return TruthRow(
        class_name=item.class_name,
        center_m=item.center_m,
        size_m=(item.length_m, item.width_m, item.height_m),
        yaw_rad=item.yaw_rad,
        track='' if item.track_id is None else str(item.track_id),
        velocity_mps=_velocity(item),
        visibility=float('nan') if item.visibility is None else item.visibility,
        points=sum(counts) if counts else -1,
    )


def _velocity(item: _Object) -> tuple[float, float]:
    velocity = item.velocity_mps
    return UNKNOWN_VELOCITY if velocity is None or any(map(math.isnan, velocity)) else velocity


def _first_problem(error: ValidationError) -> str:
    """Returns for example: frame 3, objects[5].center_m[1]: must be a number."""
    first = error.errors(include_url=False)[0]
    kind, place = first['type'], list(first['loc'])
    if kind == 'json_invalid':
        return f'is not JSON: {first["ctx"]["error"]}'
    if not place:
        return 'must be a list of frames'
    text = ''
    for part in place[1:]:
        if not (isinstance(part, str) and part in ('int', 'str')):  # branches of track_id
            text += f'[{part}]' if isinstance(part, int) else f'.{part}'
    where = f'frame {place[0]}' + (f', {text.lstrip(".")}' if text else '')
    return f'{where}: {_WORDING.get(kind) or _lower(first["msg"])}'


_WORDING = {
    'missing': 'is missing; add it',
    'extra_forbidden': 'is not a known field; remove it or correct its name',
    'finite_number': 'must be a finite number',
    'float_type': 'must be a number',
    'int_type': 'must be a whole number',
    'string_type': 'must be text',
    'string_too_short': 'must not be empty',
    'greater_than': 'must be greater than 0',
    'tuple_type': 'must be a list',
    'too_long': 'has too many entries',
    'too_short': 'has too few entries',
    'model_type': 'must be an object with named fields',
    'model_attributes_type': 'must be an object with named fields',
}


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace('\n', ' ')
