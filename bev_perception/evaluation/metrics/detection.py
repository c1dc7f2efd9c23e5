"""nuScenes' detection metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bev_perception.evaluation.class_map import DETECTION_CLASSES, detection_class
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.detection_boxes import predicted_boxes, true_boxes
from bev_perception.evaluation.metrics.detection_curves import RECALL
from bev_perception.evaluation.metrics.detection_record import (
    DISTANCES_M,
    ERROR_DISTANCE,
    DetectionRecord,
    detection_record,
)
from bev_perception.evaluation.metrics.detection_scores import (
    ERRORS,
    ClassScores,
    PooledBoxes,
    class_scores,
    detection_score,
    has_error,
)
from bev_perception.evaluation.metrics.per_scene import PerScene
from bev_perception.evaluation.truth.hidden import Hidden

Scenes = Sequence[Sequence[DetectionRecord]]

_UNITS = {'ATE': 'm', 'ASE': '', 'AOE': 'rad', 'AVE': 'm/s', 'AAE': ''}


class DetectionMetric:
    """AP by centre distance, errors of what was found, and NDS (Caesar et al. 2020, section 3.1).

    Agrees with nuScenes' development kit on the same boxes (`detection_cvpr_2019`), down to the
    order of equal scores. Classes are nuScenes' ten. A class counts when there are true objects
    of it and the model predicts it; `detection/mAP`, the mean errors and `detection/NDS` are over
    those. `detection/devkit/...` are over all ten, as the benchmark has it: others have AP 0 and
    errors of 1. The two are the same where all ten count.

    No attributes are predicted, so that `AAE` is n/a; NDS counts it as 1, as the development kit
    does for a submission without attributes. (There it leaves out true objects without an
    attribute, 0.4 % of nuScenes', the first found of which can make its AAE a little less
    than 1.) An error that is not known, like that of velocities that the truth does not tell, is
    n/a and counts as 1 in NDS, too.

    Confusion is between objects matched within 2 m whatever their classes.

    Args:
        predicts: of the model.
        hidden: what becomes of hidden objects; see `true_boxes`.
        min_visibility: see `is_hidden`.
        confusion_score: boxes with a lower score are left out of the confusion.
    """

    name = 'detection'
    record = DetectionRecord

    def __init__(
        self,
        predicts: Predicts,
        *,
        hidden: Hidden = 'keep',
        min_visibility: float = 0.0,
        confusion_score: float = 0.3,
    ) -> None:
        self._classes = {detection_class(name) for name in predicts.object_classes}
        self._hidden: Hidden = hidden
        self._min_visibility = min_visibility
        self._confusion_score = confusion_score
        self._pooled: PerScene[DetectionRecord, PooledBoxes] = PerScene(PooledBoxes.of)

    def score(self, frame: ScoredFrame) -> DetectionRecord | None:
        """Returns the record of a frame; None without predicted or true objects to look at."""
        if frame.prediction.objects is None or frame.truth.objects is None:
            return None
        return detection_record(
            predicted_boxes(frame.prediction, frame.truth),
            true_boxes(frame.truth, hidden=self._hidden, min_visibility=self._min_visibility),
            self._confusion_score,
        )

    def summarise(self, scenes: Scenes) -> Mapping[str, Figure]:
        """Returns figures; see the class."""
        scores = self._scores(scenes)
        defined = {name: item for name, item in scores.items() if self._defined(name, item)}
        figures = _overall(defined)
        any_truth = any(item.truths for item in scores.values())
        figures |= _devkit(scores if any_truth else {})
        for name in DETECTION_CLASSES:
            figures |= _of_class(name, defined.get(name))
        return figures

    def confusions(self, scenes: Scenes) -> Mapping[str, Confusion]:
        """Returns the confusion within 2 m, of classes that occur."""
        records = [record for scene in scenes for record in scene]
        if not records:
            return {}
        counts = np.sum([record.confusion for record in records], axis=0)
        occurs = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
        occurs[-1] = True
        names = (*DETECTION_CLASSES, 'nothing')
        shown = tuple(name for name, there in zip(names, occurs, strict=True) if there)
        return {'detection/confusion@2m': Confusion(shown, shown, counts[np.ix_(occurs, occurs)])}

    def curves(self, scenes: Scenes) -> Mapping[str, Curve]:
        """Returns precision over recall at 2 m, by class; NaN where recall is not reached."""
        curves = {}
        for name, item in self._scores(scenes).items():
            if not self._defined(name, item):
                continue
            precision = item.curves[ERROR_DISTANCE].precision.copy()
            precision[np.flatnonzero(precision).max(initial=-1) + 1 :] = np.nan
            curves[f'detection/precision@2m/{name}'] = Curve(
                RECALL, precision, 'recall', 'precision'
            )
        return curves

    def _scores(self, scenes: Scenes) -> dict[str, ClassScores]:
        boxes = PooledBoxes.of([self._pooled(scene) for scene in scenes])
        return {name: class_scores(boxes, name) for name in DETECTION_CLASSES}

    def _defined(self, name: str, scores: ClassScores) -> bool:
        return name in self._classes and scores.truths > 0


def _overall(scores: Mapping[str, ClassScores]) -> dict[str, Figure]:
    """Returns mAP, mean errors and NDS over the classes that are defined."""
    mean_ap = _mean([item.mean_ap for item in scores.values()])
    errors = {
        label: _mean([item.errors[label] for item in scores.values() if label in item.known])
        for label in ERRORS
    }
    nds = None if mean_ap is None else detection_score(mean_ap, list(errors.values()))
    figures = {'detection/mAP': Figure(mean_ap), 'detection/NDS': Figure(nds)}
    for label, value in errors.items():
        figures[f'detection/m{label}'] = Figure(value, 'lower', _UNITS[label])
    return figures


def _devkit(scores: Mapping[str, ClassScores]) -> dict[str, Figure]:
    """Returns mAP and NDS over all ten classes; n/a without any true object."""
    mean_ap = _mean([item.mean_ap for item in scores.values()])
    errors = [
        _mean([item.errors[label] for name, item in scores.items() if has_error(name, label)])
        for label in ERRORS
    ]
    nds = None if mean_ap is None else detection_score(mean_ap, errors)
    return {'detection/devkit/mAP': Figure(mean_ap), 'detection/devkit/NDS': Figure(nds)}


def _of_class(name: str, scores: ClassScores | None) -> dict[str, Figure]:
    mean_ap = None if scores is None else scores.mean_ap
    figures = {f'detection/AP/{name}': Figure(mean_ap)}
    for index, distance_m in enumerate(DISTANCES_M):
        ap = None if scores is None else scores.ap[index]
        figures[f'detection/AP@{distance_m:g}m/{name}'] = Figure(ap)
    for label in ERRORS:
        known = scores is not None and label in scores.known
        value = scores.errors[label] if scores is not None and known else None
        figures[f'detection/{label}/{name}'] = Figure(value, 'lower', _UNITS[label])
    return figures


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
