"""User errors of processes that torchrun has started: said once, and never by nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bev_trainer import cli

REPO = Path(__file__).resolve().parents[2]
WORDS = ['init', '--config', 'absent.yaml', '-o', 'x']
SAID = 'bev-trainer: error: absent.yaml: cannot read the model description: '


def test_the_first_speaks_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.time, 'sleep', lambda _: pytest.fail('it waited'))
    for rank in (None, '0'):
        if rank is not None:
            monkeypatch.setenv('LOCAL_RANK', rank)
        assert cli.main(WORDS) == 2
        assert capsys.readouterr().err.startswith(SAID)


@pytest.mark.parametrize(('rank', 'lines'), [('0', 1), ('1', 0), ('7', 0)])
def test_wrong_arguments_are_said_by_the_first_alone(
    rank: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All processes of a machine have the same ones."""
    monkeypatch.setenv('LOCAL_RANK', rank)
    with pytest.raises(SystemExit) as end:
        cli.main(['init', '--config', 'nano'])
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.count('required: -o') == lines
    assert bool(said) == bool(lines)


def started(patience_s: float) -> subprocess.Popen[str]:
    """Returns a second process that is in error, and says so after a while."""
    code = (
        'import sys; from bev_trainer import cli; '
        f'cli._PATIENCE_S = {patience_s}; wait = cli.time.sleep; '
        'cli.time.sleep = lambda s: (print("waits", flush=True), wait(s)); '
        f'sys.exit(cli.main({WORDS!r}))'
    )
    path = os.pathsep.join((str(REPO), str(REPO / 'bev_trainer' / 'src')))
    return subprocess.Popen(
        [sys.executable, '-c', code],
        env={**os.environ, 'LOCAL_RANK': '1', 'PYTHONPATH': path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_the_others_end_with_it_and_say_nothing(number: signal.Signals) -> None:
    other = started(100.0)
    assert other.stdout is not None and other.stdout.readline() == 'waits\n'
    time.sleep(0.1)
    other.send_signal(number)
    _, said = other.communicate(timeout=30.0)
    assert (other.returncode, said) == (2, '')


def test_what_is_wrong_with_one_alone_is_said(tmp_path: Path) -> None:
    other = started(0.1)
    _, said = other.communicate(timeout=60.0)
    assert other.returncode == 2 and said.startswith(SAID) and said.count('\n') == 1
