"""What a person asks of an evaluation, and which scenes, models and conditions that means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bev_perception.errors import BevError, ConfigError
from bev_perception.evaluation.evaluate import DataSet
from bev_perception.evaluation.families import MetricOptions
from bev_perception.evaluation.predictor import ModelPredictor, Predictor, RecordedPredictor
from bev_perception.evaluation.results import Refusal
from bev_perception.evaluation.robustness.catalogue import catalogue
from bev_perception.evaluation.robustness.perturbation import STRENGTHS, Perturbation
from bev_perception.evaluation.scene_run import ScoringOptions
from bev_perception.evaluation.scenes.discover import discover
from bev_perception.evaluation.scenes.options import SceneOptions
from bev_perception.evaluation.scenes.scene import Scene
from bev_perception.evaluation.summary import BootstrapOptions
from bev_perception.paths import model_folder

DEFAULT_MODEL = 'nano'
ALL_GROUPS = 'all'


@dataclass(frozen=True)
class Request:
    """An evaluation.

    Attributes:
        data: recordings, folders of them, or data sets.
        out: folder for what it writes.
        models: folders or names; the default model when neither they nor `results` are given.
        results: recordings of a node's results on the only scene of `data`.
        live: also run each model through the real node, over DDS.
        device: as `PipelineConfig`.
        min_score: likewise.
        rate_hz: frame sets are thinned to at most this rate; None: all of them.
        robustness: groups of perturbations; 'all' for every one.
        strengths: of those that are graded.
        read: which scenes, and how.
        most_scenes: of each data set, evenly spread; None: all.
        scoring: which frames count.
        metrics: what counts in them.
        bootstrap: of the intervals.
        submission: whether nuScenes' files are written.
        workers: processes; None: one for each core.
        ray: address of a Ray cluster, '' for the one around; None: this computer.
    """

    data: tuple[Path, ...]
    out: Path
    models: tuple[str, ...] = ()
    results: tuple[Path, ...] = ()
    live: bool = False
    device: str = 'auto'
    min_score: float | None = None
    rate_hz: float | None = None
    robustness: tuple[str, ...] = ()
    strengths: tuple[int, ...] = STRENGTHS
    read: SceneOptions = field(default_factory=SceneOptions)
    most_scenes: int | None = None
    scoring: ScoringOptions = field(default_factory=ScoringOptions)
    metrics: MetricOptions = field(default_factory=MetricOptions)
    bootstrap: BootstrapOptions = field(default_factory=BootstrapOptions)
    submission: bool = False
    workers: int | None = None
    ray: str | None = None

    def __post_init__(self) -> None:
        if not self.data:
            raise ConfigError('nothing to evaluate: name a recording or a data set')
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ConfigError(f'--min-score must be in [0, 1], got {self.min_score}')
        if self.rate_hz is not None and not 0 < self.rate_hz < math.inf:
            raise ConfigError(f'--rate must be > 0 Hz, got {self.rate_hz}')
        if self.most_scenes is not None and self.most_scenes < 1:
            raise ConfigError(f'--scenes must be at least 1, got {self.most_scenes}')
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f'--workers must be at least 1, got {self.workers}')
        if self.bootstrap.replicates < 0:
            raise ConfigError(f'--bootstrap must be >= 0, got {self.bootstrap.replicates}')
        if not self.scoring.every_s >= 0:
            raise ConfigError(f'--every must be >= 0 s, got {self.scoring.every_s}')
        if self.results and self.robustness:
            raise ConfigError('--robustness changes the inputs of models: leave out --results')


def find_data(request: Request) -> tuple[tuple[DataSet, ...], tuple[Refusal, ...]]:
    """Returns the scenes asked for, and what is refused.

    Raises:
        BevError: a path holds nothing to evaluate.
    """
    found, refusals = [], []
    for path in request.data:
        scenes, refused = discover(path, request.read)
        refusals += refused
        if not scenes:
            reasons = '; '.join(f'{item.name}: {item.reason}' for item in refused)
            raise BevError(f'{path}: nothing to evaluate: {reasons or "no scenes"}')
        found.append(DataSet(_name(path, request.data), _spread(scenes, request.most_scenes)))
    return tuple(found), tuple(refusals)


def find_predictors(request: Request, data: Sequence[DataSet]) -> tuple[Predictor, ...]:
    """Returns what makes the predictions, in the order asked for.

    Raises:
        BevError: there is no such model, or results are not those of a single scene.
    """
    names = request.models or (() if request.results else (DEFAULT_MODEL,))
    models: list[Predictor] = [
        ModelPredictor(
            model_folder(name).resolve(), request.device, request.min_score, request.rate_hz
        )
        for name in names
    ]
    scenes = [scene for part in data for scene in part.scenes]
    if request.results and len(scenes) != 1:
        raise ConfigError(
            f'--results are those of one recording, and there are {len(scenes)} scenes; '
            'evaluate them one by one'
        )
    return (*models, *(RecordedPredictor(((scenes[0].name, bag),)) for bag in request.results))


def find_perturbations(request: Request, data: Sequence[DataSet]) -> tuple[Perturbation, ...]:
    """Returns the conditions beside the clean one.

    Raises:
        BevError: there is no such group, or the scenes are of several rigs.
    """
    if not request.robustness:
        return ()
    rigs: dict[tuple[str, ...], str] = {}
    for scene in (scene for part in data for scene in part.scenes):
        with scene.open() as opened:
            rigs.setdefault(tuple(opened.info.cameras), scene.name)
    if len(rigs) > 1:
        (first, one), (second, other) = list(rigs.items())[:2]
        raise ConfigError(
            f'--robustness: {one} has the cameras {", ".join(first)}, {other} has '
            f'{", ".join(second)}; evaluate one rig at a time'
        )
    groups = None if ALL_GROUPS in request.robustness else request.robustness
    return catalogue(next(iter(rigs)), groups, request.strengths)


def _name(path: Path, others: Sequence[Path]) -> str:
    """Returns the shortest end of a path that tells it from the others."""
    parts = path.resolve().parts
    for count in range(1, len(parts)):
        name = '/'.join(parts[-count:])
        if sum(other.resolve().parts[-count:] == parts[-count:] for other in others) == 1:
            return name
    return str(path)


def _spread(scenes: Sequence[Scene], most: int | None) -> tuple[Scene, ...]:
    if most is None or most >= len(scenes):
        return tuple(scenes)
    return tuple(
        scenes[round(index * (len(scenes) - 1) / max(most - 1, 1))] for index in range(most)
    )
