"""Finds the cameras of a recording from its topics alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bev_perception.errors import BagError
from bev_perception.replay.bag_reader import Topic

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
# Last parts of image topics that name the kind of image, not the camera.
IMAGE_WORDS = frozenset(
    (
        'image',
        'image_raw',
        'image_color',
        'image_mono',
        'image_rect',
        'image_rect_color',
        'compressed',
        'raw',
        'rect',
    )
)
DEPTH_WORDS = ('depth', 'compressedDepth', 'disparity', 'mask', 'label')


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera; `camera_info_topic` is empty where none was recorded."""

    name: str
    image_topic: str
    compressed: bool
    camera_info_topic: str
    rectified: bool


def find_cameras(topics: Sequence[Topic]) -> tuple[CameraTopics, ...]:
    """Returns the cameras, sorted by topic; of several image topics of one the raw one is taken.

    Raises:
        BagError: there is no camera image topic.
    """
    infos = {t.name for t in topics if t.type == CAMERA_INFO}
    images = [t for t in topics if t.type in (IMAGE, COMPRESSED_IMAGE) and _is_photo(t.name)]
    if not images:
        raise BagError('the bag holds no camera images (sensor_msgs Image or CompressedImage)')
    by_stem: dict[tuple[str, ...], list[Topic]] = {}
    for topic in images:
        by_stem.setdefault(_stem(topic.name), []).append(topic)
    names = _short_names(by_stem)
    return tuple(
        _camera(names[stem], min(group, key=_preference), infos)
        for stem, group in sorted(by_stem.items())
    )


def _is_photo(topic: str) -> bool:
    return not any(word in topic for word in DEPTH_WORDS)


def _stem(topic: str) -> tuple[str, ...]:
    """Returns the parts of a topic that name the camera."""
    parts = [p for p in topic.split('/') if p]
    while parts and parts[-1] in IMAGE_WORDS:
        parts.pop()
    return tuple(parts)


def _short_names(stems: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Returns names without the leading parts that all cameras share."""
    stems = list(stems)
    shared = 0
    while (
        len(stems) > 1
        and all(len(s) > shared + 1 for s in stems)
        and (len({s[shared] for s in stems}) == 1)
    ):
        shared += 1
    if len(stems) == 1:
        return {stems[0]: stems[0][-1] if stems[0] else 'camera'}
    return {s: '_'.join(s[shared:]) or 'camera' for s in stems}


def _preference(topic: Topic) -> tuple[bool, bool, str]:
    return topic.type == COMPRESSED_IMAGE, 'rect' in topic.name, topic.name


def _camera(name: str, topic: Topic, infos: set[str]) -> CameraTopics:
    parts = topic.name.split('/')
    candidates = ['/'.join([*parts[:end], 'camera_info']) for end in range(len(parts) - 1, 0, -1)]
    info = next((c for c in candidates if c in infos), '')
    return CameraTopics(
        name,
        topic.name,
        topic.type == COMPRESSED_IMAGE,
        info,
        any('rect' in p for p in parts if p in IMAGE_WORDS),
    )
