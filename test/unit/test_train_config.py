"""Training files: typed, paths beside the file, and one line about what is wrong."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest
from bev_trainer.config.sections import ClipSection
from bev_trainer.config.train_config import load_train_config, parse_train_config
from bev_trainer.data.scene_labels import Sight

from bev_perception.cli.evaluate import add_arguments
from bev_perception.errors import ConfigError
from bev_perception.evaluation.families import MetricOptions

SHORT = 'model: m.yaml\ndata: [{path: d}]\nrun: {steps: 1000}\n'


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_train_config(text, 'train.yaml')
    message = str(caught.value)
    assert message.startswith('train.yaml: ') and '\n' not in message
    return message


def test_a_short_file_is_enough() -> None:
    config = parse_train_config(SHORT, 'train.yaml')
    assert (config.run.steps, config.run.batch, config.run.seed) == (1000, 4, 0)
    assert config.data[0].split == 'train' and config.data[0].weight == 1.0
    assert (config.clip.min_share, config.clip.min_points, config.clip.every_s) == (0.1, 1, 0.5)
    assert config.validation == () and config.augment.mirror_share == 0.0


def test_training_and_scoring_ask_for_the_same_road_users() -> None:
    parser = ArgumentParser()
    add_arguments(parser)
    scored = parser.parse_args(['data', '-o', 'out']).min_visibility
    assert ClipSection().min_share == Sight().min_share == scored == 0.1
    assert MetricOptions().min_visibility == scored


def test_paths_are_beside_the_file_unless_they_are_absolute(tmp_path: Path) -> None:
    (tmp_path / 'sub').mkdir()
    file = tmp_path / 'sub' / 'train.yaml'
    file.write_text(
        'model: ../nano/model.yaml\n'
        'data: [{path: sets/a}, {path: /elsewhere/b, split: null, weight: 0.5}]\n'
        'validation: [{path: sets/a, split: val}]\n'
        'run: {steps: 1000}\n'
    )
    config = load_train_config(file)
    assert config.model.resolve() == tmp_path / 'nano' / 'model.yaml'
    paths = [item.path for item in config.data]
    assert paths == [tmp_path / 'sub' / 'sets' / 'a', Path('/elsewhere/b')]
    assert config.data[1].split is None
    assert config.validation[0].path == tmp_path / 'sub' / 'sets' / 'a'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (SHORT + 'optimizer: {}\n', "'optimizer' is unknown; did you mean 'optimiser'?"),
        (
            SHORT + 'optimiser: {warmup: 3}\n',
            "'optimiser.warmup' is unknown; did you mean 'warmup_steps'?",
        ),
        (SHORT.replace('path', 'pth'), "'data.0.pth' is unknown; did you mean 'path'?"),
        (SHORT + 'augment: {rig: {pich_deg: 1}}\n', "did you mean 'pitch_deg'?"),
        (SHORT.replace('steps: 1000', 'steps: 0'), "'run.steps': input should be greater than or"),
        (
            SHORT.replace('steps: 1000', 'steps: many'),
            "'run.steps': input should be a valid integer",
        ),
        (
            SHORT + 'optimiser: {schedule: linear}\n',
            "'optimiser.schedule': input should be 'wsd' or 'cosine', got 'linear'",
        ),
        (SHORT + 'clip: {near_share: 1.5}\n', "'clip.near_share': input should be less than or"),
        (SHORT + 'clip: {every_s: 0.0}\n', "'clip.every_s': input should be greater than 0"),
        (SHORT + 'clip: {min_share: 1.5}\n', "'clip.min_share': input should be less than or"),
        (SHORT + 'average: {decay: 1.0}\n', "'average.decay': input should be less than 1"),
        (SHORT + 'optimiser: {rate: .nan}\n', "'optimiser.rate': input should be a finite number"),
        ('model: m\nrun: {steps: 1}\ndata: []\n', "'data': tuple should have at least 1 item"),
        ('model: m\ndata: [{path: d}]\n', "'run' is missing"),
        (
            SHORT.replace('steps: 1000', 'steps: 250'),
            'the training: optimiser.warmup_steps = 200 and 62 steps of decay do not go into '
            'run.steps = 250',
        ),
        (
            SHORT + 'optimiser: {schedule: cosine, warmup_steps: 1000}\n',
            'optimiser.warmup_steps = 1000 and 1 steps of decay do not go into run.steps = 1000',
        ),
        ('- a\n', 'expected a mapping at the top level'),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'none\.yaml: cannot read the training file: No such'):
        load_train_config(tmp_path / 'none.yaml')
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe')
    with pytest.raises(ConfigError, match='not UTF-8 text'):
        load_train_config(tmp_path / 'binary.yaml')
    with pytest.raises(ConfigError, match=r'train\.yaml: '):
        parse_train_config('model: [\n', 'train.yaml')
