"""Sums and means of values by label, without a loop over labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def group_count(labels: NDArray[np.integer], groups: int) -> NDArray[np.int64]:
    """Returns int64 [groups]: how often each label 0..groups - 1 occurs."""
    return np.bincount(labels, minlength=groups)


def group_sum(
    labels: NDArray[np.integer], values: NDArray[np.floating], groups: int
) -> NDArray[np.float64]:
    """Returns float64 [groups]: sums of values [n] by label."""
    return np.asarray(np.bincount(labels, values, groups), dtype=np.float64)


def group_mean(
    labels: NDArray[np.integer], values: NDArray[np.floating], groups: int
) -> NDArray[np.float64]:
    """Returns float64 [groups, d]: means of values [n, d] by label; NaN where there are none."""
    count = group_count(labels, groups)
    sums = np.stack([group_sum(labels, column, groups) for column in values.T], axis=-1)
    with np.errstate(invalid='ignore'):
        return sums / count[:, None]


def compact(labels: NDArray[np.integer], keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns the labels renumbered 1, 2, ... over the kept ones in rising order; others 0.

    Args:
        labels: any shape, in 0..len(keep) - 1.
        keep: per label; that of label 0 (none) must be False.
    """
    return np.where(keep, np.cumsum(keep), 0)[labels]
