"""Study files: what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from bev_trainer.study.arms import merged, trainings_of
from bev_trainer.study.make import make_models
from bev_trainer.study.plan import FIGURES, load_study, parse_study, slug
from support.train_set import write_training

from bev_perception.errors import ConfigError
from bev_perception.model.config import parse_model_config

RECIPES = Path(__file__).parents[2] / 'bev_trainer' / 'recipes'


def text(**changes: Any) -> str:
    content: dict[str, Any] = {
        'training': 'train.yaml',
        'seeds': [3, 5],
        'arms': {'all of it': {}, 'no memory': {'model': {'memory': None}}},
        'tests': {'streets': {'path': 'data'}},
    }
    return yaml.safe_dump(content | changes, sort_keys=False)


def test_a_study() -> None:
    study = parse_study(text(), 'study.yaml')
    assert (study.seeds, study.figures) == ((3, 5), FIGURES)
    assert list(study.arms) == ['all of it', 'no memory']
    test = study.tests['streets']
    assert (test.split, test.scenes, test.rate_hz, test.robustness) == ('test', None, 2.0, ())


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'arms': {}}, "'arms'"),
        ({'seeds': [1, 1]}, 'same training twice'),
        ({'arms': {'a': {}, 'A!': {}}}, 'more than punctuation'),
        ({'arms': {'a': {}, 'b': {'of': 'c', 'weights': 'last'}}}, "'c' is no arm that is"),
        ({'arms': {'a': {'weights': 'last'}}}, "need 'of'"),
        ({'arms': {'a': {}, 'b': {'of': 'a'}}}, "one of 'weights' and 'soup'"),
        (
            {'arms': {'a': {}, 'b': {'of': 'a', 'weights': 'last', 'soup': 'uniform'}}},
            "one of 'weights' and 'soup'",
        ),
        (
            {'arms': {'a': {}, 'b': {'of': 'a', 'soup': 'uniform', 'training': {'x': 1}}}},
            'nothing else can differ',
        ),
        ({'seeds': [1], 'arms': {'a': {}, 'b': {'of': 'a', 'soup': 'uniform'}}}, 'two seeds'),
        ({'calibrate': 0}, "'calibrate'"),
        (
            {'calibrate': 8, 'arms': {'a': {}, 'b': {'of': 'a', 'soup': 'uniform'}}},
            'cannot be calibrated',
        ),
        ({'tests': {'t': {'path': 'd', 'robustness': ['mising']}}}, "no perturbations 'mising'"),
        ({'tests': {'t': {'path': 'd', 'splt': 'val'}}}, "did you mean 'split'"),
        ({'arm': {}}, "did you mean 'arms'"),
    ],
)  # fmt: skip
def test_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_study(text(**changes), 'study.yaml')
    assert str(caught.value).startswith('study.yaml: ')
    assert words in str(caught.value) and '\n' not in str(caught.value)


def test_names_in_folders() -> None:
    assert slug('No rig-augmentation, 2x') == 'no_rig_augmentation_2x'


def test_sections_are_merged_and_all_else_is_replaced() -> None:
    base = {'a': {'b': 1, 'c': [1, 2]}, 'd': 4, 'e': {'f': 6}}
    changes = {'a': {'c': [3]}, 'e': None, 'g': {'h': 8}}
    assert merged(base, changes) == {'a': {'b': 1, 'c': [3]}, 'd': 4, 'e': None, 'g': {'h': 8}}
    assert base == {'a': {'b': 1, 'c': [1, 2]}, 'd': 4, 'e': {'f': 6}}


def study_at(folder: Path, **changes: Any) -> Path:
    write_training(folder, folder / 'data')
    (folder / 'study.yaml').write_text(text(**changes))
    return folder / 'study.yaml'


def test_trainings(tmp_path: Path) -> None:
    arms = {
        'all of it': {},
        'no memory': {'model': {'memory': None}},
        'no depth': {'training': {'loss': {'depth': False}, 'run': {'steps': 9}}},
        'raw': {'of': 'all of it', 'weights': 'last'},
    }
    study = load_study(study_at(tmp_path, arms=arms))
    assert study.tests['streets'].path == tmp_path / 'data'
    found = trainings_of(study, tmp_path / 'out')
    assert list(found) == [
        (arm, seed) for arm in ('all of it', 'no memory', 'no depth') for seed in (3, 5)
    ]
    whole, single, shallow = (found[arm, 5] for arm in ('all of it', 'no memory', 'no depth'))
    assert single.folder == tmp_path / 'out' / 'arms' / 'no_memory' / 'seed_5'
    assert shallow.parsed().loss.depth is False and shallow.parsed().run.steps == 9
    assert whole.parsed().run.steps == 4 and whole.parsed().run.seed == 5
    assert whole.parsed().data[0].path == tmp_path / 'data'
    models = [parse_model_config(str(item.model), '') for item in (whole, single, shallow)]
    assert [model.name for model in models] == ['all_of_it_5', 'no_memory_5', 'no_depth_5']
    differ = {key: (a, b) for (key, a), (_, b) in zip(models[0], models[1], strict=True) if a != b}
    assert set(differ) == {'name', 'memory'} and differ['memory'][1] is None
    assert whole.parsed().model == whole.folder / 'model.yaml'
    assert set(whole.files()) == {whole.folder / 'train.yaml', whole.folder / 'model.yaml'}


@pytest.mark.parametrize(
    ('arm', 'words'),
    [
        ({'training': {'los': {}}}, "did you mean 'loss'"),
        ({'model': {'memory': {'kind': 'ringg'}}}, "no known kind 'ringg'"),
        ({'training': {'optimiser': {'warmup_steps': 100}}}, 'do not go into run.steps'),
    ],
)
def test_impossible_arms_are_named(tmp_path: Path, arm: dict[str, Any], words: str) -> None:
    study = load_study(study_at(tmp_path, arms={'fine': {}, 'odd one': arm}))
    with pytest.raises(ConfigError, match=r"^arm 'odd one': ") as caught:
        trainings_of(study, tmp_path / 'out')
    assert words in str(caught.value)


def test_networks_that_have_weights_are_not_changed(tmp_path: Path) -> None:
    path = study_at(tmp_path)
    (tmp_path / 'whole').mkdir()
    (tmp_path / 'whole' / 'weights.safetensors').write_bytes(b'')
    write_training(tmp_path, tmp_path / 'data', model='whole')
    with pytest.raises(ConfigError, match='has weights already'):
        trainings_of(load_study(path), tmp_path / 'out')


def test_calibration_needs_validation_data(tmp_path: Path) -> None:
    path = study_at(tmp_path, calibrate=4)
    write_training(tmp_path, tmp_path / 'data', validation=[])
    study, out = load_study(path), tmp_path / 'out'
    with pytest.raises(ConfigError, match=r"^arm 'all of it': 'calibrate' needs 'validation'"):
        make_models(study, trainings_of(study, out), out, lambda line: None)
    assert not out.exists()


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='cannot read the study file'):
        load_study(tmp_path / 'none.yaml')
    with pytest.raises(ConfigError, match='expected a mapping'):
        parse_study('[1]', 'list.yaml')


@pytest.mark.parametrize('path', sorted(RECIPES.rglob('study.yaml')), ids=lambda p: p.parent.name)
def test_shipped_studies_can_be_made(path: Path, tmp_path: Path) -> None:
    study = load_study(path)
    assert trainings_of(study, tmp_path)
