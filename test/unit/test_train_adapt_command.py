"""`bev-trainer adapt`, and trainings that stay near the model they begin with."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bev_trainer.averaging.evaluate import even_clips
from bev_trainer.averaging.parts import trunk_names
from bev_trainer.cli import main
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip_stream import Batch
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.training.checkpoint import read_checkpoint
from bev_trainer.training.record import code_version
from bev_trainer.training.validation import look_at
from bev_trainer.training.watch import figures_of
from support.train_set import short_config, write_data_set, write_training
from torch import Tensor

from bev_perception.model.bev_model import BevModel
from bev_perception.model.folder import load_model, save_model

SHORT = [
    '--steps',
    '3',
    '--batch',
    '2',
    '--workers',
    '0',
    '--clips',
    '2',
    '--precision',
    '32-true',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old and a new data set, and a model that was trained on something."""
    folder = tmp_path_factory.mktemp('adapt')
    write_data_set(folder / 'old', ('train', 'val'), speed_mps=3.0)
    write_data_set(folder / 'new', ('train', 'train', 'val'))
    config = short_config()
    training = config.training.model_copy(
        update={'trained': True, 'description': 'a lifetime', 'code': '0.0.9'}
    )
    torch.manual_seed(1)
    model = BevModel(config)
    with torch.no_grad():
        model.heads.occupancy.calibration.scale.fill_(0.5)
    save_model(folder / 'base', config.model_copy(update={'training': training}), model)
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def adapt(folder: Path, output: Path, *options: str) -> int:
    words = ['adapt', str(folder / 'base'), '--data', str(folder / 'new'), '-o', str(output)]
    return main([*words, *SHORT, *options])


def weights(path: Path) -> dict[str, Tensor]:
    return load_model(path).model.state_dict()


def trained(folder: Path, tmp_path: Path, **adapting: object) -> dict[str, Tensor]:
    """Returns what three steps from the base come to."""
    file = write_training(
        tmp_path, folder / 'new', run={'steps': 3}, average={'kind': 'none'}, validation=[],
        model=str(folder / 'base'), adapt=adapting,
    )  # fmt: skip
    assert main(['train', str(file), '-o', str(tmp_path / 'run')]) == 0
    tensors = read_checkpoint(tmp_path / 'run' / 'last.ckpt')['state_dict']
    return {n.removeprefix('model.'): t for n, t in tensors.items() if n.startswith('model.')}


def test_frozen_parts_stay_as_they_are_statistics_included(folder: Path, tmp_path: Path) -> None:
    base, found = weights(folder / 'base'), trained(folder, tmp_path, freeze=['trunk'])
    trunk = tuple(f'{name}.' for name in trunk_names(BevModel(short_config())))
    changed = {name for name in base if not torch.equal(base[name], found[name])}
    assert changed and not any(name.startswith(trunk) for name in changed)
    # The statistics of heads that learn move on.
    assert any('running_mean' in name for name in changed)


def test_the_pull_leads_back_to_the_beginning(folder: Path, tmp_path: Path) -> None:
    base = weights(folder / 'base')
    names = [name for name, _ in BevModel(short_config()).named_parameters()]
    free, half, whole = (tmp_path / name for name in ('free', 'half', 'whole'))
    for path in (free, half, whole):
        path.mkdir()
    moved = {
        path: trained(folder, path, pull=share, pull_every=3)
        for path, share in ((free, 0.0), (half, 0.25), (whole, 1.0))
    }
    for name in names:
        expected = moved[free][name].lerp(base[name], 0.25)
        torch.testing.assert_close(moved[half][name], expected)
        torch.testing.assert_close(moved[whole][name], base[name])
    assert any(not torch.equal(moved[free][name], base[name]) for name in names)


