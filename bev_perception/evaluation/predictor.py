"""What makes predictions of a scene: a model, or a recording of what a node has published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from bev_perception.errors import BagError
from bev_perception.evaluation.metric import Predicts
from bev_perception.evaluation.prediction import Prediction
from bev_perception.evaluation.robustness.perturbation import Perturbation
from bev_perception.evaluation.scenes.scene import OpenScene
from bev_perception.evaluation.scenes.thinning import thinned
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.folder import LoadedModel, load_model
from bev_perception.pipeline import BevPipeline, PipelineConfig
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.result_bag import model_info_from_bag, published_frames
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class PredictorInfo:
    """What is said about a predictor in reports.

    Attributes:
        title: of the model: its id, or the name of the recording.
        trained_on: training data; empty when untrained.
        predicts: what it predicts.
    """

    title: str
    trained_on: str
    predicts: Predicts


class Predictor(Protocol):
    """Makes predictions of scenes; picklable."""

    def info(self) -> PredictorInfo:
        """Returns what is known about it."""

    def frames(self, scene: OpenScene, perturbation: Perturbation | None) -> Iterator[Prediction]:
        """Yields the bird's-eye views of a scene, oldest first."""


@dataclass(frozen=True)
class ModelPredictor:
    """A model folder, run by the same pipeline as on the vehicle.

    Attributes:
        folder: of the model.
        device: as `PipelineConfig`.
        min_score: likewise.
        rate_hz: frame sets are thinned to at most this rate; None: all of them.
    """

    folder: Path
    device: str = 'auto'
    min_score: float | None = None
    rate_hz: float | None = None

    def info(self) -> PredictorInfo:
        loaded = _loaded(self.folder)
        training = loaded.config.training
        return PredictorInfo(
            loaded.model_id,
            training.description if training.trained else '',
            predicts(loaded.config),
        )

    def frames(self, scene: OpenScene, perturbation: Perturbation | None) -> Iterator[Prediction]:
        loaded = _loaded(self.folder)
        pipeline = BevPipeline(loaded, PipelineConfig(self.device, self.min_score))
        sets = scene.frame_sets()
        if self.rate_hz is not None:
            sets = thinned(sets, self.rate_hz, int(scene.truth.stamps_ns[0]))
        for frames in sets if perturbation is None else perturbation.apply(sets):
            frame = pipeline.step(frames)
            yield Prediction(frame, sum(frame.stage_s.values()))


@dataclass(frozen=True)
class RecordedPredictor:
    """Recordings of a node's results, live on a vehicle or on a replayed bag.

    Attributes:
        bags: (name of the scene, recording with the topics of the node), at least one.
        live: whether they were made for this evaluation.
    """

    bags: tuple[tuple[str, Path], ...]
    live: bool = False

    def info(self) -> PredictorInfo:
        with BagReader(self.bags[0][1]) as reader:
            model = model_info_from_bag(reader)
        title = f'{model.model_id}, ' + ('live' if self.live else self.bags[0][1].name)
        recorded = Predicts(
            object_classes=model.object_classes,
            occupancy=True,
            path_steps=model.horizon_steps,
            path_step_s=model.time_step_s,
        )
        return PredictorInfo(title, model.training if model.trained else '', recorded)

    def frames(self, scene: OpenScene, perturbation: Perturbation | None) -> Iterator[Prediction]:
        bag = dict(self.bags).get(scene.info.name)
        if bag is None:
            raise BagError(f'{scene.info.name}: no results were recorded of it')
        with BagReader(bag) as reader:
            for frame, published_ns in published_frames(reader):
                yield Prediction(frame, (published_ns - frame.stamp_ns) / NS_PER_S)


def predicts(config: ModelDescription) -> Predicts:
    """Returns what a model of a description predicts."""
    heads = config.heads
    motion, paths = heads.motion, heads.trajectories
    steps = (paths.steps, paths.step_s) if paths else (0, 0.0)
    if motion and heads.objects and not paths:
        steps = (motion.steps, motion.step_s)
    return Predicts(
        object_classes=tuple(heads.objects.classes) if heads.objects else (),
        layers=tuple(heads.semantics.classes) if heads.semantics else (),
        layer_thresholds=(heads.semantics.thresholds or ()) if heads.semantics else (),
        occupancy=heads.occupancy is not None,
        motion_steps=motion.steps if motion else 0,
        motion_step_s=motion.step_s if motion else 0.0,
        path_steps=steps[0],
        path_step_s=steps[1],
    )


def _loaded(folder: Path) -> LoadedModel:
    """Returns the model of a folder, read again where it was written anew."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return _read(folder, os.getpid(), tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(maxsize=4)
def _read(folder: Path, process: int, written_ns: tuple[int, ...]) -> LoadedModel:
    return load_model(folder)
