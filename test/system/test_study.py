"""A whole study: trained, tested, told, and gone on with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from bev_trainer.cli import main
from support.train_set import write_data_set, write_training

ARMS: dict[str, Any] = {
    'as it is': {},
    'one frame': {'model': {'memory': None}, 'training': {'loss': {'frames': 'last'}}},
    'no average': {'of': 'as it is', 'weights': 'last'},
}
SOUP = {'soup': {'of': 'as it is', 'soup': 'uniform'}}
FIGURES = ('occupancy/ECE', 'iou/model/drivable')


def write_study(folder: Path, data: Path, **changes: Any) -> Path:
    write_training(
        folder, data, run={'steps': 2}, average={'kind': 'ema'}, optimiser={'warmup_steps': 0}
    )
    content = {
        'training': 'train.yaml',
        'seeds': [0],
        'arms': ARMS,
        'tests': {'streets': {'path': str(data), 'rate_hz': None}},
        'figures': FIGURES,
    }
    path = folder / 'study.yaml'
    path.write_text(yaml.safe_dump(content | changes, sort_keys=False))
    return path


def rows(out: Path) -> list[dict[str, str]]:
    with (out / 'figures.csv').open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


def made_in(out: Path) -> dict[Path, int]:
    """Returns when the weights were written."""
    return {path: path.stat().st_mtime_ns for path in out.rglob('weights.safetensors')}


@pytest.mark.slow
def test_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data_set(tmp_path / 'data', ('train', 'val', 'test', 'test'))
    study, out = write_study(tmp_path, data), tmp_path / 'out'
    assert main(['study', str(study), '-o', str(out), '--workers', '1']) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f'\n{(out / "study.txt").read_text()}')
    assert all(name in printed for name in ('streets (seed 0)', *ARMS))
    found = rows(out)
    assert len(found) == len(FIGURES) * len(ARMS)
    check_changes(found)
    values = {r['arm']: r['value'] for r in found if r['figure'] == FIGURES[0]}
    assert len(set(values.values())) == 3  # other weights, other values
    assert (out / 'tests' / 'streets' / 'seed_0' / 'report.html').is_file()
    with (out / 'costs.csv').open() as file:
        spent = {row['arm']: row for row in csv.DictReader(file)}
    assert list(spent) == ['as it is', 'one frame']
    assert all(float(value) > 0 for row in spent.values() for value in list(row.values())[1:])

    made = made_in(out)
    assert len(made) == len(ARMS)
    assert main(['study', str(study), '-o', str(out), '--workers', '1']) == 0
    assert made_in(out) == made and rows(out) == found

    # Calibrated, the same trainings are other models.
    write_study(tmp_path, data, calibrate=2)
    assert main(['study', str(study), '-o', str(out), '--workers', '1']) == 0
    assert list(made_in(out)) == list(made) and made_in(out) != made
    ece = {r['arm']: float(r['value']) for r in rows(out) if r['figure'] == FIGURES[0]}
    assert all(ece[arm] != float(values[arm]) for arm in ARMS)
    write_study(tmp_path, data)
    assert main(['study', str(study), '-o', str(out), '--workers', '1']) == 0
    assert rows(out) == found
    made = made_in(out)

    # Another test of the same models is made anew.
    tests = {'streets': {'path': str(data), 'rate_hz': None, 'scenes': 1}}
    write_study(tmp_path, data, tests=tests)
    assert main(['study', str(study), '-o', str(out), '--workers', '1']) == 0
    assert made_in(out) == made and rows(out) != found


@pytest.mark.slow
def test_seeds_soups_and_missing_cameras(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / 'data', ('train', 'val', 'test', 'test'))
    tests = {'streets': {'path': str(data), 'rate_hz': None, 'robustness': ['missing']}}
    study = write_study(tmp_path, data, seeds=[0, 1], arms=ARMS | SOUP, tests=tests)
    out = tmp_path / 'out'
    assert main(['study', str(study), '-o', str(out), '--workers', '1']) == 0
    found = rows(out)
    # Two figures, clean and with cameras missing: of three arms with two seeds, and of a soup.
    assert len(found) == 2 * 2 * (3 * 2 + 1)
    check_changes([row for row in found if row['condition'] == 'clean'])
    assert len(made_in(out)) == 3 * 2 + 1


def check_changes(found: list[dict[str, str]]) -> None:
    """Changes are those against the first arm with the same seed."""
    by_arm = {(row['arm'], row['seed'], row['figure']): row for row in found}
    for (arm, seed, figure), row in by_arm.items():
        base = by_arm['as it is', seed or '0', figure]
        assert (row['change'] == '') == (
            arm == 'as it is' or not row['value'] or not base['value']
        )
        if row['change']:
            assert float(row['change']) == pytest.approx(
                float(row['value']) - float(base['value'])
            )


def test_a_training_that_fails_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = write_study(tmp_path, tmp_path / 'nothing'), tmp_path / 'out'
    assert main(['study', str(study), '-o', str(out)]) == 2
    error = capsys.readouterr().err
    assert 'bev-trainer train failed (2), see ' in error and error.count('\n') == 1
    log = out / 'arms' / 'as_it_is' / 'seed_0' / 'log.txt'
    assert str(log) in error and 'nothing' in log.read_text()
    other = write_study(tmp_path, tmp_path / 'something else')
    assert main(['study', str(other), '-o', str(out)]) == 2
    assert 'train.yaml: is of another study' in capsys.readouterr().err
    assert main(['study', str(other), '-o', str(other / 'out')]) == 2
    assert 'seed_0: cannot be made a folder: Not a directory' in capsys.readouterr().err
