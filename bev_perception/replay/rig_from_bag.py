"""Writes the rig of a recording: its cameras, topics, calibrations and trigger offsets."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from bev_perception.errors import BagError, TransformUnavailable
from bev_perception.frame import FloatArray
from bev_perception.geometry.pose import quaternion_of
from bev_perception.geometry.rig_file import (
    RigFile,
    RigFileCamera,
    RigFileIntrinsics,
    RigFilePose,
)
from bev_perception.inputs.calibration import CameraInfo
from bev_perception.inputs.conversion import camera_info_from_msg, pose_from_msg, stamp_to_ns
from bev_perception.inputs.transform_tree import TransformTree
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.camera_topics import CameraTopics, find_cameras

NS_PER_S = 1_000_000_000
ODOMETRY = 'nav_msgs/msg/Odometry'
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
    cameras = find_cameras(topics)
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
    cycles = {
        name: stamps[np.abs(stamps[None, :] - slowest[:, None]).argmin(axis=1)]
        for name, stamps in filled.items()
    }
    table = np.sort(np.stack(list(cycles.values())), axis=0)
    reference = table[(len(table) - 1) // 2]
    return {
        name: round(median((cycles[name] - reference).tolist()) / NS_PER_S, 6)
        if name in cycles
        else 0.0
        for name in stamps_ns
    }


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
        else:
            _take_transforms(found, decoded, message.topic == '/tf_static')
    return found


def _take_transforms(found: _Found, decoded: Any, static: bool) -> None:
    for item in decoded.transforms:
        parent, child = item.header.frame_id.lstrip('/'), item.child_frame_id.lstrip('/')
        found.frame_names |= {parent, child}
        found.tree.set_transform(
            parent, child, stamp_to_ns(item.header.stamp), pose_from_msg(item.transform), static
        )


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
    return RigFileCamera(
        name=topics.name,
        image_topic=topics.image_topic,
        transport='compressed' if topics.compressed else 'raw',
        camera_info_topic=topics.camera_info_topic,
        frame_id=frame_id,
        trigger_offset_s=offset_s,
        rectified=topics.rectified,
        intrinsics=_intrinsics(info, topics.rectified) if calibration == 'full' else None,
        base_T_camera=None
        if calibration == 'none'
        else _placement(
            reader,
            topics,
            found,
            base_frame,
            frame_id,
            info.r if topics.rectified and calibration == 'full' else (),
        ),
    )


def _intrinsics(info: CameraInfo, rectified: bool) -> RigFileIntrinsics:
    """Returns what describes the images: K and D, or P alone where they are rectified."""
    k = (*info.p[0:3], *info.p[4:7], *info.p[8:11]) if rectified and any(info.p) else info.k
    return RigFileIntrinsics(
        width=info.width,
        height=info.height,
        distortion_model='none' if rectified else info.distortion_model or 'none',
        k=k,
        d=() if rectified else info.d,
    )


def _placement(
    reader: BagReader,
    topics: CameraTopics,
    found: _Found,
    base_frame: str,
    frame_id: str,
    rectification: tuple[float, ...],
) -> RigFilePose:
    """Returns where the image's camera sits; rectified images look along R of the CameraInfo."""
    stamps_ns = found.stamps_ns[topics.image_topic]
    try:
        base_T_camera: FloatArray = found.tree.lookup(
            base_frame, frame_id, stamps_ns[0] if stamps_ns else 0
        )
    except TransformUnavailable as error:
        known = ', '.join(sorted(found.frame_names)) or 'none'
        raise BagError(
            f"{reader.path}: camera '{topics.name}': {error}; frames in the bag: {known}; "
            'choose another --base-frame or --calibration none'
        ) from error
    if any(rectification):
        base_T_camera = base_T_camera.copy()
        base_T_camera[:3, :3] = base_T_camera[:3, :3] @ np.reshape(rectification, (3, 3)).T
    x, y, z = (round(float(v), 9) for v in base_T_camera[:3, 3])
    qx, qy, qz, qw = (round(float(v), 12) for v in quaternion_of(base_T_camera))
    return RigFilePose(translation_m=(x, y, z), quaternion_xyzw=(qx, qy, qz, qw))
