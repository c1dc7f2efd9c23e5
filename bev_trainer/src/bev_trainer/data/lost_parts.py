"""Images and lidar scans that clips go without, counted."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from bev_trainer.data.clip import Clip, LostPart

_log = logging.getLogger(__name__)

Row = list[str | int]


class LostParts:
    """How often clips had to do without something, by kind, sensor and reason.

    Of several places that count together the least is told, so that it does not matter in which
    order they come up, and in which process.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[str, int]] = {}

    def add(self, part: LostPart, times: int = 1) -> bool:
        """Counts a part; returns whether it is the first that counts there."""
        key = part.kind, part.sensor, part.reason
        place, count = self._found.get(key, (part.place, 0))
        self._found[key] = min(place, part.place), count + times
        return count == 0

    def count(self, kind: str) -> int:
        """Returns how many parts of a kind clips had to do without."""
        return sum(n for (own, *_), (_, n) in self._found.items() if own == kind)

    def lines(self) -> tuple[str, ...]:
        """Returns what is to be said of it, the most frequent first."""
        rows = sorted(self._found.items(), key=lambda item: (-item[1][1], item))
        return tuple(
            f'{kind} left out once: {place}: {reason}'
            if count == 1
            else f'{kind}s left out {count} times, such as {place}: {reason}'
            for (kind, _, reason), (place, count) in rows
        )

    def rows(self) -> list[Row]:
        """Returns all of it as plain values, for `take`; always in the same order."""
        found = sorted(self._found.items())
        return [[*key, place, count] for key, (place, count) in found]

    def take(self, rows: Iterable[Row]) -> None:
        """Adds what another one has counted."""
        for kind, sensor, reason, place, count in rows:
            part = LostPart(str(kind), str(sensor), str(place), str(reason))
            self.add(part, int(count))


def telling(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Yields batches of clips; what they go without is said in the log, once each."""
    known = LostParts()
    for clip in clips:
        for part in clip.lost:
            if known.add(part):
                _log.warning('%s left out: %s', part.kind, part)
        yield clip
