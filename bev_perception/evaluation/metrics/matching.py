"""Who belongs to whom: predictions and true objects, by the distance of their centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bev_perception.evaluation.truth.frame import FloatArray

Index = NDArray[np.int64]

NOBODY = -1


def center_distances_m(first_m: FloatArray, second_m: FloatArray) -> FloatArray:
    """Returns [P, T]: distances on the ground of centres [P, >=2] and [T, >=2]."""
    difference = first_m[:, None, :2] - second_m[None, :, :2]
    return np.hypot(difference[..., 0], difference[..., 1])


def falling_order(score: FloatArray) -> Index:
    """Returns the rows of scores [P] from the highest; of equal ones the last comes first.

    So nuScenes' development kit orders boxes (`eval/detection/algo.py: accumulate`).
    """
    return np.argsort(score, kind='stable')[::-1]


def greedy_matches(distance_m: FloatArray, limit_m: float) -> Index:
    """Returns int64 [P], whom each row has: its nearest column that no earlier row has.

    A row whose nearest free column is not nearer than the limit has `NOBODY`, and of columns
    equally near it takes the first (nuScenes, Caesar et al. 2020, section 3.1).

    Args:
        distance_m: [P, T], rows in the order in which they choose.
        limit_m: what is matched is nearer than this.
    """
    chosen = np.full(len(distance_m), NOBODY, np.int64)
    if not distance_m.size:
        return chosen
    free = np.where(distance_m < limit_m, distance_m, np.inf)
    for row in np.flatnonzero(np.isfinite(free).any(axis=1)).tolist():
        column = int(free[row].argmin())
        if np.isfinite(free[row, column]):
            chosen[row] = column
            free[:, column] = np.inf
    return chosen


def best_matches(distance_m: FloatArray, limit_m: float) -> tuple[Index, Index]:
    """Returns (rows, columns) of as many pairs as there can be, of the least sum of distances.

    Args:
        distance_m: [T, P].
        limit_m: what is matched is nearer than this.
    """
    near = distance_m < limit_m
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if near.sum() == len(rows) == len(columns):
        first, second = np.nonzero(near)
        return first, second
    near, cost = near[np.ix_(rows, columns)], distance_m[np.ix_(rows, columns)]
    # Dearer than all pairs together: another pair is always worth it.
    cost = np.where(near, cost, 2.0 * min(cost.shape) * limit_m + 1.0)
    first, second = linear_sum_assignment(cost)
    real = near[first, second]
    return rows[first[real]], columns[second[real]]
