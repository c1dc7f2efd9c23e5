"""A worker thread with a slot for one job: the newest wins, older ones are dropped whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar('T')


@dataclass(frozen=True)
class WorkerCounts:
    """Jobs so far: handed over, worked on to the end, and replaced before they were begun."""

    received: int
    processed: int
    dropped: int


class LatestWinsWorker(Generic[T]):
    """Runs `work` on its own thread; `submit` never blocks and replaces a job not yet begun.

    Args:
        work: called with each job that is begun; exceptions go to `on_error`, the thread lives on.
        on_error: called with an exception that `work` raised.
        name: of the thread.
    """

    def __init__(
        self, work: Callable[[T], None], on_error: Callable[[Exception], None], name: str
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._condition = threading.Condition()
        self._slot: list[T] = []
        self._stopping = False
        self._received = self._processed = self._dropped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread; once only."""
        self._thread.start()

    def submit(self, job: T) -> None:
        """Hands over a job; one that still waits is dropped."""
        with self._condition:
            self._received += 1
            if self._slot:
                self._dropped += 1
            self._slot = [job]
            self._condition.notify()

    def stop(self) -> None:
        """Ends the thread after the job in hand; a waiting job is dropped. May be called twice."""
        with self._condition:
            self._stopping = True
            self._dropped += len(self._slot)
            self._slot = []
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join()

    def counts(self) -> WorkerCounts:
        """Returns the present counts."""
        with self._condition:
            return WorkerCounts(self._received, self._processed, self._dropped)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._work(job[0])
            except Exception as error:
                self._on_error(error)
            else:
                with self._condition:
                    self._processed += 1

    def _next(self) -> list[T] | None:
        with self._condition:
            self._condition.wait_for(lambda: self._slot or self._stopping)
            job, self._slot = self._slot, []
            return job or None
