"""What all cameras of a frame show, as points in the base frame of its reference instant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import invert, transform
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.look.camera_truth import back_project

FloatArray = NDArray[np.float64]

_CANOPY_M = 2.5


def frame_points(drive: Drive, frame: int) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Returns (points [k, 3], their `SemanticClass` [k]) of a label frame; raises DatasetError.

    Pixels of road users move along with their boxes from the time when their camera fired to the
    reference instant. Scenery above 2.5 m is left out: it would hide what is below.
    """
    target = drive.boxes(frame)
    base_T_world = invert(drive.world_T_base[frame])
    points, classes = [], []
    for index, camera in enumerate(drive.cameras):
        world_T_base = drive.camera_world_T_base[frame, index]
        local = back_project(camera, drive.depth_m(frame, index)).reshape(-1, 3)
        shown = np.isfinite(local[:, 0])
        kinds = drive.classes(frame, index).ravel()[shown]
        instances = drive.instances(frame, index).ravel()[shown]
        moved = transform(base_T_world @ world_T_base, local[shown])
        source = drive.boxes_at(drive.camera_stamp_ns(frame, index), in_base_of_frame=frame)
        carried, kept = _carried(moved, instances, source, target)
        kept &= (instances > 0) | (moved[:, 2] < _CANOPY_M)
        points.append(carried[kept])
        classes.append(kinds[kept])
    return np.concatenate(points), np.concatenate(classes)


def _carried(
    points_m: FloatArray, instances: NDArray[np.uint16], source: BoxArray, target: BoxArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Returns (points [k, 3] moved with their boxes, kept [k]); kept: both boxes are there."""
    rows_from, rows_to = (_table(boxes)[instances] for boxes in (source, target))
    on_object = (instances > 0) & (rows_from >= 0) & (rows_to >= 0)
    moved = points_m.copy()
    rows_to = rows_to[on_object]
    ahead_left = source.local_xy(points_m[on_object, :2], rows_from[on_object])
    cos, sin = np.cos(target.yaw_rad[rows_to]), np.sin(target.yaw_rad[rows_to])
    x = cos * ahead_left[:, 0] - sin * ahead_left[:, 1]
    y = sin * ahead_left[:, 0] + cos * ahead_left[:, 1]
    moved[on_object, :2] = np.stack([x, y], axis=-1) + target.center_m[rows_to, :2]
    return moved, on_object | (instances == 0)


def _table(boxes: BoxArray) -> NDArray[np.intp]:
    table = np.full(65536, -1, np.intp)
    table[boxes.instance] = np.arange(len(boxes))
    return table
