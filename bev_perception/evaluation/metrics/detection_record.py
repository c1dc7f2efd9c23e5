"""What remains of a frame for the metrics of detection."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import DETECTION_CLASSES
from bev_perception.evaluation.metrics.detection_boxes import Boxes
from bev_perception.evaluation.metrics.matching import (
    NOBODY,
    Index,
    center_distances_m,
    falling_order,
    greedy_matches,
)
from bev_perception.evaluation.truth.frame import FloatArray
from bev_perception.geometry.pose import wrap_angle

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
# Errors are those of the matches at this distance.
ERROR_DISTANCE = DISTANCES_M.index(2.0)
FOUND, MISTAKEN, IGNORED = 1, 0, -1

_BARRIER = DETECTION_CLASSES.index('barrier')


@dataclass(frozen=True, eq=False)
class DetectionRecord:
    """The P predicted boxes of a frame that count.

    Attributes:
        kind: int64 [P], index into `DETECTION_CLASSES`.
        score: [P].
        state: int8 [P, 4], at each of `DISTANCES_M`: FOUND a true object of its class, MISTAKEN,
            or IGNORED, which is on a hidden object.
        error: [P, 4], of those FOUND at 2 m: of position (m), size (1 - IoU), heading (rad) and
            velocity (m/s); NaN for others and what cannot be told.
        truths: int64 [10], number of true objects of each class, without hidden ones.
        confusion: int64 [11, 11], true class or nothing, predicted class or nothing.
    """

    kind: Index
    score: FloatArray
    state: NDArray[np.int8]
    error: FloatArray
    truths: Index
    confusion: Index


def detection_record(found: Boxes, truth: Boxes, confusion_score: float) -> DetectionRecord:
    """Returns the record of a frame; see `DetectionMetric` for the confusion."""
    counted, real = found.selected(found.counts), truth.selected(truth.counts)
    state = np.full((len(counted), len(DISTANCES_M)), MISTAKEN, np.int8)
    error = np.full((len(counted), 4), np.nan)
    for kind in np.unique(counted.kind).tolist():
        rows = np.flatnonzero(counted.kind == kind)
        rows = rows[falling_order(counted.score[rows])]
        columns = np.flatnonzero(real.kind == kind)
        for index, limit_m in enumerate(DISTANCES_M):
            partner = _partners(counted, rows, real, columns, limit_m)
            has = partner != NOBODY
            taken, partner = rows[has], partner[has]
            matched = ~real.hidden[partner]
            state[taken, index] = np.where(matched, FOUND, IGNORED)
            if index == ERROR_DISTANCE:
                taken, partner = taken[matched], partner[matched]
                error[taken] = _errors(counted, taken, real, partner)
    truths = np.bincount(real.kind[~real.hidden], minlength=len(DETECTION_CLASSES))
    confusion = _confusion(found, truth, confusion_score)
    return DetectionRecord(counted.kind, counted.score, state, error, truths, confusion)


def _partners(found: Boxes, rows: Index, truth: Boxes, columns: Index, limit_m: float) -> Index:
    """Returns which box of the truth each box of `rows` has, or `NOBODY`.

    Hidden objects are there for boxes alone that find nothing else.
    """
    partner = np.full(len(rows), NOBODY, np.int64)
    for offered in (columns[~truth.hidden[columns]], columns[truth.hidden[columns]]):
        open_rows = np.flatnonzero(partner == NOBODY)
        distance_m = center_distances_m(
            found.objects.center_m[rows[open_rows]], truth.objects.center_m[offered]
        )
        chosen = greedy_matches(distance_m, limit_m)
        partner[open_rows[chosen != NOBODY]] = offered[chosen[chosen != NOBODY]]
    return partner


def _errors(found: Boxes, rows: Index, truth: Boxes, partner: Index) -> FloatArray:
    """Returns [n, 4], errors of boxes against their true ones (nuScenes, `eval/common/utils.py`).

    Heading is the smallest angle, of barriers, which look the same from both sides, modulo pi.
    """
    ours, theirs = found.objects.selected(rows), truth.objects.selected(partner)
    place = np.hypot(*(ours.center_m - theirs.center_m)[:, :2].T)
    both = np.minimum(ours.size_m, theirs.size_m).prod(axis=1)
    with np.errstate(invalid='ignore'):
        overlap = both / (ours.size_m.prod(axis=1) + theirs.size_m.prod(axis=1) - both)
    turn = np.abs(wrap_angle(ours.yaw_rad - theirs.yaw_rad))
    turn = np.where(truth.kind[partner] == _BARRIER, np.minimum(turn, np.pi - turn), turn)
    speed = np.hypot(*(ours.velocity_mps - theirs.velocity_mps).T)
    return np.stack([place, 1.0 - overlap, turn, speed], axis=1)


def _confusion(found: Boxes, truth: Boxes, min_score: float) -> Index:
    """Returns int64 [11, 11] of matches within 2 m whatever the classes.

    Boxes beyond their class's range, without points or hidden may match, but do not count as
    missed or invented.
    """
    found = found.selected(found.score >= min_score)
    counts = np.zeros((len(DETECTION_CLASSES) + 1,) * 2, np.int64)
    rows = falling_order(found.score)
    idle = ~truth.counts | truth.hidden
    seen = replace(truth, hidden=idle)
    partner = _partners(found, rows, seen, np.arange(len(truth)), DISTANCES_M[ERROR_DISTANCE])
    invented = rows[(partner == NOBODY) & found.counts[rows]]
    np.add.at(counts[-1], found.kind[invented], 1)
    rows, partner = rows[partner != NOBODY], partner[partner != NOBODY]
    rows, partner = rows[~idle[partner]], partner[~idle[partner]]
    np.add.at(counts, (truth.kind[partner], found.kind[rows]), 1)
    missed = ~idle
    missed[partner] = False
    np.add.at(counts[:, -1], truth.kind[missed], 1)
    return counts
