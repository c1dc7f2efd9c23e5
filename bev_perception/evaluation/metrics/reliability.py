"""Whether a probability of being occupied means what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import source_layer
from bev_perception.evaluation.figure import Figure, ratio
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.iou_cells import (
    CellTruth,
    truth_of_layer,
    truth_of_objects,
)
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY, Hidden, is_hidden
from bev_perception.geometry.grid import BevGrid

BINS = 15


@dataclass(frozen=True, eq=False)
class ReliabilityRecord:
    """Cells of one frame by predicted probability, in bins of equal width.

    Attributes:
        cells: int64 [BINS].
        occupied: int64 [BINS], of those the ones that are occupied.
        probability_sum: float64 [BINS], of their probabilities.
        squared_error: float64 [1], sum over all of them.
        unknown: int64 [2]: cells that no camera sees, and all cells of the grid.
    """

    cells: NDArray[np.int64]
    occupied: NDArray[np.int64]
    probability_sum: NDArray[np.float64]
    squared_error: NDArray[np.float64]
    unknown: NDArray[np.int64]


class ReliabilityMetric:
    """Expected calibration error, Brier score and share of unknown cells of the occupancy.

    ECE = sum over bins of cells / all * |mean probability - share occupied|, with 15 bins of
    equal width [i / 15, (i + 1) / 15), the last one closed (Guo et al. 2017, "On calibration of
    modern neural networks", equation 3, for the probability of one event). Brier = mean of
    (probability - occupied)^2 (Brier 1950). Cells that some camera sees, over the model's grid.

    True occupancy is the source's map 'occupancy'. Without one the footprints of its objects are
    what is occupied, and all else is free: right for models that predict movable things alone.

    Args:
        predicts: what the model predicts.
        hidden: what becomes of hidden objects where objects are the truth; see `Hidden`.
        min_visibility: see `is_hidden`.
    """

    name = 'occupancy'
    record = ReliabilityRecord

    def __init__(
        self,
        predicts: Predicts,
        hidden: Hidden = 'ignore',
        min_visibility: float = MIN_VISIBILITY,
    ) -> None:
        self._predicts, self._hidden, self._min_visibility = predicts, hidden, min_visibility

    def score(self, frame: ScoredFrame) -> ReliabilityRecord | None:
        prediction = frame.prediction
        probability, occupied = np.zeros(0), np.zeros(0, np.bool_)
        if prediction.occupancy is not None:
            truth = self._truth(frame.truth, prediction.grid)
            if truth is not None:
                scored = truth.counts & prediction.observed
                probability = prediction.occupancy[scored].astype(np.float64)
                occupied = truth.there[scored]
        place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        seen = int(prediction.observed.sum())
        return ReliabilityRecord(
            np.bincount(place, minlength=BINS).astype(np.int64),
            np.bincount(place[occupied], minlength=BINS).astype(np.int64),
            np.bincount(place, probability, BINS).astype(np.float64),
            np.array([np.sum((probability - occupied) ** 2)]),
            np.array([prediction.observed.size - seen, prediction.observed.size], np.int64),
        )

    def summarise(self, scenes: Sequence[Sequence[ReliabilityRecord]]) -> Mapping[str, Figure]:
        total = _pooled(scenes)
        count = int(total.cells.sum())
        gap = np.abs(total.probability_sum - total.occupied).sum()
        unknown, cells = total.unknown.tolist()
        return {
            'occupancy/ECE': ratio(float(gap), count, 'lower'),
            'occupancy/Brier': ratio(float(total.squared_error[0]), count, 'lower'),
            'occupancy/unknown_share': ratio(unknown, cells, 'lower'),
        }

    def confusions(self, scenes: Sequence[Sequence[ReliabilityRecord]]) -> Mapping[str, Confusion]:
        return {}

    def curves(self, scenes: Sequence[Sequence[ReliabilityRecord]]) -> Mapping[str, Curve]:
        if not self._predicts.occupancy:
            return {}
        total = _pooled(scenes)
        middle = (np.arange(BINS) + 0.5) / BINS
        some = total.cells > 0
        count = np.maximum(total.cells, 1)
        return {
            'occupancy/reliability': Curve(
                np.where(some, total.probability_sum / count, middle),
                np.where(some, total.occupied / count, np.nan),
                'predicted probability',
                'share occupied',
            )
        }

    def _truth(self, truth: TruthFrame, grid: BevGrid) -> CellTruth | None:
        source = source_layer('occupancy', tuple(truth.layers))
        if source is not None:
            return truth_of_layer(truth.layers[source], grid)
        if truth.objects is None:
            return None
        hidden = is_hidden(truth.objects, self._min_visibility)
        return truth_of_objects(truth.objects, hidden, self._hidden, grid)


def _pooled(scenes: Sequence[Sequence[ReliabilityRecord]]) -> ReliabilityRecord:
    """Returns the sums over all frames of scenes."""
    records = [record for scene in scenes for record in scene]
    return ReliabilityRecord(
        sum((record.cells for record in records), np.zeros(BINS, np.int64)),
        sum((record.occupied for record in records), np.zeros(BINS, np.int64)),
        sum((record.probability_sum for record in records), np.zeros(BINS)),
        sum((record.squared_error for record in records), np.zeros(1)),
        sum((record.unknown for record in records), np.zeros(2, np.int64)),
    )
