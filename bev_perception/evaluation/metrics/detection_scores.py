"""From the pooled boxes of a class to its scores, and from those of all classes to NDS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import DETECTION_CLASSES
from bev_perception.evaluation.metrics.detection_curves import (
    OperatingCurve,
    average_precision,
    mean_error,
    operating_curve,
)
from bev_perception.evaluation.metrics.detection_record import (
    DISTANCES_M,
    ERROR_DISTANCE,
    FOUND,
    IGNORED,
    DetectionRecord,
)
from bev_perception.evaluation.metrics.matching import Index, falling_order
from bev_perception.evaluation.truth.frame import FloatArray

# Of position, size, heading, velocity and attribute.
ERRORS = ('ATE', 'ASE', 'AOE', 'AVE', 'AAE')
# mAP weighs as much in NDS as the five errors together.
_AP_WEIGHT = 5
_WITHOUT = {'traffic_cone': ('AOE', 'AVE', 'AAE'), 'barrier': ('AVE', 'AAE')}


def has_error(name: str, error: str) -> bool:
    """Returns whether an error is defined for a class: cones have no heading, for example."""
    return error not in _WITHOUT.get(name, ())


@dataclass(frozen=True, eq=False)
class PooledBoxes:
    """All predicted boxes of some frames, see `DetectionRecord`, in the order of the frames."""

    kind: Index
    score: FloatArray
    state: NDArray[np.int8]
    error: FloatArray
    truths: Index

    @classmethod
    def of(cls, parts: Sequence[DetectionRecord | PooledBoxes]) -> PooledBoxes:
        """Returns the boxes of several frames, or of several scenes."""
        if not parts:
            none = np.zeros(0)
            shape = (0, len(DISTANCES_M))
            return cls(
                none.astype(np.int64), none, np.zeros(shape, np.int8), np.zeros((0, 4)),
                np.zeros(len(DETECTION_CLASSES), np.int64),
            )  # fmt: skip
        return cls(
            np.concatenate([part.kind for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.state for part in parts]),
            np.concatenate([part.error for part in parts]),
            np.sum([part.truths for part in parts], axis=0),
        )


@dataclass(frozen=True, eq=False)
class ClassScores:
    """How well a class is detected.

    Attributes:
        truths: number of its true objects.
        curves: at each of `DISTANCES_M`.
        ap: likewise; 0 without true objects.
        errors: as nuScenes counts them, 1 where nothing is known; NaN where not defined for the
            class.
        known: names of the errors that are known.
    """

    truths: int
    curves: tuple[OperatingCurve, ...]
    ap: tuple[float, ...]
    errors: Mapping[str, float]
    known: tuple[str, ...]

    @property
    def mean_ap(self) -> float:
        """Returns the mean over the distances."""
        return float(np.mean(self.ap))


def class_scores(boxes: PooledBoxes, name: str) -> ClassScores:
    """Returns the scores of a detection class."""
    kind = DETECTION_CLASSES.index(name)
    rows = np.flatnonzero(boxes.kind == kind)
    rows = rows[falling_order(boxes.score[rows])]
    state, score, truths = boxes.state[rows], boxes.score[rows], int(boxes.truths[kind])
    curves = []
    for index in range(len(DISTANCES_M)):
        kept = state[:, index] != IGNORED
        curves.append(operating_curve(state[kept, index] == FOUND, score[kept], truths))
    hit = state[:, ERROR_DISTANCE] == FOUND
    # No attribute is predicted: wherever there is a match it is wrong.
    error = np.pad(boxes.error[rows[hit]], ((0, 0), (0, 1)), constant_values=1.0)
    errors, known = {}, []
    for column, label in enumerate(ERRORS):
        if not has_error(name, label):
            errors[label] = np.nan
            continue
        errors[label] = mean_error(error[:, column], score[hit], curves[ERROR_DISTANCE])
        if label != 'AAE' and not (hit.any() and np.isnan(error[:, column]).all()):
            known.append(label)
    return ClassScores(
        truths, tuple(curves), tuple(map(average_precision, curves)), errors, tuple(known)
    )


def detection_score(mean_ap: float, errors: Sequence[float | None]) -> float:
    """Returns NDS in [0, 1] (nuScenes, equation 3); an error that is not known counts as 1."""
    scores = [0.0 if error is None else max(0.0, 1.0 - error) for error in errors]
    return (_AP_WEIGHT * mean_ap + sum(scores)) / (_AP_WEIGHT + len(scores))
