"""Which metrics an evaluation computes, for what a model predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bev_perception.evaluation.metric import Metric, Predicts
from bev_perception.evaluation.metrics.detection import DetectionMetric
from bev_perception.evaluation.metrics.forecast import ForecastMetric
from bev_perception.evaluation.metrics.future import FutureIouMetric
from bev_perception.evaluation.metrics.iou import IouMetric
from bev_perception.evaluation.metrics.panoptic import PanopticMetric
from bev_perception.evaluation.metrics.reliability import ReliabilityMetric
from bev_perception.evaluation.metrics.tracking import TrackingMetric
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY, Hidden


@dataclass(frozen=True)
class MetricOptions:
    """What counts.

    Attributes:
        hidden: what becomes of objects that no camera shows enough of: 'ignore': they neither
            count as found nor as missed (Cross-View Transformers, PointBeV); 'drop': they are not
            there (FIERY, PowerBEV); 'keep': they are to be found (Lift-Splat-Shoot).
        min_visibility: visible share from which on an object counts as shown.
    """

    hidden: Hidden = 'ignore'
    min_visibility: float = MIN_VISIBILITY


def metrics_for(predicts: Predicts, options: MetricOptions) -> tuple[Metric[Any], ...]:
    """Returns the families of metrics for what a model predicts."""
    hidden, share = options.hidden, options.min_visibility
    return (
        IouMetric(predicts, hidden=hidden, min_visibility=share),
        ReliabilityMetric(predicts, hidden=hidden, min_visibility=share),
        DetectionMetric(predicts, hidden=hidden, min_visibility=share),
        TrackingMetric(predicts, hidden=hidden, min_visibility=share),
        FutureIouMetric(predicts, hidden=hidden, min_visibility=share),
        PanopticMetric(predicts, hidden=hidden, min_visibility=share),
        ForecastMetric(predicts, hidden=hidden, min_visibility=share),
    )
