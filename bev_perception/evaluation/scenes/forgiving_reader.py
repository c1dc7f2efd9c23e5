"""Reads a recording as far as it goes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from bev_perception.errors import BagError
from bev_perception.replay.bag_reader import BagMessage, BagReader, Topic


class ForgivingReader(BagReader):
    """A recording that ends where it is damaged; empty and hidden topics are not there at all.

    Attributes:
        damage: what was found to be broken; empty as long as nothing was.

    Raises:
        BagError: as `BagReader`; its index is broken, say.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.damage = ''
        self._hidden: frozenset[str] = frozenset()

    def __enter__(self) -> ForgivingReader:
        try:
            super().__enter__()
        except BagError as error:
            raise BagError(f'{error}; mend it: `ros2 bag reindex` or `mcap recover`') from error
        return self

    def hide(self, topics: Collection[str]) -> None:
        """Hides topics, and no others any more."""
        self._hidden = frozenset(topics)

    def topics(self) -> tuple[Topic, ...]:
        """Returns the topics that hold messages, sorted by name."""
        return tuple(t for t in super().topics() if t.count and t.name not in self._hidden)

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yields messages in the order of recording up to the first damage."""
        there = {topic.name for topic in self.topics()}
        try:
            yield from super().messages(there if topics is None else there & set(topics))
        except BagError as error:
            self.damage = str(error)
