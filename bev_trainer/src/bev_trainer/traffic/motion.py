"""Makes motion that a vehicle or a person could perform out of SUMO's positions.

SUMO moves the front bumper along the middle of lanes whose corners are kinks, in speed steps. Here
the front path is smoothed in time, a rear axle is dragged behind it as in a bicycle model without
slip (the tractrix), and whoever stands, stands still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_trainer.traffic.simulation import STEP_S

FloatArray = NDArray[np.float64]
SMOOTH_STEPS = 7
STILL_M = 0.0005
FIDGET_MPS = 0.1
PACE_M = 0.45
_PASSES = 2


def smoothed(values: FloatArray, steps: int = SMOOTH_STEPS) -> FloatArray:
    """Returns a centred moving average [n, ...] whose window shrinks towards both ends.

    Shrinking keeps the first and the last value, and straight lines, as they are.
    """
    count = len(values)
    index = np.arange(count)
    reach = np.minimum(steps // 2, np.minimum(index, count - 1 - index))
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    width = (2 * reach + 1).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((total[index + reach + 1] - total[index - reach]) / width)


def vehicle_motion(
    front_m: FloatArray, yaw_rad: float, length_m: float, rear_overhang_m: float
) -> tuple[FloatArray, FloatArray]:
    """Returns box centres [n, 2] and headings [n] of a vehicle.

    Args:
        front_m: [n, 2] middle of its front bumper, `STEP_S` apart.
        yaw_rad: heading at the first sample.
        length_m: of the box.
        rear_overhang_m: from the rear end to the rear axle.
    """
    front = front_m
    for _ in range(_PASSES):
        front = smoothed(front)
    front = held_still(front)
    reach = length_m - rear_overhang_m
    yaw = _dragged(front, yaw_rad, reach)
    heading = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    return front - 0.5 * length_m * heading, yaw


def person_motion(middle_m: FloatArray, yaw_rad: float) -> tuple[FloatArray, FloatArray]:
    """Returns centres [n, 2] and headings [n] of a pedestrian, who faces where they walk.

    Args:
        middle_m: [n, 2] positions, `STEP_S` apart.
        yaw_rad: heading at the first sample, which holds until the person walks.
    """
    middle = _settled(middle_m)
    for _ in range(_PASSES):
        middle = smoothed(middle)
    middle = held_still(middle)
    return middle, _dragged(middle, yaw_rad, PACE_M)


def held_still(points: FloatArray) -> FloatArray:
    """Returns the path with steps below `STILL_M` left out: who stands, stands exactly still."""
    held = points.copy()
    anchor_x, anchor_y = held[0].tolist()
    for index, (x, y) in enumerate(points.tolist()):
        if abs(x - anchor_x) + abs(y - anchor_y) < STILL_M:
            held[index] = anchor_x, anchor_y
        else:
            anchor_x, anchor_y = x, y
    return held


def _settled(points: FloatArray) -> FloatArray:
    """Returns the path of a person without the fidgeting of waiting people.

    Where somebody stays within a hand's breadth over 1.4 s, all positions become their mean.
    """
    count = len(points)
    index = np.arange(count)
    before, after = np.maximum(index - 7, 0), np.minimum(index + 7, count - 1)
    drift = np.linalg.norm(points[after] - points[before], axis=-1)
    still = drift < FIDGET_MPS * STEP_S * np.maximum(after - before, 1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(np.int8)))
    settled = points.copy()
    for first, last in edges.reshape(-1, 2):
        settled[first:last] = points[first:last].mean(axis=0)
    return settled


def _dragged(front: FloatArray, yaw_rad: float, reach_m: float) -> FloatArray:
    """Returns the unwrapped heading [n] of a rod whose rear end rolls after its front end."""
    rear_x = front[0, 0] - reach_m * np.cos(yaw_rad)
    rear_y = front[0, 1] - reach_m * np.sin(yaw_rad)
    yaws = np.empty(len(front))
    for index, (x, y) in enumerate(front.tolist()):
        dx, dy = x - rear_x, y - rear_y
        size = np.hypot(dx, dy)
        rear_x, rear_y = x - reach_m * dx / size, y - reach_m * dy / size
        yaws[index] = np.arctan2(dy, dx)
    return np.unwrap(yaws)
