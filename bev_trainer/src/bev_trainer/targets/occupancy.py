"""Targets of the occupancy head, and the cells in which they count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import layer_classes
from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid
from bev_trainer.targets.labels import FrameLabels, ObjectLabels

UNKNOWN, FREE, OCCUPIED = -1, 0, 1


def occupancy_target(
    labels: FrameLabels, objects: ObjectLabels, grid: BevGrid
) -> NDArray[np.int8]:
    """Returns int8 [Y, X]: 1 where anything stands, 0 where ground is free, -1 unknown.

    The whole footprint of a road user that a camera shows is occupied; of what never moves those
    cells that are known. Free is what a camera sees and where nothing stands. Where nothing is
    known about free ground, as of boxes alone, everything is unknown: from occupied cells without
    free ones a network would learn that all is occupied.
    """
    target = np.full(grid.shape, UNKNOWN, np.int8)
    obstacles = labels.obstacles(grid)
    if obstacles is None:
        return target
    target[labels.observed(grid) & (obstacles == 0)] = FREE
    target[obstacles == 1] = OCCUPIED
    target[_footprints(objects, grid, objects.visible)] = OCCUPIED
    target[_footprints(objects, grid, ~objects.visible)] = UNKNOWN
    return target


def semantic_target(
    labels: FrameLabels, objects: ObjectLabels, grid: BevGrid, names: Sequence[str]
) -> NDArray[np.int8]:
    """Returns int8 [C, Y, X]: 1 where a layer is, 0 where it is not, -1 where nothing counts.

    Of what never moves only cells that a camera sees count, and the whole footprints of road users
    that a camera shows. Of road users everything counts, as in Lift-Splat-Shoot (Philion and
    Fidler 2020) and in `IouMetric`, but the footprints of those that no camera shows: where nobody
    looks, too, a model is wrong to claim one. Layers that the data set does not know never count,
    nor do cells in which it does not know them.
    """
    shown = _footprints(objects, grid, objects.visible)
    hidden = _footprints(objects, grid, ~objects.visible)
    seen = (labels.observed(grid) | shown) & ~hidden
    target = np.full((len(names), *grid.shape), UNKNOWN, np.int8)
    for plane, name in zip(target, names, strict=True):
        layer = labels.layer(name, grid)
        if layer is not None:
            counts = seen if layer_classes(name) is None else shown | ~hidden
            plane[counts] = layer[counts]
    return target


def _footprints(
    objects: ObjectLabels, grid: BevGrid, which: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    covered = np.zeros(grid.shape, np.bool_)
    boxes = objects.center_m[which], objects.size_m[which], objects.yaw_rad[which]
    for _, window, mask in footprint_cells(*boxes, grid):
        covered[window] |= mask
    return covered
