"""Video panoptic quality of predicted instances, at the published ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.future_window import GROUPS, future_windows, has_window
from bev_perception.evaluation.metrics.panoptic_counts import PanopticCounts, panoptic_counts
from bev_perception.evaluation.ranges import RANGES
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY, Hidden


@dataclass(frozen=True, eq=False)
class PanopticRecord:
    """Counts of one window; 0 where nothing was compared.

    Attributes:
        iou_sum: float64 [groups, ranges].
        counts: int64 [groups, ranges, 4]: true positives, false positives, false negatives,
            switches.
    """

    iou_sum: NDArray[np.float64]
    counts: NDArray[np.int64]


class PanopticMetric:
    """VPQ, RQ, SQ and identity switches over the present and all steps ahead.

    See `panoptic_counts`; sums are pooled over all windows. Windows that the ground truth does
    not cover whole do not count. Of all road users, and of vehicles alone as in FIERY's task.

    Args:
        predicts: what the model predicts.
        hidden: what becomes of hidden objects; FIERY and PowerBEV drop them. Where they are
            ignored, their cells belong to nobody, in prediction and ground truth alike.
        min_visibility: see `is_hidden`.
    """

    name = 'vpq'
    record = PanopticRecord

    def __init__(
        self,
        predicts: Predicts,
        hidden: Hidden = 'drop',
        min_visibility: float = MIN_VISIBILITY,
    ) -> None:
        self._predicts, self._hidden, self._min_visibility = predicts, hidden, min_visibility

    def score(self, frame: ScoredFrame) -> PanopticRecord | None:
        if not has_window(frame, self._predicts):
            return None
        how = self._predicts, self._hidden, self._min_visibility
        found: list[PanopticCounts] = []
        for group in GROUPS:
            windows = future_windows(frame, *how, group)
            if not windows['model'].known.all():
                return None
            of_range = {
                name: panoptic_counts(window.predicted, window.truth, window.counts)
                for name, window in windows.items()
            }
            found += [of_range.get(name, PanopticCounts()) for name in RANGES]
        shape = len(GROUPS), len(RANGES)
        return PanopticRecord(
            np.array([counts.iou_sum for counts in found], np.float64).reshape(shape),
            np.array(
                [
                    (c.true_positives, c.false_positives, c.false_negatives, c.switches)
                    for c in found
                ],
                np.int64,
            ).reshape(*shape, 4),
        )

    def summarise(self, scenes: Sequence[Sequence[PanopticRecord]]) -> Mapping[str, Figure]:
        shape = len(GROUPS), len(RANGES)
        iou_sum, table = np.zeros(shape), np.zeros((*shape, 4), np.int64)
        for record in (record for scene in scenes for record in scene):
            iou_sum += record.iou_sum
            table += record.counts
        figures: dict[str, Figure] = {}
        for place, name in np.ndindex(shape):
            counts = PanopticCounts(float(iou_sum[place, name]), *table[place, name].tolist())
            prefix = 'vpq/' + RANGES[name] + ('' if GROUPS[place] == 'all' else '/vehicles')
            figures |= _figures(prefix, counts)
        return figures

    def confusions(self, scenes: Sequence[Sequence[PanopticRecord]]) -> Mapping[str, Confusion]:
        return {}

    def curves(self, scenes: Sequence[Sequence[PanopticRecord]]) -> Mapping[str, Curve]:
        return {}


def _figures(prefix: str, counts: PanopticCounts) -> dict[str, Figure]:
    there = counts.true_positives + counts.false_negatives > 0
    switches = float(counts.switches) if there else None
    return {
        f'{prefix}/VPQ': Figure(counts.quality if there else None),
        f'{prefix}/RQ': Figure(counts.recognition_quality if there else None),
        f'{prefix}/SQ': Figure(counts.segmentation_quality if there else None),
        f'{prefix}/switches': Figure(switches, 'lower', 'count'),
    }
