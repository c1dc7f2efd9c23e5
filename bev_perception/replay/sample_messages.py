"""The ROS messages of a sample drive, for bags written without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import quaternion_of
from bev_perception.replay.sample_images import encode_jpeg, encode_raw

Matrix = NDArray[np.float64]

BASE_FRAME, ODOM_FRAME = 'base_link', 'odom'
TYPESTORE = get_typestore(Stores.ROS2_HUMBLE)
_TYPES: dict[str, Any] = dict(TYPESTORE.types)
_NS_PER_S = 1_000_000_000


def image_message(rgb: NDArray[np.uint8], encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """Returns sensor_msgs/CompressedImage for 'jpeg', else sensor_msgs/Image."""
    header = _header(stamp_ns, frame_id)
    if encoding == 'jpeg':
        compressed = _TYPES['sensor_msgs/msg/CompressedImage']
        return compressed(header=header, format='jpeg', data=encode_jpeg(rgb))
    rows = encode_raw(rgb, encoding)
    return _TYPES['sensor_msgs/msg/Image'](
        header=header,
        height=rgb.shape[0],
        width=rgb.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.ravel(),
    )


def camera_info_message(camera: Camera, stamp_ns: int) -> Any:
    """Returns sensor_msgs/CameraInfo; an ideal lens is `plumb_bob` with zeros, as drivers do."""
    ideal = camera.distortion.model == 'none'
    region = _TYPES['sensor_msgs/msg/RegionOfInterest']
    return _TYPES['sensor_msgs/msg/CameraInfo'](
        header=_header(stamp_ns, camera.frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model='plumb_bob' if ideal else camera.distortion.model,
        d=np.zeros(5) if ideal else np.array(camera.distortion.coefficients),
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack([camera.K, np.zeros(3)]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=region(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def static_transforms_message(cameras: Sequence[Camera], stamp_ns: int) -> Any:
    """Returns tf2_msgs/TFMessage: base_link to every optical frame."""
    transforms = [
        _transform(camera.base_T_camera, BASE_FRAME, camera.frame_id, stamp_ns)
        for camera in cameras
    ]
    return _TYPES['tf2_msgs/msg/TFMessage'](transforms=transforms)


def ego_transform_message(odom_T_base: Matrix, stamp_ns: int) -> Any:
    """Returns tf2_msgs/TFMessage: odom to base_link."""
    transforms = [_transform(odom_T_base, ODOM_FRAME, BASE_FRAME, stamp_ns)]
    return _TYPES['tf2_msgs/msg/TFMessage'](transforms=transforms)


def odometry_message(
    odom_T_base: Matrix, speed_mps: float, yaw_rate_radps: float, stamp_ns: int
) -> Any:
    """Returns nav_msgs/Odometry: pose in odom, twist in base_link."""
    position, orientation = _parts(odom_T_base, 'geometry_msgs/msg/Point')
    pose = _TYPES['geometry_msgs/msg/Pose'](position=position, orientation=orientation)
    twist = _TYPES['geometry_msgs/msg/Twist'](
        linear=_vector(speed_mps, 0.0, 0.0), angular=_vector(0.0, 0.0, yaw_rate_radps)
    )
    unknown = np.zeros(36)
    return _TYPES['nav_msgs/msg/Odometry'](
        header=_header(stamp_ns, ODOM_FRAME),
        child_frame_id=BASE_FRAME,
        pose=_TYPES['geometry_msgs/msg/PoseWithCovariance'](pose=pose, covariance=unknown),
        twist=_TYPES['geometry_msgs/msg/TwistWithCovariance'](twist=twist, covariance=unknown),
    )


def _header(stamp_ns: int, frame_id: str) -> Any:
    stamp = _TYPES['builtin_interfaces/msg/Time'](*divmod(stamp_ns, _NS_PER_S))
    return _TYPES['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def _transform(a_T_b: Matrix, parent: str, child: str, stamp_ns: int) -> Any:
    translation, rotation = _parts(a_T_b, 'geometry_msgs/msg/Vector3')
    transform = _TYPES['geometry_msgs/msg/Transform'](translation=translation, rotation=rotation)
    return _TYPES['geometry_msgs/msg/TransformStamped'](
        header=_header(stamp_ns, parent), child_frame_id=child, transform=transform
    )


def _parts(pose: Matrix, vector_type: str) -> tuple[Any, Any]:
    quaternion = _TYPES['geometry_msgs/msg/Quaternion'](*quaternion_of(pose).tolist())
    return _TYPES[vector_type](*pose[:3, 3].tolist()), quaternion


def _vector(x: float, y: float, z: float) -> Any:
    return _TYPES['geometry_msgs/msg/Vector3'](x, y, z)
