"""Which detected object is which true one, for judging forecasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import class_group
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.frame import BevObject

MATCH_RADIUS_M = 2.0
GROUPS = ('vehicle', 'two_wheeler', 'pedestrian')


def groups_of(names: Sequence[str]) -> NDArray[np.int64]:
    """Returns int64 [n], index in `GROUPS` of each class; -1 for what is no road user."""
    groups = [class_group(name) for name in names]
    return np.array([-1 if group is None else GROUPS.index(group) for group in groups], np.int64)


def matched_rows(
    found: Sequence[BevObject], found_group: NDArray[np.int64], truth: TruthObjects
) -> NDArray[np.int64]:
    """Returns int64 [n], the true object of each detected one; -1 without.

    Greedily by falling score (equal ones as they come): each takes the nearest true object of
    its group that is still free, if its centre is within 2 m on the ground.
    """
    true_group = groups_of(truth.class_name)
    match = np.full(len(found), -1, np.int64)
    free = true_group >= 0
    score = np.array([item.existence_probability for item in found], np.float64)
    for row in np.argsort(-score, kind='stable').tolist():
        candidates = np.flatnonzero(free & (true_group == found_group[row]))
        if not len(candidates):
            continue
        offset_m = truth.center_m[candidates, :2] - np.array(found[row].center_m[:2])
        away_m = np.hypot(offset_m[:, 0], offset_m[:, 1])
        nearest = int(np.argmin(away_m))
        if away_m[nearest] <= MATCH_RADIUS_M:
            match[row] = candidates[nearest]
            free[match[row]] = False
    return match
