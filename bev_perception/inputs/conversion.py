"""Reads ROS messages into plain types.

Works on anything with the fields of the message: rclpy's classes and those that `rosbags`
deserialises from a recording. So the live node and the replay share one reading of the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bev_perception.errors import CalibrationError
from bev_perception.frame import FloatArray
from bev_perception.geometry.pose import make_pose
from bev_perception.inputs.calibration import CameraInfo, TransformSource
from bev_perception.inputs.image import CameraImage
from bev_perception.units import NS_PER_S


def stamp_to_ns(stamp: Any) -> int:
    """Returns builtin_interfaces/Time as integer nanoseconds."""
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def image_from_msg(msg: Any) -> CameraImage:
    """Returns sensor_msgs/Image or CompressedImage; the bytes are viewed, not copied."""
    data = np.frombuffer(msg.data, dtype=np.uint8)
    if hasattr(msg, 'format'):
        return CameraImage(data, str(msg.format), 0, 0, 0, compressed=True)
    return CameraImage(
        data,
        str(msg.encoding),
        int(msg.width),
        int(msg.height),
        int(msg.step),
        compressed=False,
        is_bigendian=bool(msg.is_bigendian),
    )


def camera_info_from_msg(msg: Any) -> CameraInfo:
    """Returns sensor_msgs/CameraInfo as plain values."""
    roi = msg.roi
    return CameraInfo(
        width=int(msg.width),
        height=int(msg.height),
        distortion_model=str(msg.distortion_model),
        d=tuple(map(float, msg.d)),
        k=tuple(map(float, msg.k)),
        r=tuple(map(float, msg.r)),
        p=tuple(map(float, msg.p)),
        frame_id=str(msg.header.frame_id),
        binning=(int(msg.binning_x), int(msg.binning_y)),
        roi=(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)),
    )


def pose_from_msg(msg: Any) -> FloatArray:
    """Returns geometry_msgs/Pose or Transform as [4, 4].

    Raises:
        CalibrationError: the quaternion is not a rotation.
    """
    position = msg.translation if hasattr(msg, 'translation') else msg.position
    q = msg.rotation if hasattr(msg, 'rotation') else msg.orientation
    return make_pose((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))


def transforms_from_msg(msg: Any) -> Iterator[tuple[str, str, int, FloatArray]]:
    """Yields (parent, child, stamp_ns, parent_T_child) of tf2_msgs/TFMessage.

    Those that are no rigid transform are left out, as tf2 does: they may belong to anybody.
    """
    for item in msg.transforms:
        try:
            pose = pose_from_msg(item.transform)
        except CalibrationError:
            continue
        yield item.header.frame_id, item.child_frame_id, stamp_to_ns(item.header.stamp), pose


def ego_pose_from_msg(msg: Any, base_frame: str, transforms: TransformSource) -> FloatArray:
    """Returns odom_T_base [4, 4] of nav_msgs/Odometry, whatever frame it describes.

    Raises:
        CalibrationError: the orientation is not a rotation.
        TransformUnavailable: the message describes another frame of the vehicle, and its
            placement on the base frame is not known.
    """
    odom_T_child = pose_from_msg(msg.pose.pose)
    child = str(msg.child_frame_id).lstrip('/')
    if not child or child == base_frame:
        return odom_T_child
    return odom_T_child @ transforms.lookup(child, base_frame, stamp_to_ns(msg.header.stamp))
