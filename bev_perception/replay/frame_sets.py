"""Frame sets of a recording, assembled exactly as the live node assembles them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bev_perception.errors import BagError, BevError
from bev_perception.frame import FrameSet
from bev_perception.inputs.assembler import AssemblerConfig, FrameAssembler
from bev_perception.inputs.calibration import CameraSource
from bev_perception.inputs.conversion import (
    camera_info_from_msg,
    ego_pose_from_msg,
    image_from_msg,
    stamp_to_ns,
    transforms_from_msg,
)
from bev_perception.inputs.ego_motion import EgoMotion
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagMessage, BagReader, Topic
from bev_perception.replay.topic_types import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    TRANSFORMS,
)

TF_TOPICS = {'/tf': False, '/tf_static': True}


@dataclass(frozen=True)
class ReplayRig:
    """Where the inputs of a replay come from.

    Attributes:
        sources: the cameras.
        base_frame: frame of the outputs.
        odometry_topic: empty when there is none: ego motion is then unknown.
    """

    sources: tuple[CameraSource, ...]
    base_frame: str
    odometry_topic: str = ''


class FrameSetReader:
    """Feeds the messages of a bag, in the order of recording, to a `FrameAssembler`.

    Args:
        reader: the open bag.
        rig: what to read from it.
        sync: grouping of images.

    Raises:
        BagError: no image topic of the rig is in the bag, or a topic is of the wrong type.
    """

    def __init__(self, reader: BagReader, rig: ReplayRig, sync: SyncConfig) -> None:
        self._reader = reader
        self._rig = rig
        self._tree = TransformTree()
        self._ego_motion = EgoMotion()
        self._assembler = FrameAssembler(
            rig.sources,
            AssemblerConfig(rig.base_frame, sync, bool(rig.odometry_topic)),
            self._tree,
            self._ego_motion,
        )
        self._images = {s.image_topic: s for s in rig.sources}
        self._infos: dict[str, list[str]] = {}
        for source in rig.sources:
            if source.intrinsics is None:
                self._infos.setdefault(source.camera_info_topic, []).append(source.name)
        self._check_topics()

    def __iter__(self) -> Iterator[FrameSet]:
        """Yields frame sets in the order of their stamps."""
        topics = {*self._images, *self._infos, *TF_TOPICS, self._rig.odometry_topic}
        now_ns = 0
        for message in self._reader.messages(topics):
            now_ns = message.log_ns
            yield from self._take(message)
        yield from self._assembler.flush(now_ns)

    def _check_topics(self) -> None:
        topics = self._reader.topics()
        missing = sorted(set(self._images) - {t.name for t in topics})
        if len(missing) == len(self._images):
            raise BagError(
                f'{self._reader.path}: none of the image topics of the rig is in the bag: '
                f'{", ".join(missing)}; make a rig with `bev rig from-bag`'
            )
        self._check_types(topics)

    def _check_types(self, topics: Sequence[Topic]) -> None:
        """Refuses a rig that takes a topic for what it is not."""
        roles = [
            *((name, (IMAGE, COMPRESSED_IMAGE)) for name in self._images),
            *((name, (CAMERA_INFO,)) for name in self._infos),
            *((name, (TRANSFORMS,)) for name in TF_TOPICS),
            (self._rig.odometry_topic, (ODOMETRY,)),
        ]
        for name, types in roles:
            wrong = [t.type for t in topics if t.name == name and t.type not in types]
            if wrong:
                raise BagError(
                    f"{self._reader.path}: topic '{name}' holds {wrong[0]}, not "
                    f'{" or ".join(types)}; correct the rig'
                )

    def _take(self, message: BagMessage) -> list[FrameSet]:
        decoded = self._reader.decode(message)
        if message.topic in TF_TOPICS:
            self._take_transforms(decoded, TF_TOPICS[message.topic])
        elif message.topic == self._rig.odometry_topic:
            self._take_odometry(decoded)
        elif message.topic in self._infos:
            for name in self._infos[message.topic]:
                self._assembler.add_info(name, camera_info_from_msg(decoded))
        else:
            source = self._images[message.topic]
            stamp_ns = stamp_to_ns(decoded.header.stamp)
            return self._assembler.add_image(
                source.name, stamp_ns, image_from_msg(decoded), message.log_ns
            )
        return self._assembler.poll(message.log_ns)

    def _take_transforms(self, decoded: Any, static: bool) -> None:
        for transform in transforms_from_msg(decoded):
            self._tree.set_transform(*transform, static)

    def _take_odometry(self, decoded: Any) -> None:
        try:
            pose = ego_pose_from_msg(decoded, self._rig.base_frame, self._tree)
        except BevError:
            return  # as live: an unusable sample leaves the ego motion unknown
        self._ego_motion.add(stamp_to_ns(decoded.header.stamp), pose)
