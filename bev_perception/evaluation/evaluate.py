"""The whole evaluation: every predictor over every scene, clean and perturbed, pooled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bev_perception.errors import BevError
from bev_perception.evaluation.families import MetricOptions, metrics_for
from bev_perception.evaluation.metric import Metric
from bev_perception.evaluation.predictor import Predictor, PredictorInfo
from bev_perception.evaluation.results import Refusal, Timing
from bev_perception.evaluation.robustness.perturbation import Perturbation
from bev_perception.evaluation.scene_run import SceneRun, ScoringOptions, run_scene
from bev_perception.evaluation.scenes.scene import Scene
from bev_perception.evaluation.submission import SubmissionCollector
from bev_perception.evaluation.summary import RunScenes
from bev_perception.parallel.pool import Done, Pool, Task

CLEAN = 'clean'


@dataclass(frozen=True)
class DataSet:
    """Scenes that are reported together.

    Attributes:
        name: for reports.
        scenes: with names that differ.
    """

    name: str
    scenes: tuple[Scene, ...]


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        data: sets of scenes.
        predictors: all of them on all scenes.
        perturbations: of the inputs, each beside the clean run.
        scoring: which frames count.
        metrics: what counts in them.
        stores: folder where predictions of clean runs are put aside; None: nowhere.
        threads: of each process.
        submission: whether what nuScenes' submissions need is kept of clean runs.
    """

    data: tuple[DataSet, ...]
    predictors: tuple[Predictor, ...]
    perturbations: tuple[Perturbation, ...] = ()
    scoring: ScoringOptions = field(default_factory=ScoringOptions)
    metrics: MetricOptions = field(default_factory=MetricOptions)
    stores: Path | None = None
    threads: int = 1
    submission: bool = False

    def store(self, predictor: int, scene: Scene) -> Path | None:
        """Returns where predictions of a clean run over a scene are put aside."""
        return None if self.stores is None else self.stores / f'{predictor}' / f'{scene.name}.zip'


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a plan came to.

    Attributes:
        runs: by predictor, then data; clean ones first.
        timings: of every run.
        refusals: scenes that could not be evaluated.
    """

    runs: tuple[RunScenes, ...]
    timings: tuple[Timing, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class _Key:
    condition: int  # 0 is the clean run
    predictor: int
    data: int
    scene: int


def run_plan(plan: Plan, pool: Pool, progress: Callable[[int, int], None]) -> Outcome:
    """Runs everything on a pool of processes.

    Args:
        plan: what is run.
        pool: open; its processes need the same files.
        progress: called with (done, all) scenes.

    Raises:
        BevError: nothing at all could be evaluated.
        RuntimeError: a bug in a process, with its trace.
    """
    infos = [predictor.info() for predictor in plan.predictors]
    families = [metrics_for(info.predicts, plan.metrics) for info in infos]
    keys = _keys(plan)
    tasks = [_task(plan, key, families) for key in keys]
    found: dict[_Key, SceneRun] = {}
    refused: dict[_Key, str] = {}
    for key, done in _all_done(tasks, keys, pool, progress):
        if done.problem is None:
            found[key] = done.value
        elif done.problem.kind == 'bug':
            raise RuntimeError(done.problem.text)
        else:
            refused[key] = done.problem.text
    if not found:
        first = refused[min(refused, key=keys.index)] if refused else 'no scenes'
        raise BevError(f'nothing could be evaluated: {first}')
    runs, timings = _runs(plan, infos, families, found)
    return Outcome(runs, timings, _refusals(plan, refused))


def _keys(plan: Plan) -> list[_Key]:
    return [
        _Key(condition, predictor, data, scene)
        for condition, predictor, data in itertools.product(
            range(1 + len(plan.perturbations)), range(len(plan.predictors)), range(len(plan.data))
        )
        for scene in range(len(plan.data[data].scenes))
    ]


def _task(plan: Plan, key: _Key, families: Sequence[Sequence[Metric[Any]]]) -> Task:
    scene = plan.data[key.data].scenes[key.scene]
    perturbation = plan.perturbations[key.condition - 1] if key.condition else None
    store = None if key.condition else plan.store(key.predictor, scene)
    metrics = families[key.predictor]
    if plan.submission and not key.condition:
        predicts = plan.predictors[key.predictor].info().predicts
        metrics = (*metrics, SubmissionCollector(predicts))
    return Task(
        scene.name,
        _run,
        (
            plan.threads,
            scene,
            plan.predictors[key.predictor],
            metrics,
            plan.scoring,
            perturbation,
            store,
        ),
    )


def _run(threads: int, *arguments: Any) -> SceneRun:
    import torch

    torch.set_num_threads(threads)
    return run_scene(*arguments)


def _all_done(
    tasks: Sequence[Task], keys: Sequence[_Key], pool: Pool, progress: Callable[[int, int], None]
) -> list[tuple[_Key, Done]]:
    waiting = list(zip(tasks, keys, strict=True))[::-1]
    key_of: dict[int, _Key] = {}
    finished: list[tuple[_Key, Done]] = []
    while waiting or pool.running:
        while waiting and pool.running < pool.size:
            task, key = waiting.pop()
            key_of[id(task)] = key
            pool.submit(task)
        for done in pool.wait():
            finished.append((key_of[id(done.task)], done))
            progress(len(finished), len(tasks))
    return finished


def _runs(
    plan: Plan,
    infos: Sequence[PredictorInfo],
    families: Sequence[Sequence[Metric[Any]]],
    found: dict[_Key, SceneRun],
) -> tuple[tuple[RunScenes, ...], tuple[Timing, ...]]:
    runs, timings = [], []
    names = [CLEAN, *(perturbation.name for perturbation in plan.perturbations)]
    for condition, predictor, data in itertools.product(
        range(len(names)), range(len(infos)), range(len(plan.data))
    ):
        scenes = tuple(
            found[key]
            for scene in range(len(plan.data[data].scenes))
            if (key := _Key(condition, predictor, data, scene)) in found
        )
        if not scenes:
            continue
        info = infos[predictor]
        run = RunScenes(
            info.title,
            info.trained_on,
            plan.data[data].name,
            names[condition],
            families[predictor],
            scenes,
        )
        runs.append(run)
        timings.append(_timing(run, getattr(plan.predictors[predictor], 'live', False)))
    return tuple(runs), tuple(timings)


def _timing(run: RunScenes, live: bool) -> Timing:
    stages: dict[str, list[float]] = {}
    for scene in run.scenes:
        for name, seconds in scene.stages_s.items():
            stages.setdefault(name, []).extend(seconds)
    return Timing(
        model=run.model,
        data=run.data,
        condition=run.condition,
        stages_s={name: tuple(seconds) for name, seconds in stages.items()},
        latency_s=tuple(value for scene in run.scenes for value in scene.latency_s),
        recording_s=sum(scene.recording_s for scene in run.scenes),
        wall_s=sum(scene.wall_s for scene in run.scenes),
        live=live,
    )


def _refusals(plan: Plan, refused: dict[_Key, str]) -> tuple[Refusal, ...]:
    reasons: dict[tuple[str, str], None] = {}
    for key in sorted(refused, key=lambda k: (k.data, k.scene, k.condition, k.predictor)):
        reasons[plan.data[key.data].scenes[key.scene].name, refused[key]] = None
    return tuple(Refusal(name, reason) for name, reason in reasons)
