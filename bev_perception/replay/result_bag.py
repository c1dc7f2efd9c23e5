"""Reads back what the node published: a result bag to BEV frames, without ROS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
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

MODEL_INFO = 'bev_perception/msg/ModelInfo'
RESULT_TYPES = {
    'objects': 'bev_perception/msg/BevObjectArray',
    'occupancy_sequence': 'bev_perception/msg/OccupancySequence',
    'frame_status': 'bev_perception/msg/FrameStatus',
}


def frames_from_bag(reader: BagReader) -> Iterator[BevFrame]:
    """Yields the frames of an open result bag, in order of publication.

    A frame needs its objects, its occupancy sequence and its status; occupancies are whole per
    cent, and semantics and instance maps, which are not published, are None.

    Raises:
        BagError: a needed topic was not recorded, or by several nodes.
        ConfigError: a grid is not one of the node's.
    """
    for frame, _ in published_frames(reader):
        yield frame


def published_frames(reader: BagReader) -> Iterator[tuple[BevFrame, int]]:
    """Yields what `frames_from_bag` does, with the time at which the last part was recorded.

    In nanoseconds on the clock of the recorder: that of the images' stamps, live and in a replay
    whose recorder uses simulated time.
    """
    topics = _result_topics(reader)
    waiting: dict[int, dict[str, Any]] = defaultdict(dict)
    for message in reader.messages(topics):
        decoded = reader.decode(message)
        stamp_ns = stamp_to_ns(decoded.header.stamp)
        waiting[stamp_ns][topics[message.topic]] = decoded
        if len(waiting[stamp_ns]) == len(RESULT_TYPES):
            yield _frame(reader, stamp_ns, waiting.pop(stamp_ns)), message.log_ns


@dataclass(frozen=True)
class RecordedModel:
    """The model behind a result bag (`ModelInfo`).

    Attributes:
        model_id: name and content hash.
        trained: False for seeded weights.
        training: what it was trained on.
        object_classes: in the order of their indices.
        time_step_s: between predicted steps.
        horizon_steps: how many there are.
    """

    model_id: str
    trained: bool
    training: str
    object_classes: tuple[str, ...]
    time_step_s: float
    horizon_steps: int


def model_info_from_bag(reader: BagReader) -> RecordedModel:
    """Returns the model behind an open result bag.

    Raises:
        BagError: it was not recorded.
    """
    topics = [t.name for t in reader.topics() if t.type == MODEL_INFO]
    for message in reader.messages(topics):
        info = reader.decode(message)
        return RecordedModel(
            model_id=str(info.model_id),
            trained=bool(info.trained),
            training=str(info.training),
            object_classes=tuple(str(name) for name in info.object_classes),
            time_step_s=duration_s(info.time_step),
            horizon_steps=int(info.horizon_steps),
        )
    raise BagError(
        f'{reader.path}: no {MODEL_INFO} was recorded; record ~/model_info, which is latched, too'
    )


def _result_topics(reader: BagReader) -> dict[str, str]:
    """Returns the recorded topics of the node's results, with the part each one plays."""
    found: dict[str, str] = {}
    for part, kind in RESULT_TYPES.items():
        names = [t.name for t in reader.topics() if t.type == kind]
        if not names:
            raise BagError(f'{reader.path}: no result bag: it lacks {kind}')
        if len(names) > 1:
            raise BagError(f'{reader.path}: results of several nodes: {", ".join(names)}')
        found[names[0]] = part
    return found


def _frame(reader: BagReader, stamp_ns: int, messages: dict[str, Any]) -> BevFrame:
    sequence, status = messages['occupancy_sequence'], messages['frame_status']
    grids = [grid_from_msg(g) for g in sequence.grids]
    if len({grid for grid, _ in grids}) != 1:
        raise BagError(
            f'{reader.path}: the occupancy sequence at {stamp_ns} ns needs grids of one geometry'
        )
    (grid, cells), *ahead = grids
    future = np.array([step for _, step in ahead], dtype=np.int8).reshape(-1, *grid.shape)
    return BevFrame(
        stamp_ns=stamp_ns,
        frame_id=str(status.header.frame_id),
        grid=grid,
        observed=cells >= 0,
        occupancy=_probability(cells),
        semantics=None,
        semantic_classes=(),
        future_occupancy=_probability(future),
        instances=None,
        time_step_s=duration_s(sequence.time_step),
        objects=objects_from_msg(messages['objects']),
        cameras=tuple(camera_report_from_msg(c) for c in status.cameras),
        stage_s={str(s.name): float(s.seconds) for s in status.stages},
        model_id=str(status.model_id),
        past_dropped=str(status.past_dropped),
    )


def _probability(cells: NDArray[np.int8]) -> NDArray[np.float32]:
    """Returns per cent as probability; 0 where nothing was observed."""
    return np.maximum(cells, 0).astype(np.float32) / np.float32(100)
