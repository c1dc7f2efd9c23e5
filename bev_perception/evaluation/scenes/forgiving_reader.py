"""Reads a recording as far as it goes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bev_perception.errors import BagError
from bev_perception.replay.bag_reader import BagMessage, BagReader, Topic


@dataclass
class _Unreadable:
    """Messages of one topic that are none."""

    reason: str
    log_ns: set[int] = field(default_factory=set)


class ForgivingReader(BagReader):
    """A recording without what is broken in it, which is remembered.

    Messages that are not of their type are left out, and it ends where the file is damaged; empty
    and hidden topics are not there at all.

    Raises:
        BagError: as `BagReader`; its index is broken, say.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._hidden: frozenset[str] = frozenset()
        self._damage = ''
        self._unreadable: dict[str, _Unreadable] = {}
        self._latest: tuple[BagMessage, Any] | None = None

    def __enter__(self) -> ForgivingReader:
        try:
            super().__enter__()
        except BagError as error:
            raise BagError(f'{error}; mend it: `ros2 bag reindex` or `mcap recover`') from error
        return self

    @property
    def problems(self) -> tuple[str, ...]:
        """What was found to be broken so far, one line each."""
        unreadable = [
            f'{topic}: {len(bad.log_ns)} messages cannot be read and are left out: {bad.reason}'
            for topic, bad in sorted(self._unreadable.items())
        ]
        return (*unreadable, *([self._damage] if self._damage else []))

    def hide(self, topics: Collection[str]) -> None:
        """Hides topics, and no others any more."""
        self._hidden = frozenset(topics)

    def topics(self) -> tuple[Topic, ...]:
        """Returns the topics that hold messages, sorted by name."""
        return tuple(t for t in super().topics() if t.count and t.name not in self._hidden)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yields the messages that can be decoded, as recorded, up to the first damage."""
        wanted = [t for t in self.topics() if topics is None or t.name in topics]
        count, promised = 0, sum(topic.count for topic in wanted)
        try:
            for message in super().messages({topic.name for topic in wanted}):
                count += 1
                if self._is_readable(message):
                    yield message
        except BagError as error:
            self._damage = str(error)
            return
        if count < promised:
            self._damage = (
                f'{self.path}: bag is damaged: of {promised} messages only {count} can be read'
            )

    def decode(self, message: BagMessage) -> Any:
        """Returns the message as an object with the fields of its ROS type."""
        if self._latest is not None and self._latest[0] is message:
            return self._latest[1]
        return super().decode(message)

    def _is_readable(self, message: BagMessage) -> bool:
        try:
            self._latest = message, super().decode(message)
        except BagError as error:
            reason = str(error).rpartition('cannot be read: ')[2]
            found = self._unreadable.setdefault(message.topic, _Unreadable(reason))
            found.log_ns.add(message.log_ns)
            return False
        return True
