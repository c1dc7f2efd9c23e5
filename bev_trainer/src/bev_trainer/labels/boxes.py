"""Boxes of road users at one instant, in any upright frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.pose import transform, wrap_angle, yaw_of

FloatArray = NDArray[np.float64]

# Corners in units of the half size: bottom 0..3 counter-clockwise from front left, top 4..7.
_CORNERS = np.array(
    [[x, y, z] for z in (-1, 1) for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1))], np.float64
)


@dataclass(frozen=True, eq=False)
class BoxArray:
    """n upright boxes; the frame is the caller's to know.

    Attributes:
        instance: uint16 [n] instance ids.
        class_id: uint8 [n] of `SemanticClass`.
        center_m: float64 [n, 3].
        size_m: float64 [n, 3] length, width, height.
        yaw_rad: float64 [n] heading about z, in [-pi, pi).
        velocity_mps: float64 [n, 2] over ground, in the axes of the frame.
        acceleration_mps2: float64 [n, 2] likewise.
    """

    instance: NDArray[np.uint16]
    class_id: NDArray[np.uint8]
    center_m: FloatArray
    size_m: FloatArray
    yaw_rad: FloatArray
    velocity_mps: FloatArray
    acceleration_mps2: FloatArray

    def __len__(self) -> int:
        return len(self.instance)

    def transformed(self, target_T_source: ArrayLike) -> BoxArray:
        """Returns the boxes in another frame whose z axis is parallel, given its pose [4, 4].

        Velocities stay those over ground: they are turned, the frame's own motion is not
        subtracted.

        Raises:
            ValueError: the frames are tilted against each other.
        """
        pose = np.asarray(target_T_source, np.float64)
        if not np.allclose(pose[2, :3], (0.0, 0.0, 1.0), atol=1e-6):
            raise ValueError('boxes stay upright: target_T_source must be a turn about z')
        turn = pose[:2, :2].T
        return BoxArray(
            self.instance,
            self.class_id,
            transform(pose, self.center_m),
            self.size_m,
            wrap_angle(self.yaw_rad + yaw_of(pose)),
            self.velocity_mps @ turn,
            self.acceleration_mps2 @ turn,
        )

    def selected(self, rows: ArrayLike) -> BoxArray:
        """Returns the boxes of some rows: indices, or a mask [n]."""
        index = np.asarray(rows)
        if index.size == 0:
            index = index.astype(np.int64)
        return BoxArray(
            self.instance[index],
            self.class_id[index],
            self.center_m[index],
            self.size_m[index],
            self.yaw_rad[index],
            self.velocity_mps[index],
            self.acceleration_mps2[index],
        )

    def corners(self) -> FloatArray:
        """Returns [n, 8, 3]: bottom, then top; front left, rear left, rear right, front right.

        Front is along the heading, left is to its left.
        """
        local = _CORNERS * (0.5 * self.size_m)[:, None, :]
        cos, sin = np.cos(self.yaw_rad)[:, None], np.sin(self.yaw_rad)[:, None]
        x, y, z = local[..., 0], local[..., 1], local[..., 2]
        turned = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)
        return turned + self.center_m[:, None, :]

    def footprints(self) -> FloatArray:
        """Returns [n, 4, 2]: the outline on the ground, counter-clockwise from front left."""
        return self.corners()[:, :4, :2]

    def local_xy(self, points_m: ArrayLike, box: NDArray[np.integer]) -> FloatArray:
        """Returns points [k, 2] in the axes of one box each ([k] rows): ahead, left of centre."""
        shift = np.asarray(points_m, np.float64) - self.center_m[box, :2]
        cos, sin = np.cos(self.yaw_rad[box]), np.sin(self.yaw_rad[box])
        ahead = cos * shift[..., 0] + sin * shift[..., 1]
        left = cos * shift[..., 1] - sin * shift[..., 0]
        return np.stack([ahead, left], axis=-1)
