"""Reads recordings (rosbag2: MCAP, sqlite3) without ROS; every failure is one clear line."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader

from bev_perception.errors import BagError
from bev_perception.replay.known_types import known_types
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class Topic:
    """One topic of a recording."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class BagMessage:
    """One message of a recording, still serialised.

    Attributes:
        topic: name.
        type: such as 'sensor_msgs/msg/Image'.
        log_ns: when it was recorded.
        data: CDR bytes.
    """

    topic: str
    type: str
    log_ns: int
    data: bytes


class BagReader:
    """An open recording; use as a context manager.

    Args:
        path: bag folder, or an .mcap or .db3 file inside or outside of one.

    Raises:
        BagError: the path does not exist, is no recording, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        folder = (
            path.parent if path.is_file() and (path.parent / 'metadata.yaml').exists() else path
        )
        if not path.exists():
            raise BagError(f'{path}: no such bag')
        if folder.is_dir() and not (folder / 'metadata.yaml').is_file():
            raise BagError(f'{path}: not a rosbag2 folder: it has no metadata.yaml')
        self._reader = _attempt(
            path,
            'cannot be opened',
            lambda: AnyReader([folder], default_typestore=known_types()),
        )

    def __enter__(self) -> BagReader:
        _attempt(self.path, 'cannot be opened', self._reader.open)
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def topics(self) -> tuple[Topic, ...]:
        """Returns the topics, sorted by name; several publishers of one topic are added up."""
        counts: dict[tuple[str, str], int] = {}
        for connection in self._reader.connections:
            key = connection.topic, connection.msgtype
            counts[key] = counts.get(key, 0) + connection.msgcount
        return tuple(Topic(*key, count) for key, count in sorted(counts.items()))

    def duration_s(self) -> float:
        """Returns the time between the first and the last message."""
        return max(self._reader.end_time - self._reader.start_time, 0) / NS_PER_S

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yields messages in the order of recording, of the given topics or of all.

        Raises:
            BagError: the recording is damaged from here on.
        """
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        count = 0
        messages = self._reader.messages(connections=wanted)
        while True:
            after = f'is damaged after message {count}'
            item = _attempt(self.path, after, lambda: next(messages, None))
            if item is None:
                return
            connection, log_ns, data = item
            count += 1
            yield BagMessage(connection.topic, connection.msgtype, log_ns, bytes(data))

    def decode(self, message: BagMessage) -> Any:
        """Returns the message as an object with the fields of its ROS type.

        Raises:
            BagError: the bytes are not of that type.
        """
        what = f'holds a {message.type} on {message.topic} that cannot be read'
        return _attempt(
            self.path, what, lambda: self._reader.deserialize(message.data, message.type)
        )


def _attempt(path: Path, what: str, action: Any) -> Any:
    """Runs a step of the bag library; whatever broken bytes make it raise becomes a BagError."""
    try:
        return action()
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise BagError(f'{path}: bag {what}: {reason[:200]}') from error
