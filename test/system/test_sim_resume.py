"""Real data sets, killed at any moment and resumed: the same bytes as in one go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.dataset.manifest import load_dataset
from support.simulator import need_simulator

REPO = Path(__file__).resolve().parents[2]
SOURCE = REPO / 'bev_trainer' / 'src'
ARGUMENTS = (
    'simulate', '--scenes', '4', '--scenes-per-network', '2', '--seconds', '1.5', '--label-hz',
    '10', '--size', '160x64', '--rig', 'robot_3', '--seed', '5',
)  # fmt: skip
TIMEOUT_S = 300.0

pytestmark = pytest.mark.system


@pytest.fixture(scope='module', autouse=True)
def real() -> None:
    """Skips where SUMO or OpenGL is missing."""
    need_simulator()


class Run:
    """A run of the program as a process group of its own.

    Its processes are found by a mark in their environment, wherever they belong.
    """

    def __init__(self, out: Path, workers: int) -> None:
        self.out = out
        self.mark = f'BEV_TEST_RUN={uuid.uuid4()}'
        name, value = self.mark.split('=')
        paths = os.pathsep.join([str(REPO), str(SOURCE)])
        arguments = (*ARGUMENTS, '--workers', str(workers), '--out', str(out))
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'bev_trainer', *arguments],
            env={**os.environ, 'PYTHONPATH': paths, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self) -> str:
        """Returns what it said, when it came to a good end by itself."""
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        assert self.process.returncode == 0, output
        return output

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=TIMEOUT_S)

    def wait_for(self, reached: Callable[[Path], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not reached(self.out):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def alive(self) -> list[str]:
        """Returns the command lines of its processes."""
        found = []
        for entry in Path('/proc').glob('[0-9]*'):
            try:
                if self.mark.encode() in (entry / 'environ').read_bytes().split(b'\0'):
                    found.append((entry / 'cmdline').read_text().replace('\0', ' '))
            except OSError:  # ended meanwhile, or not ours
                continue
        return found


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in sorted(root.rglob('*')) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def traffic_runs(root: Path) -> bool:
    return any((root / '.work' / 'scratch').glob('*/*/sumo.log'))


def drive_grows(root: Path) -> bool:
    return any(path.stat().st_size > 20_000 for path in (root / 'drives').glob('.*.part'))


def drive_is_there(root: Path) -> bool:
    return any((root / 'drives').glob('drive_*.zip'))


def test_killed_and_resumed_is_the_same_data_set(tmp_path: Path) -> None:
    """Killed amid traffic, amid a drive file and after one, some seeded time later each."""
    rng = np.random.default_rng(11)
    out = tmp_path / 'killed'
    for moment in (traffic_runs, drive_grows, drive_is_there):
        run = Run(out, workers=2)
        run.wait_for(moment)
        assert len(run.alive()) >= 2  # with the workers
        time.sleep(float(rng.uniform(0.0, 0.3)))
        run.kill()
        deadline = time.monotonic() + 20.0
        while left := run.alive():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        assert not (out / 'manifest.json').exists()
    assert drive_is_there(out) and not (out / 'drives' / 'drive_000003.zip').exists()
    assert 'of 4 drives are there' in Run(out, workers=2).end()
    dataset = load_dataset(out)
    dataset.verify()
    assert [entry.images for entry in dataset.manifest.drives] == [45] * 4
    Run(tmp_path / 'at once', workers=3).end()
    expected = contents(tmp_path / 'at once')
    assert len(expected) == 2 + 4 + 2
    assert contents(out) == expected
