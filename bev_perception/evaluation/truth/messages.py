"""Objects out of the messages that carry ground truth: our own, vision_msgs and Autoware's.

Works on anything with the fields of the message. All are in the frame of the message's header.

| message | velocity | visibility | identity |
| --- | --- | --- | --- |
| `bev_perception/BevObjectArray` | twist, in the header frame | existence probability | uuid |
| `vision_msgs/Detection3DArray` | unknown | unknown | `id` |
| Autoware `DetectedObjects` | twist, turned out of the object's frame | unknown | unknown |
| Autoware `TrackedObjects`, `PredictedObjects` | likewise | unknown | uuid |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.evaluation.truth.message_types import (
    DETECTED,
    DETECTIONS,
    OWN_OBJECTS,
    PREDICTED,
    TRACKED,
)
from bev_perception.evaluation.truth.rows import UNKNOWN_VELOCITY, TruthRow, objects_of
from bev_perception.replay.result_messages import yaw_from_msg

UNKNOWN_CLASS = 'unknown'
# Autoware's labels in the order of their numbers (ObjectClassification.msg).
AUTOWARE_CLASSES = (
    UNKNOWN_CLASS,
    'car',
    'truck',
    'bus',
    'trailer',
    'motorcycle',
    'bicycle',
    'pedestrian',
    'animal',
    'hazard',
    'over_drivable',
    'under_drivable',
)
_POLYGON = 2
_NORM_TOLERANCE = 0.01


def truth_objects(message: Any, kind: str) -> tuple[TruthObjects, int]:
    """Returns (objects of a message of one of `OBJECT_TYPES`, how many had to be left out).

    One is left out whose centre or size is no box's or whose orientation is no rotation.
    """
    rows = list(_READERS[kind](message))
    sound = [row for row in rows if _is_box(row)]
    return objects_of(sound), len(rows) - len(sound)


def _own(message: Any) -> Iterator[TruthRow]:
    for item in message.objects:
        linear = item.twist.twist.linear
        yield TruthRow(
            class_name=_likeliest((c.class_name, c.probability) for c in item.classes),
            center_m=_xyz(item.pose.pose.position),
            size_m=_xyz(item.dimensions),
            yaw_rad=_yaw(item.pose.pose.orientation),
            track=_identity(item.object_id),
            velocity_mps=(linear.x, linear.y) if item.has_twist else UNKNOWN_VELOCITY,
            visibility=min(max(float(item.existence_probability), 0.0), 1.0),
        )


def _detections(message: Any) -> Iterator[TruthRow]:
    for item in message.detections:
        names = ((r.hypothesis.class_id, r.hypothesis.score) for r in item.results)
        yield TruthRow(
            class_name=_likeliest(names),
            center_m=_xyz(item.bbox.center.position),
            size_m=_xyz(item.bbox.size),
            yaw_rad=_yaw(item.bbox.center.orientation),
            track=str(item.id),
        )


def _detected(message: Any) -> Iterator[TruthRow]:
    for item in message.objects:
        found = item.kinematics
        twist = found.twist_with_covariance if found.has_twist else None
        yield _autoware_row(item, found.pose_with_covariance, twist, '')


def _tracked(message: Any) -> Iterator[TruthRow]:
    for item in message.objects:
        found, name = item.kinematics, _identity(item.object_id)
        yield _autoware_row(item, found.pose_with_covariance, found.twist_with_covariance, name)


def _predicted(message: Any) -> Iterator[TruthRow]:
    for item in message.objects:
        found, name = item.kinematics, _identity(item.object_id)
        yield _autoware_row(
            item, found.initial_pose_with_covariance, found.initial_twist_with_covariance, name
        )


def _autoware_row(item: Any, pose: Any, twist: Any, track: str) -> TruthRow:
    yaw_rad, velocity_mps = _yaw(pose.pose.orientation), UNKNOWN_VELOCITY
    if twist is not None:
        cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
        ahead, left = twist.twist.linear.x, twist.twist.linear.y
        velocity_mps = cos * ahead - sin * left, sin * ahead + cos * left
    return TruthRow(
        class_name=_likeliest((_label(c.label), c.probability) for c in item.classification),
        center_m=_xyz(pose.pose.position),
        size_m=_box_size(item.shape),
        yaw_rad=yaw_rad,
        track=track,
        velocity_mps=velocity_mps,
    )


def _label(number: int) -> str:
    return AUTOWARE_CLASSES[number] if number < len(AUTOWARE_CLASSES) else UNKNOWN_CLASS


def _box_size(shape: Any) -> tuple[float, float, float]:
    """Returns length, width, height of the box around a shape, centred on its pose."""
    length_m, width_m, height_m = _xyz(shape.dimensions)
    points = [(abs(p.x), abs(p.y)) for p in shape.footprint.points]
    if shape.type == _POLYGON and points:
        length_m, width_m = (2.0 * float(side) for side in np.max(points, axis=0))
    return length_m, width_m, height_m


def _likeliest(classes: Iterable[tuple[str, float]]) -> str:
    """Returns the name of the highest probability, of equals the first."""
    return max(classes, key=lambda item: item[1], default=(UNKNOWN_CLASS, 0.0))[0]


def _identity(message: Any) -> str:
    """Returns unique_identifier_msgs/UUID in hexadecimal digits; empty when all are 0."""
    content = bytes(message.uuid)
    return content.hex() if any(content) else ''


def _xyz(message: Any) -> tuple[float, float, float]:
    return float(message.x), float(message.y), float(message.z)


def _yaw(message: Any) -> float:
    """Returns the heading of a quaternion; 0 for one that was not filled in, NaN for none."""
    norm = math.sqrt(message.x**2 + message.y**2 + message.z**2 + message.w**2)
    if norm == 0.0:
        return 0.0
    return yaw_from_msg(message) if abs(norm - 1.0) < _NORM_TOLERANCE else float('nan')


def _is_box(row: TruthRow) -> bool:
    numbers = (*row.center_m, *row.size_m, row.yaw_rad)
    return all(math.isfinite(value) for value in numbers) and min(row.size_m) > 0.0


_READERS: dict[str, Callable[[Any], Iterator[TruthRow]]] = {
    OWN_OBJECTS: _own,
    TRACKED: _tracked,
    PREDICTED: _predicted,
    DETECTED: _detected,
    DETECTIONS: _detections,
}
# Those that say more come first.
OBJECT_TYPES = tuple(_READERS)
