"""One scene through one predictor, down to the records of its scored frames."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bev_perception.evaluation.align import aligned, nearest_predictions, scored_stamps
from bev_perception.evaluation.metric import Metric, ScoredFrame
from bev_perception.evaluation.prediction import Prediction
from bev_perception.evaluation.prediction_store import PredictionStore
from bev_perception.evaluation.predictor import Predictor
from bev_perception.evaluation.results import FrameNote
from bev_perception.evaluation.robustness.perturbation import Perturbation
from bev_perception.evaluation.scenes.scene import OpenScene, Scene, SceneInfo
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class ScoringOptions:
    """Which frames count.

    Attributes:
        every_s: least time between two scored frames.
        tolerance_s: a prediction and the truth that it is compared with are at most this far
            apart in time.
    """

    every_s: float = 0.5
    tolerance_s: float = 0.15


@dataclass(frozen=True, eq=False)
class SceneRun:
    """What remains of a scene.

    Attributes:
        info: about the scene.
        frames: how many predictions were made.
        notes: of the scored frames, in order.
        records: of the scored frames, by family.
        problems: what was left out, one line each.
        stages_s: seconds by stage, of every frame.
        latency_s: of every frame.
        recording_s: from the first prediction's stamp to the last one's.
        wall_s: how long it took.
    """

    info: SceneInfo
    frames: int
    notes: tuple[FrameNote, ...]
    records: Mapping[str, tuple[Any | None, ...]]
    problems: tuple[str, ...]
    stages_s: Mapping[str, tuple[float, ...]]
    latency_s: tuple[float, ...]
    recording_s: float
    wall_s: float


def run_scene(
    scene: Scene,
    predictor: Predictor,
    metrics: Sequence[Metric[Any]],
    options: ScoringOptions,
    perturbation: Perturbation | None = None,
    store: Path | None = None,
) -> SceneRun:
    """Returns what remains of a scene.

    Args:
        scene: to open.
        predictor: makes the predictions.
        metrics: to score them with.
        options: which frames count.
        perturbation: of the inputs; None: as recorded.
        store: file where predictions of scored frames are put aside; None: nowhere.

    Raises:
        BevError: the scene cannot be evaluated.
    """
    start_s = time.perf_counter()
    tally = _Tally(metrics)
    with scene.open() as opened:
        predictions = predictor.frames(opened, perturbation)
        if store is None:
            _score_all(opened, predictions, options, tally, None)
        else:
            with PredictionStore(store) as put_aside:
                _score_all(opened, predictions, options, tally, put_aside)
        info, problems = opened.info, opened.problems
    return SceneRun(
        info,
        tally.frames,
        tuple(tally.notes),
        {name: tuple(found) for name, found in tally.records.items()},
        problems,
        {name: tuple(found) for name, found in tally.stages_s.items()},
        tuple(tally.latency_s),
        tally.recording_s,
        time.perf_counter() - start_s,
    )


def _score_all(
    opened: OpenScene,
    predictions: Iterator[Prediction],
    options: ScoringOptions,
    tally: _Tally,
    store: PredictionStore | None,
) -> None:
    truth = opened.truth
    stamps = scored_stamps(truth, options.every_s)
    for prediction, stamp_ns in nearest_predictions(predictions, stamps, options.tolerance_s):
        tally.count(prediction)
        if stamp_ns is None:
            continue
        frame = truth.nearest(stamp_ns, 0.0)
        assert frame is not None
        moved = aligned(truth, frame, prediction.frame.stamp_ns)
        tally.score(ScoredFrame(prediction.frame, moved, truth))
        if store is not None:
            store.add(prediction.frame)


class _Tally:
    """What is collected over the frames of a scene; nothing of it has the size of a frame."""

    def __init__(self, metrics: Sequence[Metric[Any]]) -> None:
        self._metrics = metrics
        self.frames = 0
        self.notes: list[FrameNote] = []
        self.records: dict[str, list[Any | None]] = {metric.name: [] for metric in metrics}
        self.stages_s: dict[str, list[float]] = {}
        self.latency_s: list[float] = []
        self._first_ns = self._last_ns = 0

    @property
    def recording_s(self) -> float:
        return (self._last_ns - self._first_ns) / NS_PER_S

    def count(self, prediction: Prediction) -> None:
        if not self.frames:
            self._first_ns = prediction.frame.stamp_ns
        self._last_ns = prediction.frame.stamp_ns
        self.frames += 1
        for name, seconds in prediction.frame.stage_s.items():
            self.stages_s.setdefault(name, []).append(seconds)
        self.latency_s.append(prediction.latency_s)

    def score(self, frame: ScoredFrame) -> None:
        scores: list[float] = []
        for metric in self._metrics:
            record = metric.score(frame)
            self.records[metric.name].append(record)
            if record is not None and metric.name in RANKED:
                scores += _values(metric, record, RANKED[metric.name])
        prediction = frame.prediction
        self.notes.append(
            FrameNote(
                stamp_ns=prediction.stamp_ns,
                cameras=tuple(report.state.name for report in prediction.cameras),
                score=sum(scores) / len(scores) if scores else None,
                unknown_share=float(1.0 - prediction.observed.mean()),
                past_dropped=prediction.past_dropped,
            )
        )


# What frames are ranked by: the mean of those of these figures that are defined in them.
RANKED = {
    'iou': ('iou/model/vehicle', 'iou/model/drivable'),
    'detection': ('detection/mAP',),
}


def _values(metric: Metric[Any], record: Any, names: tuple[str, ...]) -> list[float]:
    figures = metric.summarise([[record]])
    return [
        figure.value
        for name in names
        if (figure := figures.get(name)) is not None and figure.value is not None
    ]
