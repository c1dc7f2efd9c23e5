"""Point clouds of the lidars of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BagError, TransformUnavailable
from bev_perception.geometry.pose import Matrix, transform
from bev_perception.inputs.conversion import stamp_to_ns, transforms_from_msg
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.frame_sets import TF_TOPICS
from bev_perception.replay.topic_types import TRANSFORMS

POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'
_NUMBERS = {7: 'f4', 8: 'f8'}  # PointField.FLOAT32, FLOAT64
_FOR_EVER_S = 1e9


@dataclass(frozen=True, eq=False)
class CloudTopic:
    """The clouds of one lidar.

    Attributes:
        topic: of them.
        base_T_lidar: [4, 4] where it sits on the vehicle.
        stamps_ns: int64 [n], rising.
        log_ns: int64 [n], when they were recorded.
    """

    topic: str
    base_T_lidar: Matrix
    stamps_ns: NDArray[np.int64]
    log_ns: NDArray[np.int64]

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> int | None:
        """Returns which cloud is the nearest to an instant; None if none is near enough."""
        index = int(np.argmin(np.abs(self.stamps_ns - stamp_ns)))
        away_ns = abs(int(self.stamps_ns[index]) - stamp_ns)
        return index if away_ns <= tolerance_ns else None


def index_clouds(
    reader: BagReader, base_frame: str
) -> tuple[tuple[CloudTopic, ...], tuple[str, ...]]:
    """Returns the lidars of an open recording, and which had to be left out, one line each.

    Raises:
        BagError: the recording is damaged.
    """
    topics = [topic.name for topic in reader.topics() if topic.type == POINT_CLOUD]
    if not topics:
        return (), ()
    times: dict[str, dict[int, int]] = {topic: {} for topic in topics}
    frames: dict[str, str] = {}
    for message in reader.messages(topics):
        header = reader.decode(message).header
        times[message.topic].setdefault(stamp_to_ns(header.stamp), message.log_ns)
        frames.setdefault(message.topic, str(header.frame_id))
    tree = _transforms(reader)
    found, problems = [], []
    for topic in topics:
        stamps = sorted(times[topic])
        if not stamps:
            continue
        try:
            pose = tree.lookup(base_frame, frames[topic], stamps[len(stamps) // 2])
        except TransformUnavailable as error:
            problems.append(f'{topic} is left out: {error}')
            continue
        log_ns = [times[topic][stamp_ns] for stamp_ns in stamps]
        found.append(
            CloudTopic(
                topic,
                np.asarray(pose, np.float64),
                np.array(stamps, np.int64),
                np.array(log_ns, np.int64),
            )
        )
    return tuple(found), tuple(problems)


def cloud_points(message: Any, base_T_lidar: Matrix) -> NDArray[np.float64]:
    """Returns [n, 3] points of sensor_msgs/PointCloud2 in the base frame, those with a place.

    Raises:
        BagError: it has no x, y and z that are floating-point numbers, or too few bytes.
    """
    step, row_bytes = int(message.point_step), int(message.row_step)
    width, height = int(message.width), int(message.height)
    content = np.frombuffer(message.data, np.uint8)
    kind = _point_type(message)
    if step < 1 or row_bytes < width * step or content.size < height * row_bytes:
        raise BagError(f'a point cloud of {height} x {width} points has {content.size} bytes')
    rows = content[: height * row_bytes].reshape(height, row_bytes)[:, : width * step]
    table = np.ascontiguousarray(rows).view(kind).ravel()
    points = np.stack([table[name].astype(np.float64) for name in kind.names or ()], axis=-1)
    return transform(base_T_lidar, points[np.isfinite(points).all(axis=-1)])


def _point_type(message: Any) -> np.dtype[Any]:
    """Returns how x, y and z of a point lie in its bytes."""
    order = '>' if message.is_bigendian else '<'
    fields = {str(field.name): field for field in message.fields}
    names = ('x', 'y', 'z')
    if any(n not in fields or int(fields[n].datatype) not in _NUMBERS for n in names):
        raise BagError('a point cloud has no x, y and z that are floating-point numbers')
    layout = {
        'names': names,
        'formats': [order + _NUMBERS[int(fields[n].datatype)] for n in names],
        'offsets': [int(fields[n].offset) for n in names],
        'itemsize': int(message.point_step),
    }
    try:
        return np.dtype(layout)  # type: ignore[call-overload, no-any-return]
    except ValueError as error:
        raise BagError(f'a point cloud has points of {message.point_step} bytes') from error


def _transforms(reader: BagReader) -> TransformTree:
    tree = TransformTree(_FOR_EVER_S)
    for message in reader.messages(TF_TOPICS):
        if message.type == TRANSFORMS:
            for item in transforms_from_msg(reader.decode(message)):
                tree.set_transform(*item, TF_TOPICS[message.topic])
    return tree
