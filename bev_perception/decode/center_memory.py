"""Where the centre of every instance is expected, for cells that no label map explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bev_perception.decode.center_votes import nearest_center
from bev_perception.decode.grouping import group_count, group_mean
from bev_perception.geometry.grid import BevGrid

Labels = NDArray[np.int64]
Points = NDArray[np.float64]

# What `CenterMemory` keeps per label: [labels, 2] and [labels].
_PLACES = ('_center_m', '_told_m', '_drift_m')
_COUNTS = (
    *('_told_step', '_reach_m', '_radius_m', '_waiting'),
    *('_whole', '_inner', '_guess', '_hidden'),
)


@dataclass(frozen=True)
class NewGroups:
    """Groups of cells that no label explains.

    Attributes:
        told_m: [n, 2], where the flow of each group points: its centre a step before.
        entering: bool [n], that it was outside the grid then.
    """

    told_m: Points
    entering: NDArray[np.bool_]


class CenterMemory:
    """Expected centres of the instances seen so far, one step after another.

    An instance wholly in view has its centre at the mean of its cells. Of one that the grid's
    border cuts, the cells tell by their flow where its centre was a step earlier, and two such
    places where it is now; until there are two it may be at the mean of the visible cells or
    still where it was. One without cells, hidden or gone, moves on as it moved last.

    Args:
        grid: geometry of the label maps.
        near_m: how far from its expected centre an instance wholly in view is recognised.
        far_m: likewise one whose centre is extrapolated. Where it is a guess this is at least
            the distance of the first cells from the centre they pointed at; while one that was
            wholly in view is hidden it grows by as much with every step, twice as much if its
            motion was never seen.
    """

    def __init__(self, grid: BevGrid, near_m: float, far_m: float) -> None:
        self._grid = grid
        self._near_m, self._far_m = near_m, far_m
        self._step = 0
        self._center_m = np.full((1, 2), np.nan)
        self._told_m = np.full((1, 2), np.nan)
        self._told_step = np.zeros(1, dtype=np.int64)
        self._drift_m = np.full((1, 2), np.nan)
        self._reach_m = np.zeros(1)
        self._radius_m = np.zeros(1)
        self._waiting = np.ones(1)
        self._whole = np.zeros(1, dtype=bool)
        self._inner = np.zeros(1, dtype=bool)
        self._guess = np.zeros(1, dtype=bool)
        self._hidden = np.zeros(1, dtype=np.int64)

    @property
    def count(self) -> int:
        """Number of labels given so far; the next new label is `count + 1`."""
        return len(self._center_m) - 1

    def near(self, points_m: Points, labels: Labels, told_m: Points) -> Labels:
        """Returns [n]: label whose centre is nearest to each point, 0 if none is near.

        Out of the instances wholly in view a step before, and those that are already recognised
        in this step, whose cells tell where the centre was.

        Args:
            points_m: [n, 2], where the flow of cells points.
            labels: of the cells that are recognised already.
            told_m: where their flow points.
        """
        groups = self.count + 1
        places_m = np.where(
            self._whole[:, None], self._center_m, group_mean(labels, told_m, groups)
        )
        candidates = np.flatnonzero(np.isfinite(places_m[1:, 0])) + 1
        if not len(candidates) or not len(points_m):
            return np.zeros(len(points_m), dtype=np.int64)
        index, distance_m = nearest_center(points_m, places_m[candidates])
        return np.where(distance_m <= self._near_m, candidates[index], 0)

    def claim(self, groups: NewGroups, taken: NDArray[np.bool_]) -> Labels:
        """Returns [n]: label of each new group of cells that is an old one come back, else 0.

        Args:
            groups: of cells that no label explains.
            taken: bool [count + 1], labels that are not looked for.
        """
        lost = np.flatnonzero(~taken[1:]) + 1
        guess = lost[self._guess[lost]]
        found = np.zeros(len(groups.told_m), dtype=np.int64)
        if not len(lost) or not len(found):
            return found
        row, label, gap_m = _pairs(
            groups.told_m, self._center_m, lost, self._radius_m[lost] * self._waiting[lost]
        )
        # Who enters the grid has not been hidden inside for long.
        close = (gap_m <= self._radius_m[label]) | ~groups.entering[row]
        stood_m = np.where(self._hidden[guess] > 0, 0.0, self._far_m) + self._radius_m[guess]
        stood = _pairs(groups.told_m, self._told_m, guess, stood_m)
        row = np.concatenate([row[close], stood[0]])
        label = np.concatenate([label[close], stood[1]])
        gap_m = np.concatenate([gap_m[close], stood[2]])

        free = ~taken
        # The longer ago one was seen, the less likely it comes back.
        order = np.argsort(gap_m * (1 + self._hidden[label]), kind='stable')
        for group, old in zip(row[order].tolist(), label[order].tolist(), strict=True):
            if found[group] == 0 and free[old]:
                found[group], free[old] = old, False
        return found

    def start(self, labels: Labels, cells_m: Points, votes_m: Points) -> None:
        """Takes the instances of the present step, whose cells vote for their present centres.

        Args:
            labels: [n], label of each foreground cell, 0 = none.
            cells_m: [n, 2], centre of each cell.
            votes_m: [n, 2], where the cell's flow points.
        """
        groups = int(labels.max(initial=0)) + 1
        self._grow(groups)
        self._measure_reach(labels, cells_m, votes_m)
        self._center_m = self._told_m = group_mean(labels, votes_m, groups)
        self._radius_m = np.full(groups, self._far_m)
        self._whole = np.ones(groups, dtype=bool)
        self._inner = ~self._are_cut(labels, cells_m, groups)

    def follow(self, labels: Labels, cells_m: Points, votes_m: Points) -> None:
        """Takes the instances of the next step, whose cells vote for the centres before.

        Args as in `start`; there may be new labels.
        """
        self._step += 1
        groups = max(int(labels.max(initial=0)), self.count) + 1
        born = labels > self.count
        self._grow(groups)
        self._measure_reach(labels[born], cells_m[born], votes_m[born])
        visible = group_count(labels, groups) > 0
        cut = self._are_cut(labels, cells_m, groups)
        self._whole = visible & ~cut
        self._inner = np.where(visible, ~cut, self._inner)
        self._hidden = np.where(visible, 0, self._hidden + 1)

        mean_m = group_mean(labels, cells_m, groups)
        told_m = group_mean(labels, votes_m, groups)
        self._learn_drift(mean_m, told_m)
        known = np.isfinite(self._drift_m[:, 0])
        drift_m = np.where(known[:, None], self._drift_m, 0.0)
        moved_m = np.where(visible[:, None], told_m, self._center_m) + drift_m
        self._guess = ~self._inner & ~known
        by_cells = self._whole | (visible & self._guess)
        self._center_m = np.where(by_cells[:, None], mean_m, moved_m)
        self._set_radii(visible, known)

    def _learn_drift(self, mean_m: Points, told_m: Points) -> None:
        """Brings up how far each instance moves per step, from the means and what cells tell."""
        steps = self._step - 1 - self._told_step
        since_m = (told_m - self._told_m) / np.maximum(steps, 1)[:, None]
        now_m = np.where(self._whole[:, None], mean_m - told_m, since_m)
        usable = np.isfinite(now_m[:, 0]) & (self._whole | (steps > 0))
        self._drift_m = np.where(usable[:, None], now_m, self._drift_m)
        told = np.isfinite(told_m[:, 0])
        self._told_m = np.where(told[:, None], told_m, self._told_m)
        self._told_step = np.where(told, self._step - 1, self._told_step)

    def _set_radii(self, visible: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        reach_m = np.where(self._guess, self._reach_m, 0.0)
        self._radius_m = np.maximum(self._far_m, reach_m)
        # Cut when it was seen last, moving nobody knows where: it has left, or stands there.
        self._radius_m[self._guess & ~visible] = self._near_m
        x_m, y_m = self._center_m.T
        inside = self._grid.to_cell(x_m, y_m)[2] & (self._inner | known)
        self._waiting = 1.0 + np.where(inside, np.where(known, 1, 2) * self._hidden, 0)

    def _measure_reach(self, labels: Labels, cells_m: Points, votes_m: Points) -> None:
        offset_m = votes_m - cells_m
        np.maximum.at(self._reach_m, labels, np.hypot(offset_m[:, 0], offset_m[:, 1]))

    def _grow(self, groups: int) -> None:
        new = groups - len(self._center_m)
        if new:
            unknown = np.full((new, 2), np.nan)
            for name in _PLACES:
                setattr(self, name, np.concatenate([getattr(self, name), unknown]))
            for name in _COUNTS:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros(new, old.dtype)]))

    def _are_cut(self, labels: Labels, cells_m: Points, groups: int) -> NDArray[np.bool_]:
        grid = self._grid
        low = np.array([grid.x_min_m, grid.y_min_m]) + grid.resolution_m
        high = np.array([grid.x_max_m, grid.y_max_m]) - grid.resolution_m
        outer = ((cells_m < low) | (cells_m > high)).any(axis=-1)
        return np.asarray(group_count(labels[outer], groups) > 0)


def _pairs(
    points_m: Points, places_m: Points, labels: Labels, radius_m: NDArray[np.float64]
) -> tuple[NDArray[np.int64], Labels, NDArray[np.float64]]:
    """Returns (point, label, distance), each [n], of those labels' places near points.

    Args:
        points_m: [P, 2].
        places_m: [L, 2], by label.
        labels: [m], those that are looked at.
        radius_m: [m], how near.
    """
    near = KDTree(points_m).query_ball_point(places_m[labels], radius_m, return_sorted=True)
    label = np.repeat(labels, [len(points) for points in near])
    point = np.array([p for points in near for p in points], dtype=np.int64)
    offset_m = points_m[point] - places_m[label]
    return point, label, np.hypot(offset_m[:, 0], offset_m[:, 1])