def test_old_and_new_are_compared_side_by_side(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'out'
    assert adapt(folder, output, '--old-data', str(folder / 'old'), '--rate', '0.002') == 0
    printed = capsys.readouterr().out
    old, new = load_model(folder / 'base'), load_model(output / 'model')
    assert printed.splitlines()[-1] == (
        f'{output}/model: {new.model_id}, adapted from {old.model_id}'
    )
    with (output / 'comparison.csv').open() as file:
        rows = {(row['data'], row['figure']): row for row in csv.DictReader(file)}
    assert list(dict.fromkeys(data for data, _ in rows)) == ['old data', 'new data']
    for name, drive in (
        ('old data', 'old/drives/drive_000001'),
        ('new data', 'new/drives/drive_000002'),
    ):
        source = DriveSource([folder / f'{drive}.zip'], short_config(), ClipSection())
        batches = [Batch(clip) for clip in even_clips(source, 2, 2)]
        for column, loaded in (('old', old), ('new', new)):
            assert isinstance(loaded.model, BevModel)
            figures = figures_of([look_at(loaded.model, batches, 2.0).sums])
            for figure, value in figures.items():
                assert float(rows[name, figure][column]) == pytest.approx(value), (name, figure)
    row = rows['new data', 'loss/boxes']
    line = next(line for line in printed.splitlines() if line.startswith('loss/boxes')).split()
    change = float(row['new']) - float(row['old'])
    assert line[4:] == [f'{float(row["old"]):.4f}', f'{float(row["new"]):.4f}', f'{change:+.4f}']
    assert change < 0


def test_the_model_says_both_its_lives(folder: Path, tmp_path: Path) -> None:
    assert adapt(folder, tmp_path / 'out', '--freeze', 'backbone', 'neck') == 0
    loaded = load_model(tmp_path / 'out' / 'model')
    training = loaded.config.training
    assert training.description == (
        '3 steps on 2 recordings of new (train); before that a lifetime'
    )
    assert [item.name for item in training.data] == ['new']
    base = weights(folder / 'base')
    found = loaded.model.state_dict()
    frozen = [name for name in base if name.startswith(('backbone.', 'neck.'))]
    assert frozen and all(torch.equal(base[name], found[name]) for name in frozen)
    # Calibrated anew: what the base had belongs to the weights that it had.
    assert not torch.equal(found['heads.occupancy.calibration.scale'], torch.full((8,), 0.5))
    card = (tmp_path / 'out' / 'model' / 'CARD.md').read_text()
    assert '- calibrated occupancy' in card and '\n- before that: a lifetime\n' in card
    assert training.code == f'0.0.9, {code_version()}'
    # A second run in the same folder is refused, one that goes on finds it done.
    assert adapt(folder, tmp_path / 'out', '--freeze', 'backbone', 'neck') == 2
    assert adapt(folder, tmp_path / 'out', '--freeze', 'backbone', 'neck', '--resume') == 0
    assert load_model(tmp_path / 'out' / 'model').model_id == loaded.model_id


def test_what_is_compared_on_what_was_learned_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A drive file has no split to hold out, as recordings have none."""
    drives = folder / 'new' / 'drives'
    learned, other = (str(drives / f'drive_{index:06d}.zip') for index in (0, 2))

    def said(name: str, *validation: str) -> tuple[str, str, str]:
        output = tmp_path / name
        assert adapt(folder, output, '--data', learned, *validation) == 0
        table = (output / 'comparison.csv').read_text()
        return capsys.readouterr().out, table, (output / 'model' / 'CARD.md').read_text()

    out, table, card = said('same')
    assert out.splitlines()[0].startswith(f'nothing is held out of {learned}: ')
    assert 'new data, learned: old' in out and '\n"new data, learned",' in table
    assert '- calibrated on what it has learned from, too: drive_000000.zip\n' in card
    out, table, card = said('other', '--validation', other)
    assert 'held out' not in out and 'learned' not in table and 'learned from' not in card
    out, table, _ = said('both', '--validation', learned, other)
    assert out.count('held out') == 1 and 'new data, part learned: old' in out


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--pull', '1.5'], "adapt: 'adapt.pull': input should be less than or equal to 1"),
        (['--rate', '0'], "adapt: 'optimiser.rate': input should be greater than 0"),
        (['--freeze', 'trunck'], "the model has no part 'trunck'; did you mean 'trunk'?"),
        (['--freeze', 'trunk', 'heads'], 'nothing is left to train'),
        (['--old-data', 'nowhere'], 'nowhere'),
        (['--data', 'nowhere'], 'nowhere'),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert adapt(folder, tmp_path / 'out', *options) == 2
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1
    assert not (tmp_path / 'out' / 'last.ckpt').exists()


def test_a_fresh_network_has_no_beginning_to_stay_near(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_training(tmp_path, folder / 'new', adapt={'pull': 0.1})
    assert main(['train', str(file), '-o', str(tmp_path / 'run')]) == 2
    assert "'adapt' needs a model folder with weights" in capsys.readouterr().err
