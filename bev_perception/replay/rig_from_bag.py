"""Writes the rig of a recording: its cameras, topics, calibrations and trigger offsets."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BagError, CalibrationError, TransformUnavailable
from bev_perception.frame import FloatArray
from bev_perception.geometry.pose import quaternion_of
from bev_perception.geometry.rig_file import (
    RigFile,
    RigFileCamera,
    RigFileIntrinsics,
    RigFilePose,
)
from bev_perception.inputs.calibration import CameraInfo, camera_from_info
from bev_perception.inputs.conversion import camera_info_from_msg, stamp_to_ns, transforms_from_msg
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.camera_topics import CameraTopics, find_cameras
from bev_perception.replay.topic_types import ODOMETRY, TRANSFORMS
from bev_perception.units import NS_PER_S

CALIBRATION_CHOICES = ('full', 'placement', 'none')


@dataclass
class _Found:
    """What the messages of a bag say about its rig."""

    infos: dict[str, CameraInfo] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    stamps_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    tree: TransformTree = field(default_factory=lambda: TransformTree(history_s=1e9))
    frame_names: set[str] = field(default_factory=set)


def rig_from_bag(reader: BagReader, base_frame: str, calibration: str = 'full') -> RigFile:
    """Returns the rig of an open bag.

    Args:
        reader: the bag.
        base_frame: vehicle frame in which cameras are placed.
        calibration: 'full' writes intrinsics and placement into the rig, 'placement' leaves the
            intrinsics to CameraInfo, 'none' leaves the placement to transforms too.

    Raises:
        BagError: no cameras, no CameraInfo for a camera, or no transform to the base frame.
    """
    topics = reader.topics()
    try:
        cameras = find_cameras(topics)
    except BagError as error:
        raise BagError(f'{reader.path}: {error}') from error
    odometry = [t.name for t in topics if t.type == ODOMETRY]
    found = _read(reader, cameras)
    offsets = trigger_offsets_s({c.name: found.stamps_ns[c.image_topic] for c in cameras})
    return RigFile(
        format=1,
        base_frame=base_frame,
        odometry_topic=odometry[0] if odometry else None,
        cameras=tuple(
            _camera(reader, c, found, base_frame, calibration, offsets[c.name]) for c in cameras
        ),
    )


def trigger_offsets_s(stamps_ns: dict[str, list[int]]) -> dict[str, float]:
    """Returns each camera's stamp minus the reference instant, the median over its cycles.

    A cycle is one image of every camera: for each image of the slowest camera the nearest of the
    others. Its reference instant is the lower median of its stamps.
    """
    filled = {name: np.array(sorted(s)) for name, s in stamps_ns.items() if s}
    if not filled:
        return dict.fromkeys(stamps_ns, 0.0)
    slowest = min(filled.values(), key=len)
    cycles = {name: _nearest(stamps, slowest) for name, stamps in filled.items()}
    table = np.sort(np.stack(list(cycles.values())), axis=0)
    reference = table[(len(table) - 1) // 2]
    return {
        name: round(median((cycles[name] - reference).tolist()) / NS_PER_S, 6)
        if name in cycles
        else 0.0
        for name in stamps_ns
    }


def _nearest(stamps_ns: NDArray[np.int64], wanted_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns for each wanted stamp the nearest of the sorted stamps, of two the earlier."""
    after = np.searchsorted(stamps_ns, wanted_ns)
    later = stamps_ns[np.minimum(after, len(stamps_ns) - 1)]
    earlier = stamps_ns[np.maximum(after - 1, 0)]
    return np.where(np.abs(wanted_ns - earlier) <= np.abs(later - wanted_ns), earlier, later)


