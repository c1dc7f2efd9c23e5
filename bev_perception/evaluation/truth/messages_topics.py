"""Ground truth from the topics of a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bev_perception.errors import BagError, ConfigError
from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer
from bev_perception.evaluation.truth.framed import FramedTruth
from bev_perception.evaluation.truth.message_types import GRID
from bev_perception.evaluation.truth.messages import OBJECT_TYPES, truth_objects
from bev_perception.evaluation.truth.packed_layers import PackedLayer, PackedLayers
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.replay.bag_reader import BagMessage, BagReader, Topic
from bev_perception.replay.result_messages import grid_from_msg

PREFIX = '/ground_truth/'
_SEMANTICS = '/semantics/'
_OCCUPIED_PERCENT = 50


@dataclass(frozen=True)
class TruthTopics:
    """Which topics hold what.

    Attributes:
        objects: topic of the objects; empty when there is none.
        layers: name of the layer by topic.
    """

    objects: str
    layers: dict[str, str]

    def __bool__(self) -> bool:
        return bool(self.objects or self.layers)


def find_truth_topics(topics: Sequence[Topic]) -> TruthTopics:
    """Returns the topics under `/ground_truth/`; of several with objects that which says most."""
    found = [t for t in topics if t.name.startswith(PREFIX) and t.count]
    objects = [t for t in found if t.type in OBJECT_TYPES]
    objects.sort(key=lambda t: (OBJECT_TYPES.index(t.type), t.name))
    layers = {t.name: _layer_name(t.name) for t in found if t.type == GRID}
    return TruthTopics(objects[0].name if objects else '', layers)


def named_truth_topics(topics: Sequence[Topic], names: Sequence[str], bag: object) -> TruthTopics:
    """Returns what the named topics hold.

    Raises:
        BagError: one is not in the bag, is of a type that holds no ground truth, or two hold
            objects.
    """
    types = {t.name: t.type for t in topics if t.count}
    objects, layers = '', {}
    for name in names:
        kind = types.get(name)
        if kind is None:
            known = ', '.join(n for n, k in types.items() if k in (*OBJECT_TYPES, GRID)) or 'none'
            raise BagError(
                f"{bag}: ground-truth topic '{name}' has no message; topics that could be: {known}"
            )
        if kind == GRID:
            layers[name] = _layer_name(name)
        elif kind not in OBJECT_TYPES:
            raise BagError(
                f"{bag}: ground-truth topic '{name}' holds {kind}; it must be one of "
                f'{", ".join((*OBJECT_TYPES, GRID))}'
            )
        elif objects:
            raise BagError(
                f"{bag}: ground-truth topics '{objects}' and '{name}' both hold objects; name one"
            )
        else:
            objects = name
    return TruthTopics(objects, layers)


def read_truth_topics(
    reader: BagReader, topics: TruthTopics
) -> tuple[list[FramedTruth], list[str]]:
    """Returns what an open bag holds, one entry for each message, and what had to be left out.

    Grids become layers: 1 from 50 per cent on, 0 below, -1 unknown; they are kept packed.
    """
    found: list[FramedTruth] = []
    problems = Counter[str]()
    for message in reader.messages({topics.objects, *topics.layers} - {''}):
        try:
            entry, left_out = _entry(reader, message, topics)
        except (BagError, ConfigError) as error:
            problems[f'{message.topic}: left out: {error}'] += 1
            continue
        if left_out:
            problems[f'{message.topic}: objects that are no boxes are left out'] += left_out
        if entry.frame.stamp_ns == 0:
            problems[f'{message.topic}: messages without a stamp are left out'] += 1
            continue
        found.append(entry)
    return found, [f'{text} ({count} times)' for text, count in sorted(problems.items())]


def _entry(reader: BagReader, message: BagMessage, topics: TruthTopics) -> tuple[FramedTruth, int]:
    decoded = reader.decode(message)
    stamp_ns, frame_id = stamp_to_ns(decoded.header.stamp), str(decoded.header.frame_id)
    if message.topic == topics.objects:
        objects, left_out = truth_objects(decoded, message.type)
        return FramedTruth(frame_id, TruthFrame(stamp_ns, objects)), left_out
    layers = {topics.layers[message.topic]: PackedLayer.of(_layer(decoded))}
    return FramedTruth(frame_id, TruthFrame(stamp_ns, layers=PackedLayers(layers))), 0


def _layer(message: Any) -> TruthLayer:
    grid, percent = grid_from_msg(message)
    cells = np.where(percent >= _OCCUPIED_PERCENT, 1, 0).astype(np.int8)
    cells[percent < 0] = -1
    return TruthLayer(grid, cells)


def _layer_name(topic: str) -> str:
    """Returns 'occupancy' of '/ground_truth/occupancy', 'a/b' of '/ground_truth/semantics/a/b'."""
    _, mark, name = topic.partition(_SEMANTICS)
    return name if mark else topic.rpartition('/')[2]
