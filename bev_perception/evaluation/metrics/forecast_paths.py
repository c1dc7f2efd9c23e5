"""Paths of objects at given times: predicted, with constant velocity, and true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.metric import ScoredFrame
from bev_perception.frame import BevObject, Trajectory
from bev_perception.units import NS_PER_S

FloatArray = NDArray[np.float64]


def predicted_paths(item: BevObject, times_s: FloatArray) -> FloatArray:
    """Returns [K, T, 2]: where an object will be at times > 0, most probable mode first.

    An object without trajectories is one that is said to stay where it is (K = 1).
    """
    place_m = np.array(item.center_m[:2], np.float64)
    if not item.trajectories:
        return np.broadcast_to(place_m, (1, len(times_s), 2)).copy()
    ordered = sorted(item.trajectories, key=lambda path: -path.probability)
    return np.stack([_at(path, place_m, times_s) for path in ordered])


def constant_velocity(item: BevObject, times_s: FloatArray) -> FloatArray:
    """Returns [T, 2]: where an object would be if it kept its velocity; standing without one."""
    velocity = np.array(item.velocity_mps or (0.0, 0.0), np.float64)
    return np.array(item.center_m[:2], np.float64) + times_s[:, None] * velocity


def true_paths(frame: ScoredFrame, times_s: FloatArray) -> tuple[FloatArray, bool]:
    """Returns [M, T, 2], where the objects of a frame really are at times > 0, NaN where unknown.

    In the base frame of the present. Objects without a track are not followed.

    Returns:
        The paths, and whether the ground truth reaches to the end of the horizon.
    """
    objects = frame.truth.objects
    track: Sequence[str] = () if objects is None else objects.track
    paths_m = np.full((len(track), len(times_s), 2), np.nan)
    whole = True
    for step, time_s in enumerate(times_s.tolist()):
        later = frame.scene.objects_at(
            frame.truth.stamp_ns + round(time_s * NS_PER_S), frame.truth
        )
        if later is None:
            whole = False
            continue
        row_of = {name: row for row, name in enumerate(later.track) if name}
        for row, name in enumerate(track):
            if name in row_of:
                paths_m[row, step] = later.center_m[row_of[name], :2]
    return paths_m, whole


def _at(path: Trajectory, place_m: FloatArray, times_s: FloatArray) -> FloatArray:
    """Returns [T, 2], straight between the poses of a trajectory that starts with the object.

    After its last pose an object goes on as in its last step, so that nobody gains by
    predicting less far.
    """
    own_s = path.start_offset_s + path.time_step_s * np.arange(len(path.positions_m))
    xy_m = np.asarray(path.positions_m, np.float64)[:, :2]
    if not len(own_s) or own_s[0] > 0:
        own_s, xy_m = np.concatenate([[0.0], own_s]), np.concatenate([place_m[None], xy_m])
    found = np.stack([np.interp(times_s, own_s, xy_m[:, axis]) for axis in (0, 1)], axis=-1)
    if len(own_s) > 1:
        speed = (xy_m[-1] - xy_m[-2]) / (own_s[-1] - own_s[-2])
        found += np.maximum(times_s - own_s[-1], 0.0)[:, None] * speed
    return found
