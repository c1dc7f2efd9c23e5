"""`bev-trainer init`: seeded weights, equal bytes, no tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from bev_perception.model.config import load_model_config
from bev_perception.model.folder import load_model

REPO = Path(__file__).resolve().parents[2]
NANO = REPO / 'models' / 'nano'
SOURCE = REPO / 'bev_trainer' / 'src'
sys.path.insert(0, str(SOURCE))

from bev_trainer.cli import main  # noqa: E402


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """A small network that claims to be trained."""
    data = yaml.safe_load((NANO / 'model.yaml').read_text())
    data['bev_encoder'].update(widths=[8], channels=8)
    data['training'] = {'trained': True, 'description': 'on many roads'}
    path = tmp_path / 'description.yaml'
    path.write_text(yaml.safe_dump(data))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_seeds_give_equal_bytes(
    tmp_path: Path, description: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ['--config', str(description)]
    torch.manual_seed(1)
    for name, seed in (('a', '3'), ('b', '3'), ('c', '4')):
        assert main(['init', *config, '--seed', seed, '-o', str(tmp_path / name)]) == 0
        torch.rand(3)
    a, b, c = (contents(tmp_path / name) for name in 'abc')
    assert a == b
    assert a['weights.safetensors'] != c['weights.safetensors']
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert load_model(tmp_path / 'c').model_id in out[2] and 'untrained' in out[2]


def test_fresh_weights_never_claim_to_be_trained(tmp_path: Path, description: Path) -> None:
    assert main(['init', '--config', str(description), '-o', str(tmp_path / 'm')]) == 0
    config = load_model(tmp_path / 'm').config
    assert not config.training.trained
    assert config.training.seed == 0
    assert 'untrained' in config.training.description and 'seed 0' in config.training.description
    claimed = load_model_config(description)
    assert claimed.model_copy(update={'training': config.training}) == config


def test_global_random_state_is_left_alone(tmp_path: Path, description: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    assert main(['init', '--config', str(description), '-o', str(tmp_path / 'm')]) == 0
    assert torch.equal(torch.rand(4), expected)


def test_existing_output_needs_force(
    tmp_path: Path, description: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ['init', '--config', str(description), '-o', str(tmp_path / 'm')]
    assert main(call) == 0
    before = contents(tmp_path / 'm')
    assert main([*call, '--seed', '9']) == 2
    assert contents(tmp_path / 'm') == before
    assert 'already exists' in capsys.readouterr().err
    assert main([*call, '--seed', '9', '--force']) == 0
    assert contents(tmp_path / 'm') != before


def test_the_shipped_network_with_fresh_weights(tmp_path: Path) -> None:
    config = ['--config', str(NANO / 'model.yaml')]
    assert main(['init', *config, '--half', '-o', str(tmp_path / 'nano')]) == 0
    made, shipped = load_model(tmp_path / 'nano'), load_model(NANO)
    assert shipped.config.training.trained and not made.config.training.trained
    assert made.config == shipped.config.model_copy(update={'training': made.config.training})
    expected = {name: tensor.shape for name, tensor in shipped.model.state_dict().items()}
    assert {name: t.shape for name, t in made.model.state_dict().items()} == expected
    assert made.weights_hash != shipped.weights_hash


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['--config', 'absent.yaml', '-o', 'x'], 'absent.yaml: cannot read'),
        (['--config', 'wrong.yaml', '-o', 'x'], "wrong.yaml: 'depht' is unknown; did you mean"),
        (['--config', 'right.yaml', '-o', 'right.yaml/x/y'], 'right.yaml is no folder'),
    ],
)
def test_user_errors_are_one_line(
    tmp_path: Path,
    description: Path,
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = description.rename('right.yaml').read_text()
    Path('wrong.yaml').write_text(text.replace('depth:', 'depht:'))
    assert main(['init', *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err.startswith('bev-trainer: error: ') and err.count('\n') == 1 and expected in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ['right.yaml', 'wrong.yaml']


def test_program_exits_with_the_code_and_without_a_traceback(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, '-m', 'bev_trainer', 'init', '--config', 'absent.yaml', '-o', 'x'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': f'{REPO}{os.pathsep}{SOURCE}'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ''
    assert result.stderr == (
        'bev-trainer: error: absent.yaml: cannot read the model description: '
        'No such file or directory\n'
    )