def _read(reader: BagReader, cameras: tuple[CameraTopics, ...]) -> _Found:
    found = _Found()
    image_topics = {c.image_topic for c in cameras}
    info_topics = {c.camera_info_topic for c in cameras if c.camera_info_topic}
    for message in reader.messages({*image_topics, *info_topics, '/tf', '/tf_static'}):
        decoded = reader.decode(message)
        if message.topic in image_topics:
            found.stamps_ns[message.topic].append(stamp_to_ns(decoded.header.stamp))
            found.frames.setdefault(message.topic, str(decoded.header.frame_id))
        elif message.topic in info_topics:
            found.infos.setdefault(message.topic, camera_info_from_msg(decoded))
        elif message.type == TRANSFORMS:
            _take_transforms(found, decoded, message.topic == '/tf_static')
    return found


def _take_transforms(found: _Found, decoded: Any, static: bool) -> None:
    for parent, child, stamp_ns, pose in transforms_from_msg(decoded):
        found.frame_names |= {parent.lstrip('/'), child.lstrip('/')}
        found.tree.set_transform(parent, child, stamp_ns, pose, static)


def _camera(
    reader: BagReader,
    topics: CameraTopics,
    found: _Found,
    base_frame: str,
    calibration: str,
    offset_s: float,
) -> RigFileCamera:
    info = found.infos.get(topics.camera_info_topic)
    if info is None:
        raise BagError(
            f"{reader.path}: camera '{topics.name}' ({topics.image_topic}) has no CameraInfo in "
            'the bag; write a rig file with its intrinsics by hand'
        )
    frame_id = info.frame_id or found.frames.get(topics.image_topic, '')
    camera = RigFileCamera(
        name=topics.name,
        image_topic=topics.image_topic,
        transport='compressed' if topics.compressed else 'raw',
        camera_info_topic=topics.camera_info_topic,
        frame_id=frame_id,
        trigger_offset_s=offset_s,
        rectified=topics.rectified,
    )
    if calibration == 'none':
        return camera
    base_T_camera = _lookup(reader, topics, found, base_frame, frame_id)
    if calibration == 'placement':
        return camera.model_copy(update={'base_T_camera': _pose(base_T_camera)})
    return camera.model_copy(update=_calibration(reader, info, camera, base_T_camera))


def _calibration(
    reader: BagReader, info: CameraInfo, camera: RigFileCamera, base_T_camera: FloatArray
) -> dict[str, RigFileIntrinsics | RigFilePose]:
    """Returns intrinsics and placement of what made the images, as the live node would see it."""
    try:
        found = camera_from_info(
            camera.name, info, camera.frame_id, camera.rectified, base_T_camera
        )
    except CalibrationError as error:
        raise BagError(
            f'{reader.path}: {error} ({camera.camera_info_topic}); write its intrinsics into a '
            'rig file by hand'
        ) from error
    intrinsics = RigFileIntrinsics(
        width=found.width,
        height=found.height,
        distortion_model=found.distortion.model,
        k=tuple(found.K.ravel().tolist()),
        d=found.distortion.coefficients,
    )
    return {'intrinsics': intrinsics, 'base_T_camera': _pose(found.base_T_camera)}


def _lookup(
    reader: BagReader, topics: CameraTopics, found: _Found, base_frame: str, frame_id: str
) -> FloatArray:
    """Returns base_T_camera [4, 4] at the middle one of the camera's images."""
    stamps_ns = found.stamps_ns[topics.image_topic]
    try:
        middle_ns = stamps_ns[len(stamps_ns) // 2] if stamps_ns else 0
        return found.tree.lookup(base_frame, frame_id, middle_ns)
    except TransformUnavailable as error:
        known = ', '.join(sorted(found.frame_names)) or 'none'
        raise BagError(
            f"{reader.path}: camera '{topics.name}': {error}; frames in the bag: {known}; "
            'choose another --base-frame or --calibration none'
        ) from error


def _pose(base_T_camera: FloatArray) -> RigFilePose:
    x, y, z = (round(float(v), 9) for v in base_T_camera[:3, 3])
    qx, qy, qz, qw = (round(float(v), 12) for v in quaternion_of(base_T_camera))
    return RigFilePose(translation_m=(x, y, z), quaternion_xyzw=(qx, qy, qz, qw))
