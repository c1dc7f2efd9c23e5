"""nuScenes' tracking metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bev_perception.evaluation.class_map import DETECTION_CLASSES, detection_class
from bev_perception.evaluation.figure import Better, Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.detection_boxes import predicted_boxes, true_boxes
from bev_perception.evaluation.metrics.per_scene import PerScene
from bev_perception.evaluation.metrics.tracking_scene import (
    TrackingRecord,
    scene_tracks,
    tracking_record,
)
from bev_perception.evaluation.metrics.tracking_scores import (
    ClassTracking,
    SceneClass,
    class_tracking,
)
from bev_perception.evaluation.truth.hidden import Hidden

TRACKING_CLASSES = ('bicycle', 'bus', 'car', 'motorcycle', 'pedestrian', 'trailer', 'truck')

Scenes = Sequence[Sequence[TrackingRecord]]

# Unit, which way is better, and whether classes are added up rather than averaged.
_FIGURES: Mapping[str, tuple[str, Better, bool]] = {
    'AMOTA': ('', 'higher', False),
    'AMOTP': ('m', 'lower', False),
    'MOTA': ('', 'higher', False),
    'MOTP': ('m', 'lower', False),
    'MOTAR': ('', 'higher', False),
    'recall': ('', 'higher', False),
    'IDS': ('count', 'lower', True),
    'FRAG': ('count', 'lower', True),
    'MT': ('count', 'higher', True),
    'ML': ('count', 'lower', True),
    'TP': ('count', 'higher', True),
    'FP': ('count', 'lower', True),
    'FN': ('count', 'lower', True),
    'FAF': ('', 'lower', False),
    'TID': ('s', 'lower', False),
    'LGD': ('s', 'lower', False),
}
_DEVKIT = ('AMOTA', 'AMOTP', 'MOTA')


class TrackingMetric:
    """AMOTA, AMOTP and CLEAR MOT at the threshold of the highest MOTA, as nuScenes has them.

    Agrees with nuScenes' development kit on the same boxes (`tracking_nips_2019`). A class counts
    when there are true objects of it and the model predicts it; figures without a class are over
    those, means or sums as in the development kit. `tracking/devkit/...` are over all classes in
    the truth, whether predicted or not. FAF is false positives per hundred frames; TID (time
    until a track is found) and LGD (longest gap of a track) take it that frames are half a
    second apart.

    Frames whose true objects have no identity are not scored.

    Args:
        predicts: of the model.
        hidden: what becomes of hidden objects; see `true_boxes`. Holes in true tracks are filled
            all the same, so that a dropped object counts in between.
        min_visibility: see `is_hidden`.
    """

    name = 'tracking'
    record = TrackingRecord

    def __init__(
        self, predicts: Predicts, *, hidden: Hidden = 'keep', min_visibility: float = 0.0
    ) -> None:
        self._classes = {detection_class(name) for name in predicts.object_classes}
        self._hidden: Hidden = hidden
        self._min_visibility = min_visibility
        self._scene: PerScene[TrackingRecord, Mapping[int, SceneClass]] = PerScene(_scene_classes)

    def score(self, frame: ScoredFrame) -> TrackingRecord | None:
        """Returns the record of a frame; None without objects, or true ones without identity."""
        prediction, truth = frame.prediction, frame.truth
        if prediction.objects is None or truth.objects is None:
            return None
        real = true_boxes(truth, TRACKING_CLASSES, self._hidden, self._min_visibility)
        if '' in real.objects.track:
            return None
        found = predicted_boxes(prediction, truth, TRACKING_CLASSES, tracked=True)
        return tracking_record(truth.stamp_ns, truth.odom_T_base is not None, found, real)

    def summarise(self, scenes: Scenes) -> Mapping[str, Figure]:
        """Returns figures; see the class."""
        results = self._results(scenes)
        defined = {name: item for name, item in results.items() if name in self._classes}
        figures = {
            f'tracking/{label}': _pooled(label, list(defined.values())) for label in _FIGURES
        }
        for label in _DEVKIT:
            figures[f'tracking/devkit/{label}'] = _pooled(label, list(results.values()))
        for name in TRACKING_CLASSES:
            for label in _FIGURES:
                own = [defined[name]] if name in defined else []
                figures[f'tracking/{label}/{name}'] = _pooled(label, own)
        return figures

    def confusions(self, scenes: Scenes) -> Mapping[str, Confusion]:
        """Returns nothing: classes are tracked apart."""
        return {}

    def curves(self, scenes: Scenes) -> Mapping[str, Curve]:
        """Returns MOTA over measured recall, by class."""
        return {
            f'tracking/MOTA/{name}': Curve(item.recall[::-1], item.mota[::-1], 'recall', 'MOTA')
            for name, item in self._results(scenes).items()
            if name in self._classes
        }

    def _results(self, scenes: Scenes) -> dict[str, ClassTracking]:
        """Returns the scores of the classes in the truth."""
        made = [self._scene(scene) for scene in scenes]
        results = {}
        for name in TRACKING_CLASSES:
            kind = DETECTION_CLASSES.index(name)
            item = class_tracking([scene[kind] for scene in made if kind in scene])
            if item is not None:
                results[name] = item
        return results


def _scene_classes(records: Sequence[TrackingRecord]) -> Mapping[int, SceneClass]:
    return {kind: SceneClass(frames) for kind, frames in scene_tracks(records).items()}


def _pooled(label: str, classes: Sequence[ClassTracking]) -> Figure:
    unit, better, is_sum = _FIGURES[label]
    known = [item.values[label] for item in classes if not np.isnan(item.values[label])]
    pool: Callable[[Sequence[float]], float] = np.sum if is_sum else np.mean
    return Figure(float(pool(known)) if known else None, better, unit)
