"""What is true in the cells of a grid, and how many of them a prediction gets right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.ranges import on_grid
from bev_perception.evaluation.truth.frame import TruthLayer, TruthObjects
from bev_perception.evaluation.truth.hidden import Hidden
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.geometry.grid import BevGrid

BoolArray = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CellTruth:
    """Ground truth of one class on a grid.

    Attributes:
        there: bool [Y, X].
        counts: bool [Y, X], the cell is scored.
    """

    there: BoolArray
    counts: BoolArray


def truth_of_objects(
    objects: TruthObjects, hidden: BoolArray, how: Hidden, grid: BevGrid
) -> CellTruth:
    """Returns where objects are, given which [M] are hidden and how those are treated."""
    shown = object_mask(objects if how == 'keep' else objects.selected(~hidden), grid)
    counts = np.ones(grid.shape, np.bool_)
    if how == 'ignore':
        counts = shown | ~object_mask(objects.selected(hidden), grid)
    return CellTruth(shown, counts)


def truth_of_layer(layer: TruthLayer, grid: BevGrid) -> CellTruth:
    """Returns where a map has its class; what is unknown or outside of the map is not scored."""
    there = on_grid(layer.cells > 0, layer.grid, grid)
    return CellTruth(there, on_grid(layer.cells >= 0, layer.grid, grid))


def cell_counts(predicted: BoolArray, truth: BoolArray, counts: BoolArray) -> Counts:
    """Returns int64 [3] of masks [Y, X]: cells in both, predicted only, true only."""
    said, true = predicted & counts, truth & counts
    both = np.count_nonzero(said & true)
    return np.array([both, np.count_nonzero(said) - both, np.count_nonzero(true) - both], np.int64)


def ring_counts(
    predicted: BoolArray, truth: BoolArray, counts: BoolArray, ring: NDArray[np.int64], rings: int
) -> Counts:
    """Returns int64 [rings, 3] as `cell_counts`, by the ring [Y, X] that a cell is in.

    Cells of a ring >= rings are left out.
    """
    chosen = np.flatnonzero((predicted | truth) & counts & (ring < rings))
    said, true = predicted.ravel()[chosen], truth.ravel()[chosen]
    kind = np.where(said, np.where(true, 0, 1), 2)
    table = np.bincount(ring.ravel()[chosen] * 3 + kind, minlength=rings * 3)
    return table.astype(np.int64).reshape(rings, 3)


def iou(counts: Counts) -> Figure:
    """Returns IoU = TP / (TP + FP + FN) of pooled counts [3]; n/a when nothing is true."""
    both, wrong, missed = counts.tolist()
    return Figure(both / (both + wrong + missed) if both + missed else None)
