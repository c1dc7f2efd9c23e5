"""Rigid transforms as float64 [4, 4] matrices. Quaternions are (x, y, z, w) as in ROS.

A matrix named `a_T_b` maps coordinates in frame b to coordinates in frame a.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from bev_perception.errors import CalibrationError

Matrix = NDArray[np.float64]

_QUATERNION_NORM_TOLERANCE = 1e-2


def make_pose(translation_m: ArrayLike, quaternion_xyzw: ArrayLike) -> Matrix:
    """Returns the [4, 4] transform with this translation [3] and rotation [4].

    The quaternion is normalised; one that is far from unit length is not a rotation.

    Raises:
        CalibrationError: a number is not finite, or the quaternion's norm is not 1.
    """
    translation = np.asarray(translation_m, dtype=np.float64)
    quaternion = np.asarray(quaternion_xyzw, dtype=np.float64)
    if translation.shape != (3,) or not np.all(np.isfinite(translation)):
        raise CalibrationError(f'translation must be 3 finite numbers, got {translation}')
    if quaternion.shape != (4,) or not np.all(np.isfinite(quaternion)):
        raise CalibrationError(f'quaternion must be 4 finite numbers, got {quaternion}')
    norm = float(np.linalg.norm(quaternion))
    if abs(norm - 1.0) > _QUATERNION_NORM_TOLERANCE:
        raise CalibrationError(
            f'quaternion (x, y, z, w) must have norm 1, got {quaternion} with norm {norm:.4g}'
        )
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    pose[:3, 3] = translation
    return pose


def pose_from_yaw(x: float, y: float, z: float, yaw: float) -> Matrix:
    """Returns the [4, 4] transform at (x, y, z) metres, turned by `yaw` rad about z."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array(
        [[cos, -sin, 0.0, x], [sin, cos, 0.0, y], [0.0, 0.0, 1.0, z], [0.0, 0.0, 0.0, 1.0]],
        dtype=np.float64,
    )


def invert(pose: ArrayLike) -> Matrix:
    """Returns the inverse [4, 4] of a rigid transform: `invert(a_T_b)` is `b_T_a`."""
    matrix = np.asarray(pose, dtype=np.float64)
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse


def quaternion_of(pose: ArrayLike) -> NDArray[np.float64]:
    """Returns the rotation as (x, y, z, w) [4] of unit length with w >= 0."""
    quaternion = Rotation.from_matrix(np.asarray(pose, dtype=np.float64)[:3, :3]).as_quat()
    return -quaternion if quaternion[3] < 0 else quaternion


def yaw_of(pose: ArrayLike) -> float:
    """Returns the heading of the frame's x axis about z, in rad in [-pi, pi]."""
    matrix = np.asarray(pose, dtype=np.float64)
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))


def twist_about_z(pose: ArrayLike) -> float:
    """Returns the part of the rotation that is about z, in rad in (-pi, pi].

    The swing-twist decomposition of the quaternion; that of the inverse is its negative, which
    does not hold for `yaw_of` of tilted frames.
    """
    _, _, z, w = quaternion_of(pose)
    return float(2.0 * np.arctan2(z, w))


def interpolate(pose_0: ArrayLike, pose_1: ArrayLike, alpha: float) -> Matrix:
    """Returns the [4, 4] pose at share `alpha` of the way: lerp of positions, slerp of rotations.

    0 gives `pose_0`, 1 gives `pose_1`; values outside [0, 1] extrapolate at the same rates.
    """
    start = np.asarray(pose_0, dtype=np.float64)
    end = np.asarray(pose_1, dtype=np.float64)
    turn = Rotation.from_matrix(start[:3, :3].T @ end[:3, :3]).as_rotvec()
    pose = np.eye(4)
    pose[:3, :3] = start[:3, :3] @ Rotation.from_rotvec(alpha * turn).as_matrix()
    pose[:3, 3] = (1.0 - alpha) * start[:3, 3] + alpha * end[:3, 3]
    return pose


def transform(pose: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Returns points [..., 3] mapped by a [4, 4] transform."""
    matrix = np.asarray(pose, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def wrap_angle(rad: Any) -> Any:
    """Returns angles (float or array) in rad wrapped to [-pi, pi)."""
    wrapped = np.mod(np.asarray(rad, dtype=np.float64) + np.pi, 2.0 * np.pi) - np.pi
    # Rounding of the modulus can land exactly on the excluded end.
    wrapped = np.where(wrapped >= np.pi, -np.pi, wrapped)
    return float(wrapped) if np.ndim(rad) == 0 else wrapped
