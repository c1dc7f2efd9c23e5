"""IoU of movable things now and in the future."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.future_window import future_windows, has_window
from bev_perception.evaluation.metrics.iou_cells import Counts, cell_counts, iou
from bev_perception.evaluation.ranges import RANGES
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY, Hidden


@dataclass(frozen=True, eq=False)
class FutureIouRecord:
    """Cells of one frame over its horizon.

    Attributes:
        cells: int64 [ranges, T + 1, 3]: in both, predicted only, true only; 0 where nothing was
            compared.
        known: bool [T + 1], the ground truth reaches to the step.
    """

    cells: Counts
    known: NDArray[np.bool_]


class FutureIouMetric:
    """IoU of instances against footprints, pooled over cells, frames and steps t = 0..T.

    FIERY (Hu et al. 2021, section 5.1), as its program pools it; only windows that the ground
    truth covers whole count. The curve over the horizon takes every step that is known.

    Args:
        predicts: what the model predicts.
        hidden: what becomes of hidden objects; FIERY and PowerBEV drop them.
        min_visibility: see `is_hidden`.
    """

    name = 'future_iou'
    record = FutureIouRecord

    def __init__(
        self,
        predicts: Predicts,
        hidden: Hidden = 'drop',
        min_visibility: float = MIN_VISIBILITY,
    ) -> None:
        self._predicts, self._hidden, self._min_visibility = predicts, hidden, min_visibility

    def score(self, frame: ScoredFrame) -> FutureIouRecord | None:
        if not has_window(frame, self._predicts):
            return None
        windows = future_windows(frame, self._predicts, self._hidden, self._min_visibility)
        known = windows['model'].known
        cells = np.zeros((len(RANGES), len(known), 3), np.int64)
        for name, window in windows.items():
            counts = window.counts & known[:, None, None]
            found, true = window.predicted > 0, window.truth > 0
            cells[RANGES.index(name)] = [
                cell_counts(*step) for step in zip(found, true, counts, strict=True)
            ]
        return FutureIouRecord(cells, known) if known.any() else None

    def summarise(self, scenes: Sequence[Sequence[FutureIouRecord]]) -> Mapping[str, Figure]:
        total = np.zeros((len(RANGES), 3), np.int64)
        for record in (record for scene in scenes for record in scene):
            if record.known.all():
                total += record.cells.sum(axis=1)
        return {
            f'future_iou/{name}': iou(counts) for name, counts in zip(RANGES, total, strict=True)
        }

    def confusions(self, scenes: Sequence[Sequence[FutureIouRecord]]) -> Mapping[str, Confusion]:
        return {}

    def curves(self, scenes: Sequence[Sequence[FutureIouRecord]]) -> Mapping[str, Curve]:
        if not self._predicts.motion_steps:
            return {}
        steps = np.arange(self._predicts.motion_steps + 1)
        total = np.zeros((len(RANGES), len(steps), 3), np.int64)
        for record in (record for scene in scenes for record in scene):
            total += record.cells
        curves = {}
        for name, counts in zip(RANGES, total, strict=True):
            values = [iou(step).value for step in counts]
            y = np.array([np.nan if value is None else value for value in values], np.float64)
            x = np.asarray(steps * self._predicts.motion_step_s, np.float64)
            curves[f'future_iou/{name}'] = Curve(x, y, 'horizon in s', 'IoU')
        return curves
