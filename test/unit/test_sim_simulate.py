"""`bev-trainer simulate` as a program: its outline, and one line when something is missing."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bev_trainer.cli import main
from bev_trainer.commands import simulate
from bev_trainer.simulate import makers as real_makers
from support.tiny_makers import InlinePool, full_disk_drive, makers, write_rig

REPO = Path(__file__).resolve().parents[2]
SMALL = ('--scenes', '3', '--seconds', '0.5', '--scenes-per-network', '1', '--size', '32x16')

needs_sumo = pytest.mark.skipif(
    importlib.util.find_spec('sumo') is None, reason='SUMO is not installed'
)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns the one line that a command says when it ends with exit code 2."""
    assert main(['simulate', *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == '' and err.startswith('bev-trainer: error: ') and err.count('\n') == 1, err
    return err


def program(tmp_path: Path, hook: str, **environment: str) -> str:
    """Returns the error line of the program, with some Python run at each process's start."""
    (tmp_path / 'hook').mkdir()
    (tmp_path / 'hook' / 'sitecustomize.py').write_text(hook)
    paths = [str(tmp_path / 'hook'), str(REPO), str(REPO / 'bev_trainer' / 'src')]
    done = subprocess.run(
        [
            sys.executable, '-m', 'bev_trainer', 'simulate', *SMALL[2:], '--scenes', '1', '--out',
            str(tmp_path / 'out'), '--rig', 'robot_3', '--workers', '1', '--size', '64x32',
        ],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and done.stdout == '', done.stderr
    assert not list((tmp_path / 'out').glob('drives/*')) and lines[0].startswith('bev-trainer:')
    return lines[0]


MISSING = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == {name!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Missing())
"""


def test_without_moderngl(tmp_path: Path) -> None:
    said = program(tmp_path, MISSING.format(name='moderngl'))
    assert 'moderngl' in said and 'pip install' in said


def test_without_sumo(tmp_path: Path) -> None:
    hook = (
        'import importlib.util as u\n'
        'find = u.find_spec\n'
        "u.find_spec = lambda name, *a: None if name == 'sumo' else find(name, *a)\n"
    )
    said = program(tmp_path, hook)
    assert 'SUMO is not installed' in said and 'pip install eclipse-sumo' in said


def test_without_a_package(tmp_path: Path, capsys, monkeypatch) -> None:
    missing = dataclasses.replace(makers(), packages=('numpy', 'eclipse-sumo-2'))
    monkeypatch.setattr(real_makers, 'REAL', missing)
    said = refused(capsys, '--out', str(tmp_path / 'out'), '--rig', 'robot_3', *SMALL)
    assert "eclipse-sumo-2 is missing; pip install 'bev_trainer[simulate]'" in said
    assert not (tmp_path / 'out').exists()


@needs_sumo
def test_without_egl(tmp_path: Path) -> None:
    pytest.importorskip('moderngl', reason='moderngl is not installed')
    (tmp_path / 'nothing.json').write_text('{}')
    vendor = str(tmp_path / 'nothing.json')
    said = program(tmp_path, '', __EGL_VENDOR_LIBRARY_FILENAMES=vendor)
    assert 'cannot be opened through EGL' in said and 'install libegl1' in said
    assert not list((tmp_path / 'out' / 'maps').glob('*'))  # no time was spent on a world


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_makers, 'REAL', makers())
    monkeypatch.setattr(simulate, 'LocalPool', lambda workers: InlinePool())


@pytest.mark.usefixtures('tiny')
def test_summary_and_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'out'
    call = ['simulate', *SMALL, '--out', str(out), '--rig', write_rig(tmp_path)]
    assert main(call) == 0
    told = capsys.readouterr()
    assert told.out.startswith('3 drives (1 train, 1 val, 1 test), 30 images, ')
    assert str(out) in told.out and '30 images in ' in told.out
    assert [line.split(',')[0] for line in told.err.splitlines()] == [
        'drive_000000 1/3 drives', 'drive_000001 2/3 drives', 'drive_000002 3/3 drives'
    ]  # fmt: skip
    assert main(call) == 0
    told = capsys.readouterr()
    assert 'images in' not in told.out and told.err == '3 of 3 drives are there\n'


@pytest.mark.usefixtures('tiny')
def test_full_disk(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(real_makers, 'REAL', makers(full_disk_drive))
    arguments = (*SMALL, '--out', str(tmp_path / 'out'), '--rig', write_rig(tmp_path))
    assert main(['simulate', *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith('drive_000002.zip: cannot be written: No space left on device')
    assert len(list((tmp_path / 'out' / 'drives').iterdir())) == 2


def test_plan_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'out'
    assert (
        main(['simulate', *SMALL, '--out', str(out), '--rig', write_rig(tmp_path), '--plan']) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '3 drives of 0.5 s in 3 road networks'
    assert lines[1].startswith('30 images, about ')
    assert [line.split()[:4] for line in lines[2:]] == [
        [f'drive_00000{k}', f'net_00000{k}', split, 'two']
        for k, split in enumerate(('train', 'val', 'test'))
    ]
    assert not out.exists()


def test_user_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ('--out', str(tmp_path / 'out'))
    assert "'car6'" in refused(capsys, *out, '--rig', 'car6')
    assert '--workers: must be 1 or more, got 0' in refused(capsys, *out, '--workers', '0')
    assert 'Not a directory' in refused(
        capsys, '--out', f'{write_rig(tmp_path)}/out', '--rig', 'robot_3', *SMALL
    )
    assert not (tmp_path / 'out').exists()
