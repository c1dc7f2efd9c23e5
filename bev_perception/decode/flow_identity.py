"""Where a known object should be by now: its predicted path, and the instance that lies there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.grouping import group_count
from bev_perception.frame import BevObject
from bev_perception.geometry.grid import BevGrid

# Points along and across a box at which the labels under it are looked up.
_SAMPLES = (16, 8)


class StateAhead(NamedTuple):
    """Where an object should be by now, in the base frame in which it was seen.

    Attributes:
        center_m: x, y, z of the box centre.
        yaw_rad: heading.
        velocity_mps: x, y.
    """

    center_m: tuple[float, float, float]
    yaw_rad: float
    velocity_mps: tuple[float, float]


def state_ahead(item: BevObject, age_s: float, velocity_mps: tuple[float, float]) -> StateAhead:
    """Returns what is predicted of an object some time after it was seen.

    Between the poses of its most probable trajectory, which comes from the flow or from modes,
    and after the last of them on as along the last two. Without a trajectory the object goes on
    at constant velocity.

    Args:
        item: as it was seen.
        age_s: time since then, not negative.
        velocity_mps: for an object without a trajectory.
    """
    path = item.trajectories[0] if item.trajectories else None
    first = 0 if path is None or path.start_offset_s > 0.0 else 1
    if path is None or len(path.positions_m) <= first:
        x, y, z = item.center_m
        vx, vy = velocity_mps
        return StateAhead((x + vx * age_s, y + vy * age_s, z), item.yaw_rad, velocity_mps)
    steps = math.ceil((age_s - path.start_offset_s) / path.time_step_s)
    end = min(max(steps, first), len(path.positions_m) - 1)
    end_s = path.start_offset_s + end * path.time_step_s
    if end == first:
        (x, y, z), yaw, gap_s = item.center_m, item.yaw_rad, end_s
    else:
        (x, y, z), yaw = path.positions_m[end - 1].tolist(), float(path.yaws_rad[end - 1])
        gap_s = path.time_step_s
    next_x, next_y, next_z = path.positions_m[end].tolist()
    turn = math.remainder(float(path.yaws_rad[end]) - yaw, 2.0 * math.pi)
    share = 1.0 - (end_s - age_s) / gap_s
    center_m = (x + share * (next_x - x), y + share * (next_y - y), z + share * (next_z - z))
    velocity_mps = ((next_x - x) / gap_s, (next_y - y) / gap_s)
    return StateAhead(center_m, yaw + min(share, 1.0) * turn, velocity_mps)


def overlap_m2(
    boxes: NDArray[np.float64], present: NDArray[np.int32], grid: BevGrid, groups: int
) -> NDArray[np.float64]:
    """Returns [M, groups]: area of each box on each label; 0 on none.

    Measured at points spread evenly over the box, so the cost does not depend on its size.

    Args:
        boxes: [M, 5], x, y, length, width, yaw in the frame of the grid.
        present: int32 [Y, X] labels below `groups`, 0 = none.
        grid: geometry of the labels.
        groups: number of labels, that of none included.
    """
    along, across = ((np.arange(count) + 0.5) / count - 0.5 for count in _SAMPLES)
    u_m = (boxes[:, 2, None] * np.repeat(along, len(across)))[..., None]
    v_m = (boxes[:, 3, None] * np.tile(across, len(along)))[..., None]
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    forward, left = np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)
    points_m = boxes[:, None, :2] + u_m * forward[:, None] + v_m * left[:, None]
    iy, ix, inside = grid.to_cell(points_m[..., 0], points_m[..., 1])
    label = np.zeros(inside.shape, dtype=np.int64)
    label[inside] = present[iy[inside], ix[inside]]
    owner = np.arange(len(boxes))[:, None] * groups
    share = group_count((owner + label).ravel(), len(boxes) * groups) / (len(along) * len(across))
    area_m2 = share.reshape(-1, groups) * (boxes[:, 2] * boxes[:, 3])[:, None]
    area_m2[:, 0] = 0.0
    return np.asarray(area_m2)


def footprint_iou(
    boxes: NDArray[np.float64],
    objects: Sequence[BevObject],
    present: NDArray[np.int32],
    grid: BevGrid,
) -> NDArray[np.float64]:
    """Returns [N objects, M boxes]: IoU of each box with each object's instance; 0 without one.

    Args:
        boxes: [M, 5], as in `overlap_m2`.
        objects: N, each with the label of its `instance`.
        present: int32 [Y, X] labels.
        grid: geometry of the labels.
    """
    groups = int(present.max(initial=0)) + 1
    labels = np.array([item.instance for item in objects], dtype=np.int64)
    labels[(labels < 0) | (labels >= groups)] = 0
    shared_m2 = overlap_m2(boxes, present, grid, groups).T[labels]
    cells = group_count(present.ravel(), groups)[labels]
    own_m2 = boxes[:, 2] * boxes[:, 3]
    union_m2 = cells[:, None] * grid.resolution_m**2 + own_m2 - shared_m2
    return np.asarray(np.where(union_m2 > 0.0, shared_m2 / np.maximum(union_m2, 1e-9), 0.0))
