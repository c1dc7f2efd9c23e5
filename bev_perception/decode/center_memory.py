"""Where the centre of every instance is expected, for cells that no label map explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.center_votes import nearest_center
from bev_perception.decode.grouping import group_count, group_mean
from bev_perception.geometry.grid import BevGrid


class CenterMemory:
    """Expected centres of the instances seen so far, one step after another.

    An instance is expected at the mean of its cells: exact when it is wholly in view, a guess
    when the grid's border cuts it. One without cells, hidden or gone, moves on as it moved last.

    Args:
        grid: geometry of the label maps.
        near_m: how far from its expected centre an instance wholly in view is recognised.
        far_m: likewise one whose centre is a guess; for one that is cut, half the object's
            length as far as it was seen at the start, if that is more.
    """

    def __init__(self, grid: BevGrid, near_m: float, far_m: float) -> None:
        self._grid = grid
        self._near_m, self._far_m = near_m, far_m
        self._center_m = np.full((1, 2), np.nan)
        self._drift_m = np.zeros((1, 2))
        self._reach_m = np.zeros(1)
        self._radius_m = np.zeros(1)
        self._whole = np.zeros(1, dtype=bool)

    @property
    def count(self) -> int:
        """Number of labels given so far; the next new label is `count + 1`."""
        return len(self._center_m) - 1

    def recognise(self, points_m: NDArray[np.floating]) -> NDArray[np.int64]:
        """Returns [n]: label whose expected centre is nearest to each point, 0 if none is near.

        Instances wholly in view come first, then those whose centres are guesses.
        """
        labels = np.zeros(len(points_m), dtype=np.int64)
        for known in (self._whole, ~self._whole):
            candidates = np.flatnonzero(known[1:]) + 1
            missing = np.flatnonzero(labels == 0)
            if not len(candidates) or not len(missing):
                continue
            index, distance_m = nearest_center(
                points_m[missing], self._center_m[candidates], self._grid
            )
            label = candidates[index]
            labels[missing] = np.where(distance_m <= self._radius_m[label], label, 0)
        return labels

    def start(
        self,
        labels: NDArray[np.int64],
        cells_m: NDArray[np.floating],
        votes_m: NDArray[np.floating],
    ) -> None:
        """Takes the instances of the present step, whose cells vote for their present centres.

        Args:
            labels: [n], label of each foreground cell, 0 = none.
            cells_m: [n, 2], centre of each cell.
            votes_m: [n, 2], where the cell's flow points.
        """
        groups = int(labels.max(initial=0)) + 1
        self._grow(groups)
        self._center_m = group_mean(labels, votes_m, groups)
        np.maximum.at(self._reach_m, labels, np.linalg.norm(votes_m - cells_m, axis=-1))
        self._radius_m = np.full(groups, self._near_m)
        self._whole = np.ones(groups, dtype=bool)

    def follow(self, labels: NDArray[np.int64], cells_m: NDArray[np.floating]) -> None:
        """Takes the instances of the next step; `labels` as in `start`, may hold new ones."""
        groups = max(int(labels.max(initial=0)), self.count) + 1
        self._grow(groups)
        visible = group_count(labels, groups) > 0
        cut = group_count(labels[self._on_border(cells_m)], groups) > 0
        self._whole = visible & ~cut

        mean_m = group_mean(labels, cells_m, groups)
        center_m = np.where(visible[:, None], mean_m, self._center_m + self._drift_m)
        # New instances have no place before.
        moved_m = np.nan_to_num(center_m - self._center_m)
        self._drift_m = np.where(visible[:, None], moved_m, self._drift_m)
        self._center_m = center_m
        guess_m = np.where(cut, np.maximum(self._reach_m, self._far_m), self._far_m)
        self._radius_m = np.where(self._whole, self._near_m, guess_m)

    def _grow(self, groups: int) -> None:
        new = (0, groups - len(self._center_m))
        self._center_m = np.pad(self._center_m, (new, (0, 0)), constant_values=np.nan)
        self._drift_m = np.pad(self._drift_m, (new, (0, 0)))
        self._reach_m = np.pad(self._reach_m, new)

    def _on_border(self, cells_m: NDArray[np.floating]) -> NDArray[np.bool_]:
        grid = self._grid
        low = np.array([grid.x_min_m, grid.y_min_m]) + grid.resolution_m
        high = np.array([grid.x_max_m, grid.y_max_m]) - grid.resolution_m
        outer = (cells_m < low) | (cells_m > high)
        return outer[:, 0] | outer[:, 1]
