"""`bev-trainer soup`: folders in, a folder out, errors in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from bev_trainer.averaging.evaluate import losses_of, total_of
from bev_trainer.averaging.soup_clips import SoupClips
from bev_trainer.cli import main
from support.drives import SmallDrive
from support.tiny_model import tiny_config

from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig, own_family
from bev_perception.model.folder import load_model, save_model


def short_config() -> ModelConfig:
    """The tiny model with a horizon that fits into a drive of one second."""
    config = tiny_config()
    assert config.heads.motion is not None
    motion = config.heads.motion.model_copy(update={'steps': 1})
    return config.model_copy(update={'heads': config.heads.model_copy(update={'motion': motion})})


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, two models near it, a bad one, another network, and a drive."""
    folder = tmp_path_factory.mktemp('soup')
    config = short_config()
    torch.manual_seed(0)
    base = BevModel(config)
    save_model(folder / 'base', config, base)
    start = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    for seed, (name, size) in enumerate((('one', 0.02), ('two', 0.02), ('bad', 3.0)), start=1):
        base.load_state_dict(start)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in base.parameters():
                parameter.add_(torch.randn(parameter.shape) * size)
        save_model(folder / name, config, base)
    save_model(folder / 'other', tiny_config(), BevModel(tiny_config()))
    SmallDrive(name='drive').write(folder)
    (folder / 'torn.zip').write_bytes((folder / 'drive.zip').read_bytes()[:-3000])
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def soup(folder: Path, names: str, *options: str) -> int:
    return main(['soup', *(str(folder / name) for name in names.split()), *options])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path).model.state_dict()


def test_uniform_soup_is_a_folder_with_the_mean(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'soup'
    assert soup(folder, 'one two', '-o', str(output)) == 0
    found, one, two = weights(output), weights(folder / 'one'), weights(folder / 'two')
    for name, tensor in found.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (one[name] + two[name]) / 2)
    loaded = load_model(output)
    ids = [load_model(folder / name).model_id for name in ('one', 'two')]
    assert loaded.config.training.description == f'uniform soup of {ids[0]}, {ids[1]}'
    assert loaded.config.version == '0.1.0+soup'
    out = capsys.readouterr().out
    assert out == (f'{output}: {loaded.model_id}, {loaded.config.training.description}\n')
    card = (output / 'CARD.md').read_text()
    assert card.startswith('# tiny 0.1.0+soup\n') and f'Model `{loaded.model_id}`' in card
    text = load_model(folder / 'one').config.training.description
    assert all(f'\n| {member} | {text} |\n' in card for member in ids)
    assert '- method: uniform, mean of all\n' in card and '- base: ' not in card
    assert '- statistics of batch normalisation: averages\n' in card
    assert '| Backbone | ' in card and '## Data' not in card and '## Limits' in card


def test_a_soup_of_one_is_that_model(folder: Path, tmp_path: Path) -> None:
    assert soup(folder, 'one one', '-o', str(tmp_path / 'soup')) == 0
    found, one = weights(tmp_path / 'soup'), weights(folder / 'one')
    assert all(torch.equal(tensor, one[name]) for name, tensor in found.items())


