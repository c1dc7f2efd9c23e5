"""Writes a recording with its ground truth beside it: both whole, or neither."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from bev_perception.errors import BagError
from bev_trainer.dataset.bag.typestore import recording_types

# When a message was sent, on which topic, and the message.
Event = tuple[int, str, Any]

_FOR_EVER = QosTime(2147483647, 4294967295)
_LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
    _FOR_EVER, _FOR_EVER, QosLiveliness.AUTOMATIC, _FOR_EVER, False,
)  # fmt: skip


def truth_path(bag: Path) -> Path:
    """Returns where the ground truth of a recording lies: `<bag>_objects.json` beside it."""
    return bag.with_name(f'{bag.name}_objects.json')


def write_recording(bag: Path, events: Iterable[Event], truth: Sequence[dict[str, Any]]) -> Path:
    """Writes a rosbag2 folder (MCAP) and its ground truth; returns the latter's path.

    Messages are logged at their stamps. Both are made in a temporary folder and moved when
    complete.

    Args:
        bag: folder to make.
        events: by rising stamps; `/tf_static` is latched.
        truth: one entry per frame, becomes JSON.

    Raises:
        BagError: one of the two exists already, or cannot be written.
    """
    bag = Path(bag).absolute()
    beside = truth_path(bag)
    for path in (bag, beside):
        if path.exists():
            raise BagError(f"'{path}' exists already; remove it or choose another name")
    try:
        bag.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{bag.name}.', dir=bag.parent) as temporary:
            made = Path(temporary) / bag.name
            _write_bag(made, events)
            text = json.dumps(truth, indent=1) + '\n'
            truth_path(made).write_text(text, encoding='utf-8')
            truth_path(made).replace(beside)
            made.replace(bag)
    except OSError as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror or error
        raise BagError(f"'{bag}' cannot be written: {reason}; nothing was left there") from error
    return beside


def _write_bag(folder: Path, events: Iterable[Event]) -> None:
    store = recording_types()
    with Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Connection] = {}
        for stamp_ns, topic, message in events:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic,
                    kind,
                    typestore=store,
                    offered_qos_profiles=[_LATCHED] if topic == '/tf_static' else [],
                )
            writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, kind))
