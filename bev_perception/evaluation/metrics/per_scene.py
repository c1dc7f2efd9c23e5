"""What is made of a scene once and asked for again and again, as resampling does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

R = TypeVar('R')
T = TypeVar('T')


class PerScene(Generic[R, T]):
    """A function of the records of one scene that remembers its results; copies start anew.

    Args:
        make: depends on the records alone, which are equal only to themselves.
    """

    def __init__(self, make: Callable[[Sequence[R]], T]) -> None:
        self._make = make
        self._made: dict[tuple[R, ...], T] = {}

    def __call__(self, records: Sequence[R]) -> T:
        key = tuple(records)
        # Single frames, scored on the way, do not come again.
        if len(key) < 2:
            return self._make(key)
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def __reduce__(self) -> tuple[object, ...]:
        return PerScene, (self._make,)
