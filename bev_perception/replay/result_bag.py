"""Reads back what the node published: a result bag to BEV frames, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BagError
from bev_perception.frame import BevFrame
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.result_messages import (
    camera_report_from_msg,
    duration_s,
    grid_from_msg,
    objects_from_msg,
)

RESULT_TYPES = {
    'objects': 'bev_perception/msg/BevObjectArray',
    'occupancy_sequence': 'bev_perception/msg/OccupancySequence',
    'frame_status': 'bev_perception/msg/FrameStatus',
}


@dataclass
class _Parts:
    """Messages of one stamp, by the last part of their topic."""

    messages: dict[str, Any] = field(default_factory=dict)

    def complete(self) -> bool:
        return set(self.messages) == set(RESULT_TYPES)


def frames_from_bag(reader: BagReader) -> Iterator[BevFrame]:
    """Yields the frames of an open result bag, in order of publication.

    A frame needs its objects, its occupancy sequence and its status; occupancies are whole per
    cent, and semantics and instance maps, which are not published, are None.

    Raises:
        BagError: a needed topic was not recorded.
    """
    topics = _result_topics(reader)
    waiting: dict[int, _Parts] = {}
    for message in reader.messages(topics):
        decoded = reader.decode(message)
        stamp_ns = stamp_to_ns(decoded.header.stamp)
        parts = waiting.setdefault(stamp_ns, _Parts())
        parts.messages[topics[message.topic]] = decoded
        if parts.complete():
            yield _frame(stamp_ns, waiting.pop(stamp_ns).messages)


def _result_topics(reader: BagReader) -> dict[str, str]:
    """Returns the recorded topics of the node's results, with the part each one plays."""
    found = {
        t.name: part
        for t in reader.topics()
        for part, kind in RESULT_TYPES.items()
        if t.type == kind
    }
    missing = set(RESULT_TYPES) - set(found.values())
    if missing:
        raise BagError(f'{reader.path}: no result bag: it lacks {", ".join(sorted(missing))}')
    return found


def _frame(stamp_ns: int, messages: dict[str, Any]) -> BevFrame:
    sequence, status = messages['occupancy_sequence'], messages['frame_status']
    grid, cells = grid_from_msg(sequence.grids[0])
    ahead = np.stack([grid_from_msg(g)[1] for g in sequence.grids[1:]])
    frame = BevFrame(
        stamp_ns=stamp_ns,
        frame_id=str(status.header.frame_id),
        grid=grid,
        observed=cells >= 0,
        occupancy=_probability(cells),
        semantics=None,
        semantic_classes=(),
        future_occupancy=_probability(ahead),
        instances=None,
        time_step_s=duration_s(sequence.time_step),
        objects=objects_from_msg(messages['objects']),
        cameras=tuple(camera_report_from_msg(c) for c in status.cameras),
        model_id=str(status.model_id),
    )
    return replace(frame, stage_s={str(s.name): float(s.seconds) for s in status.stages})


def _probability(cells: NDArray[np.int8]) -> NDArray[np.float32]:
    """Returns per cent as probability; 0 where nothing was observed."""
    return np.maximum(cells, 0).astype(np.float32) / np.float32(100)
