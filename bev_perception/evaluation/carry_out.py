"""Evaluations from end to end: run or read, pool, draw, write."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bev_perception.errors import BevError, ConfigError
from bev_perception.evaluation.evaluate import CLEAN, DataSet, Outcome, Plan, run_plan
from bev_perception.evaluation.live import record_live
from bev_perception.evaluation.pictures import Choice, Shown, choose, paint
from bev_perception.evaluation.predictor import ModelPredictor, Predictor, RecordedPredictor
from bev_perception.evaluation.report.terminal import summary_text
from bev_perception.evaluation.report.write import write_report
from bev_perception.evaluation.request import (
    Request,
    find_data,
    find_perturbations,
    find_predictors,
)
from bev_perception.evaluation.results import Comparison, Evaluation, FramePicture
from bev_perception.evaluation.scenes.bag import BagScene
from bev_perception.evaluation.stored import FOLDER, load_runs, save_run
from bev_perception.evaluation.submission import (
    SubmissionCollector,
    write_detection_submission,
    write_tracking_submission,
)
from bev_perception.evaluation.summary import BootstrapOptions, RunScenes, compare, summarise
from bev_perception.parallel.cores import core_count
from bev_perception.parallel.pool import LocalPool, Pool

Say = Callable[[str], None]


def evaluate(request: Request, command: str, say: Say) -> Evaluation:
    """Carries out an evaluation and writes everything to `request.out`.

    Args:
        request: what is asked for.
        command: for the report.
        say: prints a line.

    Raises:
        BevError: nothing could be evaluated, or written.
    """
    data, refusals = find_data(request)
    perturbations = find_perturbations(request, data)
    with _scratch(request.out) as scratch:
        predictors = find_predictors(request, data)
        if request.live:
            predictors = (*predictors, *_live(request, data, predictors, scratch, say))
        plan = Plan(
            data,
            predictors,
            perturbations,
            request.scoring,
            request.metrics,
            scratch / 'predictions',
            _threads(request, data),
            request.submission,
        )
        with _pool(request, data, say) as pool:
            outcome = run_plan(plan, pool, lambda done, all_: say(f'{done} of {all_} scenes'))
        evaluation = Evaluation(
            command=command,
            runs=tuple(summarise(run, request.bootstrap) for run in outcome.runs),
            comparisons=_comparisons(_clean(outcome.runs), request.bootstrap),
            timings=outcome.timings,
            pictures=tuple(_pictures(plan, outcome, say)),
            refusals=(*refusals, *outcome.refusals),
            settings=_settings(request),
        )
        _write(request, plan, outcome, evaluation, say)
    return evaluation


def compare_stored(
    first: Path, second: Path, out: Path, options: BootstrapOptions, command: str, say: Say
) -> Evaluation:
    """Compares what two evaluations have stored, and writes a report of both to a folder.

    Raises:
        BevError: one of them cannot be read, or they have no scene in common.
    """
    stored = [load_runs(folder) for folder in (first, second)]
    pairs = [
        (old, new)
        for old in stored[0]
        for new in stored[1]
        if {s.info.name for s in old.scenes} & {s.info.name for s in new.scenes}
    ]
    if not pairs:
        raise BevError(f'{first} and {second} have no scene in common')
    runs = {id(run): run for pair in pairs for run in pair}
    evaluation = Evaluation(
        command=command,
        runs=tuple(summarise(run, options) for run in runs.values()),
        comparisons=tuple(compare(old, new, options) for old, new in pairs),
        settings={'bootstrap draws': str(options.replicates)},
    )
    for path in write_report(evaluation, out):
        say(f'wrote {path}')
    say(summary_text(evaluation))
    return evaluation


def _clean(runs: Sequence[RunScenes]) -> list[RunScenes]:
    return [run for run in runs if run.condition == CLEAN]


def _comparisons(runs: Sequence[RunScenes], options: BootstrapOptions) -> tuple[Comparison, ...]:
    """Returns how later predictors differ from the first, data set by data set."""
    found = []
    for name in dict.fromkeys(run.data for run in runs):
        first, *others = [run for run in runs if run.data == name]
        found += [compare(first, other, options) for other in others]
    return tuple(found)


def _live(
    request: Request,
    data: Sequence[DataSet],
    predictors: Sequence[Predictor],
    scratch: Path,
    say: Say,
) -> list[Predictor]:
    """Returns recordings of the real node on all scenes, for every model."""
    bags: list[tuple[str, Path]] = []
    for scene in (scene for part in data for scene in part.scenes):
        if not isinstance(scene, BagScene):
            raise ConfigError(f'--live plays recordings; {scene.name} is none')
        bags.append((scene.name, scene.path))
    folder = request.out / 'live'
    shutil.rmtree(folder, ignore_errors=True)
    found: list[Predictor] = []
    for index, model in enumerate(predictors):
        if isinstance(model, ModelPredictor):
            results = record_live(bags, folder / str(index), str(model.folder), 1.0, say)
            found.append(RecordedPredictor(results, live=True))
    return found


def _threads(request: Request, data: Sequence[DataSet]) -> int:
    """Returns threads for each process: the cores that a single scene would leave idle."""
    if request.ray is not None:
        return 1
    scenes = sum(len(part.scenes) for part in data)
    return max(1, core_count() // min(request.workers or core_count(), scenes))


@contextmanager
def _pool(request: Request, data: Sequence[DataSet], say: Say) -> Iterator[Pool]:
    if request.ray is not None:
        from bev_perception.parallel.ray_pool import RayPool

        with RayPool(request.ray or None, request.workers) as cluster:
            say(f'{cluster.size} scenes at a time, on a Ray cluster')
            yield cluster
        return
    with LocalPool(request.workers or core_count()) as local:
        yield local


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Yields a folder in the output folder, which other machines see, too; gone afterwards."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix='.scratch_', dir=out))
    except OSError as error:
        raise BevError(f'{out}: cannot be written: {error.strerror}') from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pictures(plan: Plan, outcome: Outcome, say: Say) -> Iterator[FramePicture]:
    for index, predictor in enumerate(plan.predictors):
        info = predictor.info()
        shown = Shown(bool(info.trained_on), info.predicts.object_classes)
        for part in plan.data:
            runs = [
                run
                for run in _clean(outcome.runs)
                if (run.model, run.data) == (info.title, part.name)
            ]
            for run in runs:
                yield from _pictures_of(plan, index, part, run, shown, say)


def _pictures_of(
    plan: Plan, index: int, part: DataSet, run: RunScenes, shown: Shown, say: Say
) -> Iterator[FramePicture]:
    choices: dict[str, list[Choice]] = {}
    for choice in choose(run):
        choices.setdefault(choice.scene, []).append(choice)
    for scene in part.scenes:
        store = plan.store(index, scene)
        if scene.name in choices and store is not None:
            say(f'drawing {len(choices[scene.name])} frames of {scene.name}')
            title = f'{run.model} on {run.data}'
            yield from paint(scene, choices[scene.name], store, title, shown, plan.scoring)


def _settings(request: Request) -> dict[str, str]:
    read = request.read
    return {
        'frames scored': f'at most every {request.scoring.every_s:g} s',
        'truth may be off in time by': f'{request.scoring.tolerance_s:g} s',
        'hidden objects': f'{request.metrics.hidden} (seen less than '
        f'{100 * request.metrics.min_visibility:g} %)',
        'least score': 'that of the model'
        if request.min_score is None
        else f'{request.min_score:g}',
        'frame sets': 'all' if request.rate_hz is None else f'at most {request.rate_hz:g} Hz',
        'split': read.split or 'all',
        'bootstrap draws': str(request.bootstrap.replicates),
    }


def _write(
    request: Request, plan: Plan, outcome: Outcome, evaluation: Evaluation, say: Say
) -> None:
    infos = {info.title: info for info in (p.info() for p in plan.predictors)}
    try:
        shutil.rmtree(request.out / FOLDER, ignore_errors=True)
        for index, run in enumerate(_clean(outcome.runs)):
            save_run(run, infos[run.model].predicts, request.metrics, request.out, index)
    except OSError as error:
        raise BevError(f'{request.out}: cannot be written: {error.strerror}') from error
    written = list(write_report(evaluation, request.out))
    if request.submission:
        for index, run in enumerate(_clean(outcome.runs)):
            written += _submit(run, request.out / f'submission_{index}')
    say(summary_text(evaluation))
    for path in written:
        say(f'wrote {path}')


def _submit(run: RunScenes, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    name = SubmissionCollector.name
    records: dict[str, list[Any]] = {
        scene.info.name: [record for record in scene.records.get(name, ()) if record is not None]
        for scene in run.scenes
    }
    paths = [folder / 'detection.json', folder / 'tracking.json']
    write_detection_submission(paths[0], records)
    write_tracking_submission(paths[1], records)
    return paths
