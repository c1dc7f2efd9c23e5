"""Small recordings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bev_trainer.dataset.bag.typestore import recording_types
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from support.sample_drive.bag import SampleDrive
from support.sample_drive.rig import SampleCamera, camera_ring

MCAP, SQLITE3 = StoragePlugin.MCAP, StoragePlugin.SQLITE3
# A topic, when it was recorded, and the message.
Recorded = tuple[str, int, Any]


def write_bag(
    folder: Path,
    messages: Iterable[Recorded],
    plugin: StoragePlugin = MCAP,
    store: Typestore | None = None,
    compressed: bool = False,
) -> Path:
    """Writes a rosbag2 folder; returns it."""
    store = store or recording_types()
    writer = Writer(folder, version=9 if plugin is MCAP else 8, storage_plugin=plugin)
    if compressed:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer:
        for topic, log_ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], log_ns, store.serialize_cdr(message, kind))
    return folder


def small_drive(
    offsets_s: Sequence[float],
    duration_s: float,
    encodings: Sequence[str] = ('jpeg', 'jpeg', 'jpeg'),
) -> SampleDrive:
    """Returns a drive of three tiny cameras of three lenses at 10 frames a second."""
    cameras = camera_ring(3, 64, 48, ('none', 'plumb_bob', 'equidistant'))
    rig = [
        SampleCamera(camera, encoding, offset_s)
        for camera, encoding, offset_s in zip(cameras, encodings, offsets_s, strict=True)
    ]
    return SampleDrive(rig, duration_s, rate_hz=10.0, seed=5)


def storage_file(bag: Path) -> Path:
    """Returns the file of a bag folder that holds the messages."""
    (path,) = (p for p in bag.iterdir() if p.suffix in ('.mcap', '.db3'))
    return path


def assert_one_line(error: BaseException, *words: object) -> None:
    """Checks that a message for users is one line of bearable length that holds all `words`."""
    text = str(error)
    assert '\n' not in text and len(text) < 600, text
    for word in words:
        assert str(word) in text
