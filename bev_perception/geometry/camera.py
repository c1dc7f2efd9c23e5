"""One calibrated camera: where points of the world fall in its image, and back.

Pixel convention (OpenCV, ROS): integer coordinates are pixel centres, so an image covers
[-0.5, width - 0.5) x [-0.5, height - 0.5). Camera frames are optical: x right, y down, z forward.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.errors import CalibrationError
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import invert, transform

FloatArray = NDArray[np.float64]

_ROTATION_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics, lens and pose of one camera; validated and read-only.

    Attributes:
        name: camera name in the rig.
        frame_id: optical frame of the camera.
        width: image width in pixels.
        height: image height in pixels.
        K: [3, 3] intrinsic matrix in pixels.
        distortion: lens model.
        base_T_camera: [4, 4] maps camera coordinates to the base frame, metres.

    Raises:
        CalibrationError: a value is impossible; names camera and field.
    """

    name: str
    frame_id: str
    width: int
    height: int
    K: FloatArray
    distortion: Distortion
    base_T_camera: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, 'K', _read_only(self.K, (3, 3), self.name, 'K'))
        pose = _read_only(self.base_T_camera, (4, 4), self.name, 'base_T_camera')
        object.__setattr__(self, 'base_T_camera', pose)
        problem = _size_problem(self.width, self.height) or _k_problem(self.K)
        problem = problem or _pose_problem(self.base_T_camera)
        if problem:
            raise CalibrationError(f"camera '{self.name}': {problem}")

    def project(self, points_camera: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns (uv [..., 2] in pixels, valid [...]) of points [..., 3] in the camera frame.

        valid: the point has an image and it lies inside the picture. uv is NaN where there is no
        image at all (behind the camera, beyond the limit of the lens model).
        """
        xy = self.distortion.distort(points_camera)
        uv = xy @ self.K[:2, :2].T + self.K[:2, 2]
        u, v = uv[..., 0], uv[..., 1]
        inside_u = (u >= -0.5) & (u < self.width - 0.5)
        return uv, inside_u & (v >= -0.5) & (v < self.height - 0.5)

    def project_base(self, points_base: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Returns `project` of points [..., 3] in the base frame."""
        return self.project(transform(invert(self.base_T_camera), points_base))

    def rays(self, uv: ArrayLike) -> FloatArray:
        """Returns viewing directions [..., 3] in the camera frame of pixels [..., 2].

        z = 1 for the pinhole family, unit length for equidistant cameras (beyond 90 degrees z is
        negative). NaN where no direction has this image. Pixels may lie outside the picture.
        """
        uv = np.asarray(uv, dtype=np.float64)
        y = (uv[..., 1] - self.K[1, 2]) / self.K[1, 1]
        x = (uv[..., 0] - self.K[0, 2] - self.K[0, 1] * y) / self.K[0, 0]
        return self.distortion.undistort(np.stack([x, y], axis=-1))

    def with_pose(self, base_T_camera: ArrayLike) -> Camera:
        """Returns the same camera at another pose [4, 4]."""
        return replace(self, base_T_camera=np.asarray(base_T_camera, dtype=np.float64))

    def scaled_cropped(
        self,
        scale_x: float,
        scale_y: float,
        crop_x: float,
        crop_y: float,
        width: int,
        height: int,
        name: str | None = None,
    ) -> Camera:
        """Returns the camera of the picture resized by scale and then cropped.

        Pixel (u, v) moves to ((u + 0.5) * scale_x - 0.5 - crop_x, likewise v); the new picture
        is width x height. Negative crops pad.
        """
        resize = np.array(
            [
                [scale_x, 0.0, 0.5 * scale_x - 0.5 - crop_x],
                [0.0, scale_y, 0.5 * scale_y - 0.5 - crop_y],
                [0.0, 0.0, 1.0],
            ]
        )
        name = self.name if name is None else name
        return replace(self, name=name, width=width, height=height, K=resize @ self.K)

    def key(self) -> bytes:
        """Returns a hash of everything that decides geometry (not of name and frame)."""
        lens = ('none', ()) if self.distortion.is_pinhole else _lens(self.distortion)
        digest = hashlib.sha256(repr((self.width, self.height, *lens)).encode())
        # + 0.0 makes negative zeros positive.
        digest.update((self.K + 0.0).tobytes() + (self.base_T_camera + 0.0).tobytes())
        return digest.digest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Camera):
            return NotImplemented
        mine, theirs = (self.name, self.frame_id), (other.name, other.frame_id)
        return mine == theirs and self.key() == other.key()

    def __hash__(self) -> int:
        return hash((self.name, self.frame_id, self.key()))


def _lens(distortion: Distortion) -> tuple[str, tuple[float, ...]]:
    return distortion.model, tuple(value + 0.0 for value in distortion.coefficients)


def _read_only(value: ArrayLike, shape: tuple[int, int], camera: str, field: str) -> FloatArray:
    matrix = np.array(value, dtype=np.float64)
    if matrix.shape != shape:
        raise CalibrationError(
            f"camera '{camera}': {field} must be {shape[0]} x {shape[1]}, got shape {matrix.shape}"
        )
    if not np.all(np.isfinite(matrix)):
        raise CalibrationError(f"camera '{camera}': {field} holds numbers that are not finite")
    matrix.setflags(write=False)
    return matrix


def _size_problem(width: int, height: int) -> str:
    if width < 1 or height < 1:
        return f'width and height must be at least 1 pixel, got {width} x {height}'
    return ''


def _k_problem(K: FloatArray) -> str:
    if not (K[0, 0] > 0.0 and K[1, 1] > 0.0):
        return f'K must have positive focal lengths, got fx {K[0, 0]:g}, fy {K[1, 1]:g}'
    if K[1, 0] != 0.0 or np.any(K[2] != (0.0, 0.0, 1.0)):
        return f'K must be upper triangular with last row 0 0 1, got {K.tolist()}'
    return ''


def _pose_problem(base_T_camera: FloatArray) -> str:
    rotation = base_T_camera[:3, :3]
    if np.any(base_T_camera[3] != (0.0, 0.0, 0.0, 1.0)):
        return f'base_T_camera must have last row 0 0 0 1, got {base_T_camera[3].tolist()}'
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > _ROTATION_TOLERANCE:
        return 'base_T_camera must hold a rotation, but its axes are not orthonormal'
    if np.linalg.det(rotation) < 0.0:
        return 'base_T_camera must hold a rotation, but it is mirrored (determinant -1)'
    return ''
