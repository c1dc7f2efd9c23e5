"""Tasks on all machines of a Ray cluster, instead of processes on this computer."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

from bev_perception.errors import ConfigError
from bev_perception.parallel.pool import ENVIRONMENT, Done, Problem, Task, call

_CONNECT_S = 10.0
_PATIENCE_S = 5.0


class RayPool:
    """A `Pool` whose tasks run wherever the cluster has a core to spare, one core each.

    All machines need the same packages and see the same files under the same paths. A machine
    that is lost costs the tasks that ran on it: those end as a crash.

    Args:
        address: 'host:port' of the cluster; None: the one that Ray finds, by RAY_ADDRESS or on
            this computer.
        workers: tasks that run at the same time; None: as many as the cluster has cores.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        self._ray = _connected(address)
        self._size = workers or self._cores()
        self._call = self._ray.remote(num_cpus=1, max_retries=0)(call)
        self._busy: dict[Any, Task] = {}

    @property
    def size(self) -> int:
        return self._size

    @property
    def running(self) -> int:
        return len(self._busy)

    def submit(self, task: Task) -> None:
        options = {'name': task.name, 'scheduling_strategy': 'SPREAD'}
        self._busy[self._call.options(**options).remote(task)] = task

    def wait(self) -> list[Done]:
        ready, _ = self._ray.wait(list(self._busy), num_returns=1)
        return [self._done(reference) for reference in ready]

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        # First the way on which files half written are removed; then for good.
        for force in (False, True):
            for reference in self._busy:
                self._ray.cancel(reference, force=force)
            if self._busy and not force:
                references = list(self._busy)
                self._ray.wait(references, num_returns=len(references), timeout=_PATIENCE_S)
        self._busy = {}
        self._ray.shutdown()

    def _done(self, reference: Any) -> Done:
        task = self._busy.pop(reference)
        try:
            value, problem = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            return Done(task, problem=Problem('bug', str(error)))  # a module is missing there
        except self._ray.exceptions.RayError as error:
            return Done(task, problem=Problem('crash', _reason(error)))
        return Done(task, value, problem)

    def _cores(self) -> int:
        cores = int(self._ray.cluster_resources().get('CPU', 0))
        if cores < 1:
            self._ray.shutdown()
            raise ConfigError('--ray: the cluster has no cores; start a node with --num-cpus')
        return cores


def _connected(address: str | None) -> Any:
    """Returns the module `ray`, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f'--ray needs Ray ({error}); pip install ray') from error
    given = address or os.environ.get('RAY_ADDRESS')
    if given and given != 'auto':
        _check_answers(given)
    try:
        ray.init(
            address=address or 'auto',
            runtime_env={'env_vars': ENVIRONMENT},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        where = f'at {given}' if given else 'found'
        reason = str(error).strip().splitlines()[0] if str(error).strip() else 'no answer'
        raise ConfigError(
            f'--ray: no Ray cluster {where} ({reason}); start one with `ray start --head`'
        ) from error
    return ray


def _check_answers(address: str) -> None:
    """Raises ConfigError when nobody listens; Ray itself would try for minutes."""
    parts = urlsplit(address if '://' in address else f'ray://{address}')
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ConfigError(f"--ray: must be like '10.0.0.1:6379', got '{address}'")
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f'--ray: no Ray cluster at {address} ({reason}); start one with `ray start --head`'
        ) from error


def _reason(error: Exception) -> str:
    """Returns the first sentence of what Ray says of a task that has no result."""
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0].split('. ')[0].rstrip('.')
    return f'its process ended ({line})'
