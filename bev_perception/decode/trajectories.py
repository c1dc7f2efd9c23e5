"""Predicted paths of objects, read off the instances under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.flow_identity import overlap_m2
from bev_perception.decode.grouping import group_count, group_mean, group_sum
from bev_perception.decode.headings import path_headings
from bev_perception.frame import BevObject, Trajectory
from bev_perception.geometry.grid import BevGrid

_MAX_CENTROID_DISTANCE_M = 2.0


@dataclass(frozen=True)
class _Motion:
    """Measures of every instance at every step: [T + 1, L + 1, ...], label 0 unused.

    Attributes:
        cells: number of cells.
        centroid_m: [..., 2], mean of the cells' centres; NaN without cells.
        probability: sum over the cells.
        cut: whether a cell lies on the grid's border, so that the centroid may be off.
    """

    cells: NDArray[np.int64]
    centroid_m: NDArray[np.float64]
    probability: NDArray[np.float64]
    cut: NDArray[np.bool_]


def attach_trajectories(
    objects: Sequence[BevObject],
    instances: NDArray[np.int32],
    grid: BevGrid,
    probability: NDArray[np.float32],
    time_step_s: float,
) -> tuple[BevObject, ...]:
    """Returns the objects in the same order, with `instance` and one trajectory where linked.

    Every object gets the instance that covers most of its footprint, else the one whose centroid
    is nearest within 2 m; an instance goes to one object only, the one it fits best. Objects
    without an instance stay as they are.

    The trajectory starts with the box itself (offset 0). Later positions follow the instance's
    centroid, shifted so that they start at the box centre; z is kept. When the grid's border
    cuts the instance at t = 0 its centroid is no measure of the start, and later positions are
    the centroids themselves. The trajectory ends before the first step in which the instance has
    no cell or touches the border: from there on the visible part says little about the centre.
    The yaw turns from the box's towards the direction of motion (`path_headings`). The probability
    is the mean foreground probability over the instance's cells in the steps that are used.

    Args:
        objects: in the base frame, as the grid.
        instances: int32 [T + 1, Y, X] labels, 0 = none (`decode_instances`).
        grid: geometry of both arrays.
        probability: [T + 1, Y, X], of foreground.
        time_step_s: between steps.
    """
    motion = _measure(instances, grid, probability)
    labels = _link(objects, instances[0], grid, motion.centroid_m[0])
    linked = np.flatnonzero(labels).tolist()
    result = list(objects)
    paths = _trajectories([objects[i] for i in linked], labels[linked], motion, grid, time_step_s)
    for index, path in zip(linked, paths, strict=True):
        item = objects[index]
        result[index] = replace(item, instance=int(labels[index]), trajectories=(path,))
    return tuple(result)


def _measure(
    instances: NDArray[np.int32], grid: BevGrid, probability: NDArray[np.float32]
) -> _Motion:
    steps, labels = len(instances), int(instances.max(initial=0)) + 1
    t, iy, ix = np.nonzero(instances)
    group = t * labels + instances[t, iy, ix]
    x_m, y_m = grid.axis_centers()
    on_border = (iy == 0) | (iy == grid.size_y - 1) | (ix == 0) | (ix == grid.size_x - 1)
    count, shape = steps * labels, (steps, labels)
    centroid_m = group_mean(group, np.stack([x_m[ix], y_m[iy]], axis=-1), count)
    return _Motion(
        cells=group_count(group, count).reshape(shape),
        centroid_m=centroid_m.reshape(*shape, 2),
        probability=group_sum(group, probability[t, iy, ix], count).reshape(shape),
        cut=group_count(group[on_border], count).reshape(shape) > 0,
    )


def _link(
    objects: Sequence[BevObject],
    present: NDArray[np.int32],
    grid: BevGrid,
    centroids_m: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Returns the label [M] of each object's instance, 0 = none; no label occurs twice."""
    boxes = np.array([(*o.center_m[:2], *o.size_m[:2], o.yaw_rad) for o in objects]).reshape(-1, 5)
    area_m2 = overlap_m2(boxes, present, grid, len(centroids_m))
    labels = np.zeros(len(objects), dtype=np.int64)
    _claim(-area_m2, area_m2 > 0, labels)

    offset_m = boxes[:, None, :2] - centroids_m[None]
    distance_m = np.hypot(offset_m[..., 0], offset_m[..., 1])
    _claim(distance_m, distance_m <= _MAX_CENTROID_DISTANCE_M, labels)
    return labels


def _claim(cost: NDArray, allowed: NDArray[np.bool_], labels: NDArray[np.int64]) -> None:
    """Gives free labels to objects without one, cheapest pair [M, L + 1] first, in place."""
    offers = np.argwhere(allowed)
    taken = set(labels.tolist())
    for index, label in offers[np.argsort(cost[allowed], kind='stable')].tolist():
        if not labels[index] and label not in taken:
            labels[index] = label
            taken.add(label)


def _trajectories(
    objects: Sequence[BevObject],
    labels: NDArray[np.int64],
    motion: _Motion,
    grid: BevGrid,
    time_step_s: float,
) -> list[Trajectory]:
    """Returns one trajectory per object, whose instances are `labels` [M]."""
    boxes = np.array([(*item.center_m, item.yaw_rad) for item in objects]).reshape(-1, 4)
    over = (motion.cells == 0) | motion.cut
    over[0] = False
    used = np.logical_not(np.logical_or.accumulate(over, axis=0))[:, labels].T

    xy_m = np.where(used[..., None], motion.centroid_m.transpose(1, 0, 2)[labels], np.nan)
    shift_m = boxes[:, :2] - xy_m[:, 0]
    xy_m[~motion.cut[0, labels]] += shift_m[~motion.cut[0, labels], None]
    xy_m[:, 0] = boxes[:, :2]
    yaws = path_headings(xy_m, boxes[:, 3], grid.resolution_m)

    cells = np.sum(motion.cells.T[labels] * used, axis=-1)
    probability = np.clip(np.sum(motion.probability.T[labels] * used, axis=-1) / cells, 0.0, 1.0)
    steps = used.sum(axis=-1)
    return [
        Trajectory(
            probability=float(probability[m]),
            time_step_s=time_step_s,
            start_offset_s=0.0,
            positions_m=np.column_stack([xy_m[m, :end], np.full(end, boxes[m, 2])]),
            yaws_rad=yaws[m, :end],
        )
        for m, end in enumerate(steps)
    ]
