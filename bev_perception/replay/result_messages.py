"""Reads the node's messages back into the pipeline's types.

Works on anything with the fields of the message: rclpy's classes and those that `rosbags`
deserialises from a result bag. What is lost on the way is listed in docs/messages.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigError
from bev_perception.frame import BevObject, CameraReport, CameraState, ClassScore, Trajectory
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import wrap_angle
from bev_perception.inputs.conversion import stamp_to_ns

_ROTATION_TOLERANCE = 1e-6


def duration_s(msg: Any) -> float:
    """Returns builtin_interfaces/Duration in seconds."""
    return int(msg.sec) + int(msg.nanosec) * 1e-9


def yaw_from_msg(msg: Any) -> float:
    """Returns the rotation of a geometry_msgs/Quaternion about z, in [-pi, pi)."""
    sine = 2.0 * (msg.w * msg.z + msg.x * msg.y)
    cosine = 1.0 - 2.0 * (msg.y * msg.y + msg.z * msg.z)
    return float(wrap_angle(math.atan2(sine, cosine)))


def grid_from_msg(msg: Any) -> tuple[BevGrid, NDArray[np.int8]]:
    """Returns (geometry, int8 [Y, X] view of the message's cells). The origin's z is not kept.

    Raises:
        ConfigError: the grid is rotated in its frame, or has not width * height cells.
    """
    info, turn = msg.info, msg.info.origin.orientation
    if max(abs(turn.x), abs(turn.y), abs(turn.z)) > _ROTATION_TOLERANCE:
        raise ConfigError(
            f"occupancy grid in '{msg.header.frame_id}' is rotated; transform it into a frame "
            'whose axes it is parallel to'
        )
    cells = np.frombuffer(msg.data, dtype=np.int8)
    if cells.size != info.width * info.height:
        raise ConfigError(
            f"occupancy grid in '{msg.header.frame_id}' has {cells.size} cells, but its info "
            f'says {info.width} x {info.height}'
        )
    origin = info.origin.position
    grid = BevGrid(origin.x, origin.y, float(info.resolution), int(info.width), int(info.height))
    return grid, cells.reshape(grid.shape)


def objects_from_msg(msg: Any) -> tuple[BevObject, ...]:
    """Returns the objects of a BevObjectArray; none of them has an `instance`."""
    return tuple(_object_from_msg(item) for item in msg.objects)


def camera_report_from_msg(msg: Any) -> CameraReport:
    """Returns what a CameraStatus says."""
    return CameraReport(
        name=str(msg.name),
        state=CameraState(int(msg.state)),
        detail=str(msg.detail),
        stamp_ns=stamp_to_ns(msg.stamp) if msg.has_image else None,
        age_s=float(msg.age_s) if msg.has_image else None,
    )


def _object_from_msg(msg: Any) -> BevObject:
    center, size, velocity = msg.pose.pose.position, msg.dimensions, msg.twist.twist.linear
    return BevObject(
        object_id=bytes(msg.object_id.uuid),
        age_frames=int(msg.age_frames),
        existence_probability=float(msg.existence_probability),
        classes=tuple(
            ClassScore(int(c.class_index), str(c.class_name), float(c.probability))
            for c in msg.classes
        ),
        center_m=(center.x, center.y, center.z),
        size_m=(size.x, size.y, size.z),
        yaw_rad=yaw_from_msg(msg.pose.pose.orientation),
        velocity_mps=(velocity.x, velocity.y) if msg.has_twist else None,
        trajectories=tuple(_trajectory_from_msg(path) for path in msg.trajectories),
    )


def _trajectory_from_msg(msg: Any) -> Trajectory:
    positions = [(p.position.x, p.position.y, p.position.z) for p in msg.poses]
    return Trajectory(
        probability=float(msg.probability),
        time_step_s=duration_s(msg.time_step),
        start_offset_s=duration_s(msg.start_offset),
        positions_m=np.array(positions, dtype=np.float64).reshape(-1, 3),
        yaws_rad=np.array([yaw_from_msg(p.orientation) for p in msg.poses], dtype=np.float64),
    )
