"""Average precision and errors of what was found, as nuScenes computes them.

Sources: nuScenes (Caesar et al. 2020, section 3.1) and its development kit,
`eval/detection/algo.py`. All arrays are in falling order of the scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.frame import FloatArray

RECALL = np.linspace(0.0, 1.0, 101)
# Nothing counts at a recall or with a precision of this or less.
_MIN_PRECISION, _FIRST = 0.1, 11


@dataclass(frozen=True, eq=False)
class OperatingCurve:
    """What a class is like at 101 recalls from 0 to 1.

    Attributes:
        precision: [101]; 0 where the recall is not reached.
        score: [101], of the weakest box that the recall needs; likewise.
    """

    precision: FloatArray
    score: FloatArray

    @property
    def last(self) -> int:
        """Index of the highest recall reached."""
        reached = np.flatnonzero(self.score)
        return int(reached[-1]) if len(reached) else 0


def operating_curve(found: NDArray[np.bool_], score: FloatArray, truths: int) -> OperatingCurve:
    """Returns precision and score over recall.

    Args:
        found: bool [P], of each box, whether it is a true object's.
        score: [P], falling.
        truths: number of true objects.
    """
    if not truths or not found.any():
        return OperatingCurve(np.zeros(len(RECALL)), np.zeros(len(RECALL)))
    hits = np.cumsum(found)
    precision, recall = hits / np.arange(1.0, len(found) + 1.0), hits / truths
    return OperatingCurve(
        np.interp(RECALL, recall, precision, right=0.0),
        np.interp(RECALL, recall, score, right=0.0),
    )


def average_precision(curve: OperatingCurve) -> float:
    """Returns AP in [0, 1]: the mean of what precision is above 0.1, at recalls above 0.1."""
    above = np.maximum(curve.precision[_FIRST:] - _MIN_PRECISION, 0.0)
    return float((above / (1.0 - _MIN_PRECISION)).mean())


def mean_error(error: FloatArray, score: FloatArray, curve: OperatingCurve) -> float:
    """Returns the mean error over the recalls above 0.1 that are reached; 1 if none is.

    At each recall it is the mean over all found boxes with at least the score there.

    Args:
        error: [F], of the boxes that were found; NaN where it cannot be told, and 1 when that is
            everywhere.
        score: [F], falling.
        curve: of the class at the distance at which the boxes were found.
    """
    if curve.last < _FIRST:
        return 1.0
    mean = running_mean(error)
    over_recall = np.interp(curve.score[::-1], score[::-1], mean[::-1])[::-1]
    return float(over_recall[_FIRST : curve.last + 1].mean())


def running_mean(values: FloatArray) -> FloatArray:
    """Returns [n], the mean up to each value; NaN are left out, and all NaN give ones.

    Before the first number it is 0, which is how the development kit has it.
    """
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    return np.asarray(np.nancumsum(values) / np.maximum(np.cumsum(known), 1))
