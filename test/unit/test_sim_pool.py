"""Worker processes: results, the four ways to fail, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bev_trainer.errors import DatasetError

from bev_perception.parallel.pool import (
    ENVIRONMENT,
    Done,
    LocalPool,
    Problem,
    Task,
    call,
    os_error_text,
)

REPO = Path(__file__).resolve().parents[2]


def work_off(pool, tasks) -> dict[str, Done]:
    waiting, done = list(tasks), {}
    while waiting or pool.running:
        while waiting and pool.running < pool.size:
            pool.submit(waiting.pop(0))
        done.update({item.task.name: item for item in pool.wait()})
    return done


def settings_of_a_worker() -> tuple[int, dict[str, str | None], bool]:
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    return os.getpid(), {name: os.environ.get(name) for name in ENVIRONMENT}, blocked


def user_error() -> None:
    raise DatasetError('the disk has a scratch')


def full() -> None:
    raise OSError(28, 'No space left on device', '/somewhere/file')


def memory() -> None:
    raise MemoryError


def slow(mark: str) -> None:
    """Leaves a mark while it runs, and removes it however it ends by itself."""
    path = Path(mark)
    path.touch()
    try:
        time.sleep(300)
    finally:
        path.unlink()


def test_one_process_serves_many_tasks() -> None:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    with LocalPool(1) as pool:
        assert (pool.size, pool.running) == (1, 0)
        done = work_off(pool, [Task(str(k), settings_of_a_worker, ()) for k in range(3)])
    pids, environments, blocked = zip(*(done[str(k)].value for k in range(3)), strict=True)
    assert len(set(pids)) == 1 and pids[0] != os.getpid()
    # One thread each, and a Ctrl-C is for the parent.
    assert environments == (ENVIRONMENT,) * 3 and all(blocked)
    assert before == {name: os.environ.get(name) for name in ENVIRONMENT}


def test_problems_do_not_harm_the_next_task() -> None:
    tasks = [
        Task('user', user_error, ()),
        Task('exit', os._exit, (3,)),
        Task('killed', signal.raise_signal, (signal.SIGKILL,)),
        Task('fault', signal.raise_signal, (signal.SIGSEGV,)),
        Task('bug', divmod, (1, 0)),
        Task('fine', divmod, (7, 2)),
    ]
    with LocalPool(1) as pool:
        done = work_off(pool, tasks)
    problems = {name: item.problem for name, item in done.items() if item.problem is not None}
    assert {name: problem.kind for name, problem in problems.items()} == {
        'user': 'user', 'exit': 'crash', 'killed': 'crash', 'fault': 'crash', 'bug': 'bug'
    }  # fmt: skip
    assert problems['user'].text == 'the disk has a scratch'
    assert problems['exit'].text == 'its process ended with exit code 3'
    assert problems['killed'].text == 'its process was ended by SIGKILL; is there enough memory?'
    assert problems['fault'].text == 'its process was ended by SIGSEGV'
    assert problems['bug'].text.startswith('Traceback') and 'ZeroDivision' in problems['bug'].text
    assert done['fine'].value == (3, 1)


def test_worker_that_died_while_idle_is_replaced() -> None:
    with LocalPool(1) as pool:
        first = work_off(pool, [Task('a', os.getpid, ())])['a'].value
        os.kill(first, signal.SIGKILL)
        while Path(f'/proc/{first}/stat').read_text().split()[2] != 'Z':
            time.sleep(0.01)
        done = work_off(pool, [Task('b', os.getpid, ())])['b']
    # The task may have been on its way already: then it is known to have no result.
    assert done.value not in (None, first) or done.problem is not None


def test_leaving_lets_tasks_tidy_up(tmp_path: Path) -> None:
    mark = tmp_path / 'mark'
    start_s = time.monotonic()
    with pytest.raises(KeyError), LocalPool(1) as pool:
        pool.submit(Task('slow', slow, (str(mark),)))
        while not mark.exists():
            time.sleep(0.01)
        raise KeyError
    assert not mark.exists() and time.monotonic() - start_s < 60


def test_kinds_of_problems() -> None:
    assert call(Task('t', divmod, (7, 2))) == ((3, 1), None)
    value, problem = call(Task('t', full, ()))
    assert value is None
    assert problem == Problem('user', '/somewhere/file: No space left on device')
    assert call(Task('t', memory, ()))[1] == Problem('crash', 'there is not enough memory')
    assert os_error_text(OSError('odd')) == 'odd'
    assert os_error_text(TimeoutError()) == 'TimeoutError'


PARENT = """
import sys, time
from bev_perception.parallel.pool import LocalPool, Task
from unit_pool_child import child
if __name__ == '__main__':
    with LocalPool(1) as pool:
        pool.submit(Task('child', child, (sys.argv[1],)))
        pool.wait()
"""
CHILD = """
import os, subprocess
from pathlib import Path
def child(file):
    def started(process):
        Path(file + '.part').write_text(f'{os.getpid()} {process.pid}')
        os.replace(file + '.part', file)
    with subprocess.Popen(['sleep', '300']) as process:
        started(process)
"""


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    """Neither the worker nor the program that it has started; only the parent gets the signal."""
    (tmp_path / 'parent.py').write_text(PARENT)
    (tmp_path / 'unit_pool_child.py').write_text(CHILD)
    pids = tmp_path / 'pids'
    paths = [str(tmp_path), str(REPO), str(REPO / 'bev_trainer' / 'src')]
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / 'parent.py'), str(pids)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
    )
    try:
        while not pids.exists():
            assert parent.poll() is None
            time.sleep(0.02)
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30.0
    left = [int(pid) for pid in pids.read_text().split()]
    while any(map(alive, left)):
        assert time.monotonic() < deadline, f'alive: {list(filter(alive, left))}'
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False
