"""Seconds per stage of one frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StageClock:
    """Adds up the time spent in named stages, in the order in which they first ran.

    Args:
        synchronise: called before each reading, so that work queued on a device is counted
            where it belongs.
    """

    def __init__(self, synchronise: Callable[[], None] = lambda: None) -> None:
        self._synchronise = synchronise
        self.stage_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the time inside the `with` block to `name`."""
        self._synchronise()
        start = time.perf_counter()
        try:
            yield
        finally:
            self._synchronise()
            elapsed = time.perf_counter() - start
            self.stage_s[name] = self.stage_s.get(name, 0.0) + elapsed
