"""What is known about a frame, whatever data set it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ObjectLabels:
    """Road users of a frame and their ways, in the base frame of its reference instant.

    M road users, S instants: the present, then the steps that were asked for.

    Attributes:
        label: int64 [M], positive, the same road user in all frames of a drive.
        class_name: of each.
        center_m: [M, 3] box centres.
        size_m: [M, 3] length, width, height.
        yaw_rad: [M].
        velocity_mps: [M, 2] over ground; NaN where unknown.
        path_m: [S, M, 2] box centres; NaN where the road user is not there or not known.
        path_yaw_rad: [S, M].
        visible: bool [M], some camera shows enough of it; the others are not asked of a model.
    """

    label: NDArray[np.int64]
    class_name: tuple[str, ...]
    center_m: FloatArray
    size_m: FloatArray
    yaw_rad: FloatArray
    velocity_mps: FloatArray
    path_m: FloatArray
    path_yaw_rad: FloatArray
    visible: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.label)


class FrameLabels(Protocol):
    """Labels of one frame; every data set has its own way to them."""

    def objects(self, times_s: tuple[float, ...]) -> ObjectLabels:
        """Returns the road users, their ways at times relative to the frame, 0 first."""

    def layer(self, name: str, grid: BevGrid) -> NDArray[np.int8] | None:
        """Returns int8 [Y, X]: 1 where a semantic layer is, 0 where it is not, -1 unknown.

        None if the data set does not know the layer.
        """

    def obstacles(self, grid: BevGrid) -> NDArray[np.int8] | None:
        """Returns int8 [Y, X]: 1 where something that never moves stands, 0 where not, -1 unknown.

        None if nothing is known about free ground: neither from maps nor from a lidar.
        """

    def observed(self, grid: BevGrid) -> NDArray[np.bool_]:
        """Returns bool [Y, X] which cells some camera sees."""

    def depth_m(self, camera: int) -> NDArray[np.float32] | None:
        """Returns [H, W] depth of a camera's pixels along the optical axis (beyond 120 degrees
        of view along the ray), 0 where unknown; None if not known at all.
        """
