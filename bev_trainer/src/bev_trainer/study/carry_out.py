"""A study from its file to its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bev_perception.evaluation.carry_out import evaluate
from bev_perception.evaluation.report import read_results
from bev_perception.evaluation.request import Request
from bev_perception.evaluation.results import Evaluation
from bev_perception.evaluation.scenes.options import SceneOptions
from bev_perception.files import write_atomically
from bev_trainer.study.arms import trainings_of
from bev_trainer.study.costs import Cost, measure_costs
from bev_trainer.study.make import Trainings, make_models
from bev_trainer.study.outcome import Reading, readings, title_of
from bev_trainer.study.plan import LookSection, StudyConfig, slug
from bev_trainer.study.table import as_csv, as_text, costs_as_csv

Say = Callable[[str], None]
Models = Mapping[str, Sequence[Path]]

_RESULTS, _TEST = 'results.json', 'test.json'


def carry_out(study: StudyConfig, out: Path, workers: int | None, say: Say) -> None:
    """Trains and tests all arms, writes the tables and says them.

    What earlier runs have left in the folder is taken as it is, but costs are measured anew, all
    of them side by side.

    Args:
        study: what is asked for.
        out: folder for all of it, absolute.
        workers: processes of the tests; None: one for each core.
        say: prints a line.

    Raises:
        BevError: a training or a test failed.
    """
    trainings = trainings_of(study, out)
    models = make_models(study, trainings, out, say)
    found = [
        reading
        for name in study.tests
        for reading in _tested(study, name, models, out / 'tests' / slug(name), workers, say)
    ]
    say('costs')
    costs = _costs(study, trainings)
    text = as_text(found, costs, {name: _heading(name, study) for name in study.tests})
    contents = {
        'figures.csv': as_csv(found),
        'costs.csv': costs_as_csv(costs),
        'study.txt': f'{text}\n',
    }
    for file, content in contents.items():
        write_atomically(out / file, content.encode())
    say(f'\n{text}')


def _tested(
    study: StudyConfig, name: str, models: Models, folder: Path, workers: int | None, say: Say
) -> list[Reading]:
    evaluations = []
    for index, seed in enumerate(study.seeds):
        say(f'{name}, seed {seed}')
        # A model that stands for all seeds is beside those of the first one.
        chosen = [folders[index] for folders in models.values() if index < len(folders)]
        evaluations.append(_evaluated(study.tests[name], chosen, folder / f'seed_{seed}', workers))
    titles = {arm: [title_of(folder) for folder in folders] for arm, folders in models.items()}
    return readings(study, name, titles, evaluations)


def _evaluated(
    test: LookSection, models: Sequence[Path], out: Path, workers: int | None
) -> Evaluation:
    """Returns the evaluation of models on a test, made now or, if it is the same, before."""
    asked, record = test.model_dump_json(), out / _TEST
    if (out / _RESULTS).is_file() and record.is_file() and record.read_text() == asked:
        stored = read_results(out / _RESULTS)
        if {run.model for run in stored.runs} == {title_of(model) for model in models}:
            return stored
    record.unlink(missing_ok=True)
    request = Request(
        data=(test.path,),
        out=out,
        models=tuple(map(str, models)),
        device='cpu',
        rate_hz=test.rate_hz,
        robustness=test.robustness,
        read=SceneOptions(split=test.split),
        most_scenes=test.scenes,
        workers=workers,
    )
    made = evaluate(request, f'bev evaluate {test.path.name}', lambda line: None)
    write_atomically(record, asked.encode())
    return made


def _costs(study: StudyConfig, trainings: Trainings) -> dict[str, Cost]:
    trained = [name for name, arm in study.arms.items() if arm.of is None]
    return measure_costs({name: trainings[name, study.seeds[0]].parsed() for name in trained})


def _heading(name: str, study: StudyConfig) -> str:
    seeds = ', '.join(map(str, study.seeds))
    return f'{name} (seed{"s" * (len(study.seeds) > 1)} {seeds})'
