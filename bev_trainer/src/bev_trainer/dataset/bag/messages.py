"""The ROS messages that a vehicle's sensors send, for recordings written without ROS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import Matrix, quaternion_of
from bev_perception.units import NS_PER_S
from bev_trainer.dataset.bag.typestore import new_message

BASE_FRAME, ODOM_FRAME, MAP_FRAME = 'base_link', 'odom', 'map'


def header_message(stamp_ns: int, frame_id: str) -> Any:
    """Returns std_msgs/Header."""
    return new_message('std_msgs/Header', stamp=time_message(stamp_ns), frame_id=frame_id)


def time_message(stamp_ns: int) -> Any:
    """Returns builtin_interfaces/Time."""
    sec, nanosec = divmod(int(stamp_ns), NS_PER_S)
    return new_message('builtin_interfaces/Time', sec=sec, nanosec=nanosec)


def vector_message(xyz: ArrayLike, kind: str = 'geometry_msgs/Vector3') -> Any:
    """Returns geometry_msgs/Vector3, or Point, of [3] numbers."""
    x, y, z = np.asarray(xyz, np.float64).tolist()
    return new_message(kind, x=x, y=y, z=z)


def pose_message(pose: Matrix) -> Any:
    """Returns geometry_msgs/Pose of a [4, 4] transform."""
    return new_message(
        'geometry_msgs/Pose',
        position=vector_message(pose[:3, 3], 'geometry_msgs/Point'),
        orientation=_quaternion(pose),
    )


def upright_pose_message(center_m: ArrayLike, yaw_rad: float) -> Any:
    """Returns geometry_msgs/Pose at [3], turned by `yaw_rad` about z."""
    half = 0.5 * float(yaw_rad)
    turn = new_message(
        'geometry_msgs/Quaternion', x=0.0, y=0.0, z=math.sin(half), w=math.cos(half)
    )
    position = vector_message(center_m, 'geometry_msgs/Point')
    return new_message('geometry_msgs/Pose', position=position, orientation=turn)


def transform_message(a_T_b: Matrix, parent: str, child: str, stamp_ns: int) -> Any:
    """Returns geometry_msgs/TransformStamped: the pose of frame `child` in frame `parent`."""
    transform = new_message(
        'geometry_msgs/Transform',
        translation=vector_message(a_T_b[:3, 3]),
        rotation=_quaternion(a_T_b),
    )
    return new_message(
        'geometry_msgs/TransformStamped',
        header=header_message(stamp_ns, parent),
        child_frame_id=child,
        transform=transform,
    )


def transforms_message(transforms: Sequence[Any]) -> Any:
    """Returns tf2_msgs/TFMessage."""
    return new_message('tf2_msgs/TFMessage', transforms=list(transforms))


def camera_transforms(
    cameras: Sequence[Camera], stamp_ns: int, base_frame: str = BASE_FRAME
) -> list[Any]:
    """Returns where every camera's optical frame is on the vehicle."""
    return [
        transform_message(camera.base_T_camera, base_frame, camera.frame_id, stamp_ns)
        for camera in cameras
    ]


def jpeg_message(jpeg: bytes, stamp_ns: int, frame_id: str) -> Any:
    """Returns sensor_msgs/CompressedImage of JPEG bytes."""
    return new_message(
        'sensor_msgs/CompressedImage',
        header=header_message(stamp_ns, frame_id),
        format='jpeg',
        data=np.frombuffer(jpeg, np.uint8),
    )


def raw_image_message(
    rows: NDArray[np.uint8], width: int, encoding: str, stamp_ns: int, frame_id: str
) -> Any:
    """Returns sensor_msgs/Image of uint8 [height, bytes per row], little-endian."""
    return new_message(
        'sensor_msgs/Image',
        header=header_message(stamp_ns, frame_id),
        height=rows.shape[0],
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.ravel(),
    )


def camera_info_message(camera: Camera, stamp_ns: int) -> Any:
    """Returns sensor_msgs/CameraInfo; an ideal lens is `plumb_bob` with zeros, as drivers do."""
    ideal = camera.distortion.model == 'none'
    whole = new_message(
        'sensor_msgs/RegionOfInterest', x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
    )
    return new_message(
        'sensor_msgs/CameraInfo',
        header=header_message(stamp_ns, camera.frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model='plumb_bob' if ideal else camera.distortion.model,
        d=np.zeros(5) if ideal else np.array(camera.distortion.coefficients),
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack([camera.K, np.zeros(3)]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=whole,
    )


def odometry_message(
    odom_T_base: Matrix,
    linear_mps: ArrayLike,
    angular_radps: ArrayLike,
    stamp_ns: int,
    base_frame: str = BASE_FRAME,
) -> Any:
    """Returns nav_msgs/Odometry: pose in odom, twist [3], [3] in the base frame, no covariance."""
    twist = new_message(
        'geometry_msgs/Twist',
        linear=vector_message(linear_mps),
        angular=vector_message(angular_radps),
    )
    return new_message(
        'nav_msgs/Odometry',
        header=header_message(stamp_ns, ODOM_FRAME),
        child_frame_id=base_frame,
        pose=posed(pose_message(odom_T_base)),
        twist=twisted(twist),
    )


def posed(pose: Any) -> Any:
    """Returns geometry_msgs/PoseWithCovariance; zeros say that the covariance is not known."""
    return new_message('geometry_msgs/PoseWithCovariance', pose=pose, covariance=np.zeros(36))


def twisted(twist: Any) -> Any:
    """Returns geometry_msgs/TwistWithCovariance; zeros as in `posed`."""
    return new_message('geometry_msgs/TwistWithCovariance', twist=twist, covariance=np.zeros(36))


def _quaternion(pose: Matrix) -> Any:
    x, y, z, w = quaternion_of(pose).tolist()
    return new_message('geometry_msgs/Quaternion', x=x, y=y, z=z, w=w)
