"""Several possible futures of every object, each with its probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.headings import path_headings
from bev_perception.frame import BevObject, Trajectory

# Regressed paths of standing objects may wander by about as much from step to step.
_NOISE_M = 0.25


def with_modes(
    objects: Sequence[BevObject],
    logits: NDArray[np.floating],
    offsets_m: NDArray[np.floating],
    time_step_s: float,
) -> tuple[BevObject, ...]:
    """Returns the objects in the same order, their trajectories replaced by the modes.

    A trajectory starts with the box itself (offset 0) and goes on with the regressed positions;
    z is kept and the yaw turns from the box's towards the direction of motion
    (`path_headings`). Probabilities are the softmax of the logits; modes are ordered by falling
    probability, equal ones as they come. Modes that are not finite are left out (and those whose
    probability is 0), and an object without any other one keeps the trajectories that it has.

    Args:
        objects: M objects in the base frame.
        logits: [M, K], of K modes each.
        offsets_m: [M, K, T, 2], (x, y) from the object's present centre to its centre t = 1..T
            steps ahead, along the axes of the base frame.
        time_step_s: between steps.
    """
    if not len(objects):
        return ()
    boxes = np.array([(*item.center_m, item.yaw_rad) for item in objects])
    usable = np.isfinite(logits) & np.isfinite(offsets_m).all(axis=(2, 3))
    probability = _softmax(np.where(usable, logits, -np.inf).astype(np.float64))
    positions_m = _positions(boxes, np.where(usable[..., None, None], offsets_m, 0.0))
    yaws_rad = _headings(positions_m, boxes[:, 3])
    order = np.argsort(-probability, axis=-1, kind='stable')
    result = []
    for item, share, xyz, yaw, ranks in zip(
        objects, probability, positions_m, yaws_rad, order, strict=True
    ):
        paths = tuple(
            Trajectory(float(share[k]), time_step_s, 0.0, xyz[k], yaw[k])
            for k in ranks.tolist()
            if share[k] > 0.0
        )
        result.append(replace(item, trajectories=paths) if paths else item)
    return tuple(result)


def _positions(boxes: NDArray[np.float64], offsets_m: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns [M, K, T + 1, 3]: the box centre, then the centre plus the offsets."""
    modes, steps = offsets_m.shape[1:3]
    shape = (len(boxes), modes, steps + 1, 3)
    positions_m = np.broadcast_to(boxes[:, None, None, :3], shape).copy()
    positions_m[:, :, 1:, :2] += offsets_m
    return positions_m


def _headings(
    positions_m: NDArray[np.float64], yaw_rad: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the yaws [M, K, T + 1] along positions [M, K, T + 1, 3]."""
    objects, modes, steps = positions_m.shape[:3]
    xy_m = positions_m[..., :2].reshape(objects * modes, steps, 2)
    yaws = path_headings(xy_m, np.repeat(yaw_rad, modes), _NOISE_M)
    return yaws.reshape(objects, modes, steps)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns probabilities [M, K] of logits; rows of nothing but -inf are all 0."""
    largest = np.max(logits, axis=-1, keepdims=True)
    weight = np.exp(logits - np.where(np.isfinite(largest), largest, 0.0))
    total = weight.sum(axis=-1, keepdims=True)
    return weight / np.where(total > 0.0, total, 1.0)