def test_stock_lies_between_base_and_mean(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ['--method', 'stock', '--base', str(folder / 'base')]
    assert soup(folder, 'one two', '-o', str(tmp_path / 'soup'), *options) == 0
    result, base = weights(tmp_path / 'soup'), weights(folder / 'base')
    one, two = weights(folder / 'one'), weights(folder / 'two')
    # Random ways of many dimensions are at right angles: the base is as good as anything.
    name = max(result, key=lambda name: result[name].numel())
    mean = (one[name] + two[name]) / 2
    assert (result[name] - base[name]).norm() < 0.1 * (mean - base[name]).norm()
    assert 'share of the mean by layer: 0.00 to ' in capsys.readouterr().out
    description = load_model(tmp_path / 'soup').config.training.description
    anchor = load_model(folder / 'base').model_id
    assert description.endswith(f'anchored to {anchor}')
    assert f'\n- base: {anchor}, ' in (tmp_path / 'soup' / 'CARD.md').read_text()


def test_data_recalibrates_batch_norm_and_only_that(folder: Path, tmp_path: Path) -> None:
    data = ['--data', str(folder / 'drive.zip'), '--clips', '1']
    for output in ('a', 'b'):
        assert soup(folder, 'one two', '-o', str(tmp_path / output), *data) == 0
    assert soup(folder, 'one two', '-o', str(tmp_path / 'plain')) == 0
    files = [(tmp_path / output / 'weights.safetensors').read_bytes() for output in 'ab']
    assert files[0] == files[1]
    found, plain = weights(tmp_path / 'a'), weights(tmp_path / 'plain')
    changed = {name for name in found if not torch.equal(found[name], plain[name])}
    assert changed
    assert all(name.endswith(('running_mean', 'running_var')) for name in changed)
    config = load_model(tmp_path / 'a').config
    assert config.training.description.endswith('; batch norm of 1 clip of drive')
    card = (tmp_path / 'a' / 'CARD.md').read_text()
    assert '- statistics of batch normalisation: 1 clip of drive\n' in card


def test_greedy_leaves_out_what_makes_it_worse(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'soup'
    options = ['--method', 'greedy', '--data', str(folder / 'drive.zip'), '--clips', '2']
    assert soup(folder, 'bad one two', '-o', str(output), *options) == 0
    *alone, total, last = capsys.readouterr().out.splitlines()
    scores = [float(line.rpartition(' ')[2]) for line in alone]
    assert [line.partition(':')[0] for line in alone] == [
        str(folder / name) for name in ('bad', 'one', 'two')
    ]
    assert max(scores) == scores[0]
    reached = float(total.rpartition(' ')[2])
    assert reached <= min(scores) + 1e-4
    assert load_model(folder / 'bad').model_id not in last
    card = (output / 'CARD.md').read_text()
    assert '- method: greedy, mean of those that help on validation clips of drive\n' in card
    assert load_model(folder / 'bad').model_id not in card
    loaded = load_model(output)
    clips = SoupClips(folder / 'drive.zip', own_family(loaded.config), 2)
    assert isinstance(loaded.model, BevModel)
    assert total_of(losses_of(loaded.model, clips.validation)) == pytest.approx(reached, abs=1e-3)


@pytest.mark.parametrize(
    ('names', 'options', 'expected'),
    [
        ('one other', [], "other: 'heads.motion.steps' is 4, in "),
        ('one absent', [], 'absent: no such model folder'),
        ('one two', ['--method', 'stock'], '--base MODEL go together'),
        ('one two', ['--base', '{0}/base'], '--base MODEL go together'),
        ('one', ['--method', 'stock', '--base', '{0}/base'], 'stock needs at least two models'),
        ('one two', ['--method', 'stock', '--base', '{0}/other'], "other: 'heads.motion.steps'"),
        ('one two', ['--method', 'greedy'], 'greedy needs --data DATASET'),
        ('one two', ['--data', '{0}/no.zip'], 'no.zip'),
        ('one two', ['--data', '{0}/torn.zip'], 'torn.zip: is not a whole drive file'),
        ('one two', ['--data', '{0}'], 'is no data set'),
    ],
)
def test_user_errors_are_one_line(
    folder: Path,
    tmp_path: Path,
    names: str,
    options: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [option.format(folder) for option in options]
    assert soup(folder, names, '-o', str(tmp_path / 'soup'), *filled) == 2
    out, err = capsys.readouterr()
    assert out == '' and err.count('\n') == 1
    assert err.startswith('bev-trainer: error: ') and expected in err
    assert not (tmp_path / 'soup').exists()


def test_existing_output_needs_force_before_anything_is_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'soup'
    assert soup(folder, 'one two', '-o', str(output)) == 0
    assert soup(folder, 'absent', '-o', str(output)) == 2
    assert 'already exists' in capsys.readouterr().err
    assert soup(folder, 'two', '-o', str(output), '--force', '--half') == 0
    assert (output / 'weights.safetensors').stat().st_size < 0.6 * (
        folder / 'two' / 'weights.safetensors'
    ).stat().st_size
