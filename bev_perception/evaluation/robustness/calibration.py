"""Calibrations that do not describe the cameras: images are right, what is said of them is not.

Viewpoint errors as in Klinghoffer et al., "Towards Viewpoint Robustness in Bird's Eye View
Segmentation" (ICCV 2023), there by rendering other views, here by a wrong calibration: pitch,
yaw, height and position; roll and focal length beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
from scipy.spatial.transform import Rotation

from bev_perception.errors import ConfigError
from bev_perception.evaluation.robustness.perturbation import (
    camera_title,
    require_cameras,
    with_changed,
)
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.geometry.camera import Camera, FloatArray

Quantity = Literal['pitch', 'yaw', 'roll', 'height', 'forward', 'left', 'focal']
_UNITS: dict[str, str] = {'pitch': 'deg', 'yaw': 'deg', 'roll': 'deg', 'focal': '%'}
_BASE_AXES = {'forward': 0, 'left': 1, 'height': 2}


@dataclass(frozen=True)
class CalibrationOff:
    """One quantity of the calibration is off by the same amount in every frame.

    The calibration says that a camera, compared with what it really is,
        pitch: looks higher by `amount` degrees (about the camera's axis to the right),
        yaw: looks further left, seen from above (about the vertical of the base frame),
        roll: is turned clockwise about its viewing direction, as seen from behind it,
        height, forward, left: sits higher, further ahead or further left, metres in the base
            frame,
        focal: has a longer focal length by `amount` per cent; the principal point stays.

    Attributes:
        quantity: what is off.
        amount: by how much, in the unit above.
        cameras: whose; empty for all, each about its own axes.
        group: 'calibration', or 'calibration_single' for the error of one camera.
    """

    quantity: Quantity
    amount: float
    cameras: tuple[str, ...] = ()
    group: str = 'calibration'

    def __post_init__(self) -> None:
        if self.quantity not in get_args(Quantity):
            raise ConfigError(
                f"calibration: quantity '{self.quantity}' is unknown; choose from "
                f'{", ".join(get_args(Quantity))}'
            )

    @property
    def name(self) -> str:
        """For tables."""
        error = f'{self.quantity} {self.amount:+g} {_UNITS.get(self.quantity, "m")}'
        return f'{camera_title(self.cameras)} {error}' if self.cameras else error

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with wrong calibrations, the same ones all the time."""
        known: dict[str, tuple[Camera, Camera]] = {}
        for frame in frames:
            require_cameras(self.cameras, frame, self.name)
            names = self.cameras or tuple(sample.name for sample in frame.samples)
            yield with_changed(frame, dict.fromkeys(names, partial(self._changed, known)))

    def wrong(self, camera: Camera) -> Camera:
        """Returns the calibration with the error."""
        if self.quantity == 'focal':
            K = camera.K.copy()
            K[:2, :2] *= 1.0 + self.amount / 100.0
            return replace(camera, K=K)
        return camera.with_pose(self._wrong_pose(camera.base_T_camera))

    def _wrong_pose(self, base_T_camera: FloatArray) -> FloatArray:
        pose = np.array(base_T_camera)
        angle_rad = math.radians(self.amount)
        if self.quantity == 'pitch':
            pose[:3, :3] = pose[:3, :3] @ _turn('x', angle_rad)
        elif self.quantity == 'roll':
            pose[:3, :3] = pose[:3, :3] @ _turn('z', angle_rad)
        elif self.quantity == 'yaw':
            pose[:3, :3] = _turn('z', angle_rad) @ pose[:3, :3]
        else:
            pose[_BASE_AXES[self.quantity], 3] += self.amount
        return pose

    def _changed(
        self, known: dict[str, tuple[Camera, Camera]], sample: CameraSample
    ) -> CameraSample:
        if sample.camera is None:
            return sample
        if sample.name not in known or known[sample.name][0] != sample.camera:
            known[sample.name] = sample.camera, self.wrong(sample.camera)
        return replace(sample, camera=known[sample.name][1])


def _turn(axis: str, angle_rad: float) -> FloatArray:
    return np.asarray(Rotation.from_euler(axis, angle_rad).as_matrix(), np.float64)
