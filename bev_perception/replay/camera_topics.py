"""Finds the cameras of a recording from its topics alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bev_perception.errors import BagError
from bev_perception.replay.bag_reader import Topic
from bev_perception.replay.topic_types import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE

# The last parts of image topics that name the kind of image, not the camera, consist of these.
IMAGE_WORDS = frozenset(('image', 'raw', 'color', 'mono', 'rect', 'compressed'))
TRANSPORTS = frozenset(('raw', 'rect', 'compressed'))
NO_PHOTO_WORDS = ('depth', 'disparity', 'mask', 'label')


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera; `camera_info_topic` is empty where none was recorded."""

    name: str
    image_topic: str
    compressed: bool
    camera_info_topic: str
    rectified: bool


def find_cameras(topics: Sequence[Topic]) -> tuple[CameraTopics, ...]:
    """Returns the cameras, sorted by topic, all of different names.

    Of several image topics of one camera a raw one is taken before a compressed one, and then
    one that is not rectified; topics without a message do not count.

    Raises:
        BagError: there is no camera image.
    """
    infos = {t.name for t in topics if t.type == CAMERA_INFO}
    images = [
        t for t in topics if t.count and t.type in (IMAGE, COMPRESSED_IMAGE) and _is_photo(t.name)
    ]
    if not images:
        raise BagError('holds no camera images (sensor_msgs Image or CompressedImage)')
    by_stem: dict[tuple[str, ...], list[Topic]] = {}
    for topic in images:
        by_stem.setdefault(_split(topic.name)[0], []).append(topic)
    names = _short_names(by_stem)
    return tuple(
        _camera(names[stem], min(group, key=_preference), infos)
        for stem, group in sorted(by_stem.items())
    )


def _is_photo(topic: str) -> bool:
    return not any(word in topic.lower() for word in NO_PHOTO_WORDS)


def _split(topic: str) -> tuple[tuple[str, ...], set[str]]:
    """Returns the parts of a topic that name the camera, and the words for the kind of image."""
    parts = [p for p in topic.split('/') if p]
    kind: set[str] = set()
    while parts:
        words = set(parts[-1].split('_'))
        if not words <= IMAGE_WORDS or not ('image' in words or words <= TRANSPORTS):
            break
        kind |= words
        parts.pop()
    return tuple(parts), kind


def _short_names(stems: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Returns names without the leading parts that all cameras share, no two the same."""
    stems = sorted(stems)
    shared = 0
    while all(len(s) > shared + 1 for s in stems) and len({s[shared] for s in stems}) == 1:
        shared += 1
    names: dict[tuple[str, ...], str] = {}
    for stem in stems:
        name = short = '_'.join(stem[shared:]) or 'camera'
        number = 1
        while name in names.values():
            number += 1
            name = f'{short}_{number}'
        names[stem] = name
    return names


def _preference(topic: Topic) -> tuple[bool, bool, str]:
    return topic.type == COMPRESSED_IMAGE, 'rect' in _split(topic.name)[1], topic.name


def _camera(name: str, topic: Topic, infos: set[str]) -> CameraTopics:
    parts = topic.name.split('/')
    candidates = ['/'.join([*parts[:end], 'camera_info']) for end in range(len(parts) - 1, 0, -1)]
    info = next((c for c in candidates if c in infos), '')
    rectified = 'rect' in _split(topic.name)[1]
    return CameraTopics(name, topic.name, topic.type == COMPRESSED_IMAGE, info, rectified)
