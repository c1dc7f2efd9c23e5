"""Worker processes that take one task each, and outlive neither a crash nor their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from bev_perception.errors import BevError

# One thread per process: the pool uses the cores, and sums do not depend on their number.
ENVIRONMENT = {
    'OMP_NUM_THREADS': '1',
    'OPENBLAS_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
    'LP_NUM_THREADS': '0',
    'OPENCV_FOR_THREADS_NUM': '1',
    # Arrays of the size of images come from memory that the process keeps: the kernel need not
    # clear pages again for each of them.
    'MALLOC_MMAP_THRESHOLD_': str(1 << 30),
    'MALLOC_TRIM_THRESHOLD_': str(1 << 30),
    'MALLOC_TOP_PAD_': str(64 << 20),
}
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Task:
    """A call for another process.

    Attributes:
        name: what messages call it.
        function: at the top level of a module.
        arguments: that can be pickled.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """Why a task has no result.

    Attributes:
        kind: 'user': someone can act on it; 'crash': the process died; 'bug': anything else.
        text: one line; of a bug the traceback.
    """

    kind: Literal['user', 'crash', 'bug']
    text: str


@dataclass(frozen=True)
class Done:
    """A task that came to its end.

    Attributes:
        task: which.
        value: what its function returned.
        problem: None when it returned.
    """

    task: Task
    value: Any = None
    problem: Problem | None = None


class Pool(Protocol):
    """Where tasks run. `with pool:` ends all processes; an exception ends them at once."""

    @property
    def size(self) -> int:
        """How many tasks run at the same time."""

    @property
    def running(self) -> int:
        """How many tasks were started and are not done."""

    def submit(self, task: Task) -> None:
        """Starts a task; only while `running` is below `size`."""

    def wait(self) -> list[Done]:
        """Returns tasks that are done, at least one; only while tasks are running."""

    def __enter__(self) -> Pool: ...

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None: ...


class LocalPool:
    """Processes on this computer. They are started afresh, as OpenGL does not survive a fork.

    Args:
        workers: tasks that run at the same time.
    """

    def __init__(self, workers: int) -> None:
        self._size = workers
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, Task]] = {}

    @property
    def size(self) -> int:
        return self._size

    @property
    def running(self) -> int:
        return len(self._busy)

    def submit(self, task: Task) -> None:
        worker = self._idle.pop() if self._idle else _Worker()
        while not worker.accepts(task):
            worker.end()
            worker = _Worker()
        self._busy[worker.connection] = (worker, task)

    def wait(self) -> list[Done]:
        done = []
        for connection in wait(list(self._busy)):
            assert isinstance(connection, Connection)
            worker, task = self._busy.pop(connection)
            try:
                value, problem = connection.recv()
            except (EOFError, OSError):
                done.append(Done(task, problem=Problem('crash', worker.death())))
                continue
            self._idle.append(worker)
            done.append(Done(task, value, problem))
        return done

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        workers = [*self._idle, *(worker for worker, _ in self._busy.values())]
        self._idle, self._busy = [], {}
        for worker in workers:
            worker.leave()
        for worker in workers:
            worker.end()


class _Worker:
    """One process and the line to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context('spawn')
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=False)
        # A Ctrl-C reaches the whole group of processes; what it means is for the parent to say.
        resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _environment(ENVIRONMENT):
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()

    def accepts(self, task: Task) -> bool:
        try:
            self.connection.send(task)
        except OSError:
            return False
        return True

    def death(self) -> str:
        """Returns how the process came to its end."""
        self._process.join()
        code = self._process.exitcode or 0
        self.connection.close()
        if code >= 0:
            return f'its process ended with exit code {code}'
        name = signal.Signals(-code).name
        hint = '; is there enough memory?' if name == 'SIGKILL' else ''
        return f'its process was ended by {name}{hint}'

    def leave(self) -> None:
        """Asks the process to tidy up and leave."""
        self._process.terminate()

    def end(self) -> None:
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()


def call(task: Task) -> tuple[Any, Problem | None]:
    """Returns what a task's function returns, or why it does not."""
    try:
        return task.function(*task.arguments), None
    except BevError as error:
        return None, Problem('user', str(error))
    except OSError as error:
        return None, Problem('user', os_error_text(error))
    except MemoryError:
        return None, Problem('crash', 'there is not enough memory')
    except Exception:  # the caller, in another process, raises it with this trace
        return None, Problem('bug', traceback.format_exc())


def os_error_text(error: OSError) -> str:
    """Returns file and reason of an error of the system, in one line."""
    reason = error.strerror or str(error) or type(error).__name__
    return f'{error.filename}: {reason}' if error.filename else reason


def _serve(connection: Connection) -> None:
    """Works on tasks until the parent hangs up, ends or says so by SIGTERM."""
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(call(task))


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception, so that files half written are removed and child processes ended.
    raise SystemExit(128 + number)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    _end_children()
    os._exit(1)


def _end_children() -> None:
    """Ends the programs that this process has started."""
    for listing in Path('/proc/self/task').glob('*/children'):
        with suppress(OSError):  # a thread or a child that has ended
            for child in listing.read_text().split():
                os.kill(int(child), signal.SIGKILL)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
