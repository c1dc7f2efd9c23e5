"""Poses in the plane on the host, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.pose import wrap_angle, yaw_of


@dataclass(frozen=True)
class PlanarPose:
    """A frame in the plane, given in another one: `a_T_b` maps coordinates in b to a.

    Attributes:
        x_m: origin of the frame.
        y_m: likewise.
        yaw_rad: direction of its x axis, any multiple of full turns.
    """

    x_m: float
    y_m: float
    yaw_rad: float

    @classmethod
    def of(cls, pose: ArrayLike) -> PlanarPose:
        """Returns the planar part of a [4, 4] transform: place, and heading of the x axis."""
        matrix = np.asarray(pose, dtype=np.float64)
        return cls(float(matrix[0, 3]), float(matrix[1, 3]), yaw_of(matrix))

    def between(self, other: PlanarPose) -> PlanarPose:
        """Returns self_T_other for two poses given in one frame; yaw in [-pi, pi).

        Equal headings give a yaw of exactly zero, equal poses exactly the identity.
        """
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        dx, dy = other.x_m - self.x_m, other.y_m - self.y_m
        yaw_rad = wrap_angle(other.yaw_rad - self.yaw_rad)
        return PlanarPose(cos * dx + sin * dy, cos * dy - sin * dx, yaw_rad)

    def shifted(self, x_m: float, y_m: float) -> PlanarPose:
        """Returns the pose moved by (x_m, y_m) along its own axes."""
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return PlanarPose(
            self.x_m + cos * x_m - sin * y_m, self.y_m + sin * x_m + cos * y_m, self.yaw_rad
        )

    def matrix(self) -> NDArray[np.float64]:
        """Returns [2, 3]: rotation | translation in metres, acting on points (x, y, 1)."""
        cos, sin = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.array([[cos, -sin, self.x_m], [sin, cos, self.y_m]], dtype=np.float64)


IDENTITY = PlanarPose(0.0, 0.0, 0.0)
