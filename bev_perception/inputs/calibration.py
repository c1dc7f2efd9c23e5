"""Calibrations of the rig's cameras, from messages, transforms or a rig file, always current."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bev_perception.errors import CalibrationError, TransformUnavailable
from bev_perception.frame import FloatArray
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.inputs.state import CameraState


@dataclass(frozen=True)
class CameraInfo:
    """The fields of sensor_msgs/CameraInfo; matrices row by row, sizes of the full sensor image.

    `roi` is (x_offset, y_offset, width, height) in full-resolution pixels; width 0 = everything.
    """

    width: int
    height: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    frame_id: str
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class CameraSource:
    """One camera of the rig: where its images and its calibration come from.

    Attributes:
        name: unique name in the rig.
        image_topic: topic of its images.
        compressed: the topic carries CompressedImage rather than Image.
        camera_info_topic: topic of its CameraInfo; empty when `intrinsics` is given.
        frame_id: optical frame; empty = the one named in CameraInfo.
        trigger_offset_s: its stamp minus the reference instant of the rig.
        rectified: images are rectified: P of the CameraInfo applies, without distortion.
        intrinsics: fixed calibration; None = from CameraInfo messages.
        base_T_camera: [4, 4] fixed placement; None = from transforms.
    """

    name: str
    image_topic: str
    compressed: bool
    camera_info_topic: str = ''
    frame_id: str = ''
    trigger_offset_s: float = 0.0
    rectified: bool = False
    intrinsics: CameraInfo | None = None
    base_T_camera: FloatArray | None = None


class TransformSource(Protocol):
    """Whatever answers transforms: `TransformTree`, or tf2's buffer behind the same method."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> FloatArray:
        """Returns target_T_source [4, 4]; raises TransformUnavailable. Must not wait."""
        ...


class CalibrationUnavailable(CalibrationError):
    """A camera has no usable calibration now; `state` says which part is missing."""

    def __init__(self, state: CameraState, message: str) -> None:
        super().__init__(message)
        self.state = state


def camera_from_info(
    name: str, info: CameraInfo, frame_id: str, rectified: bool, base_T_camera: FloatArray
) -> Camera:
    """Returns the camera that made the images, region of interest and binning applied.

    For rectified images the projection is P[:3, :3] and the frame is turned by R
    (sensor_msgs/CameraInfo: R maps the camera's frame into the rectified one).

    Raises:
        CalibrationError: the numbers describe no camera.
    """
    K = np.array(info.p, dtype=np.float64).reshape(3, 4)[:, :3] if rectified else None
    if K is None or not K.any():
        K = np.array(info.k, dtype=np.float64).reshape(3, 3)
    if not K.any():
        raise CalibrationError(f"camera '{name}': CameraInfo is all zero: calibrate the camera")
    distortion = Distortion('none') if rectified else _distortion(name, info)
    R = np.array(info.r, dtype=np.float64).reshape(3, 3)
    base_T_image = np.array(base_T_camera, dtype=np.float64)
    if rectified and R.any():
        base_T_image[:3, :3] = base_T_image[:3, :3] @ R.T
    x0, y0, width, height = info.roi if info.roi[2] else (0, 0, info.width, info.height)
    bin_x, bin_y = (max(b, 1) for b in info.binning)
    camera = Camera(name, frame_id, info.width, info.height, K, distortion, base_T_image)
    if (x0, y0, width, height, bin_x, bin_y) == (0, 0, info.width, info.height, 1, 1):
        return camera
    return camera.scaled_cropped(
        1 / bin_x, 1 / bin_y, x0 / bin_x, y0 / bin_y, width // bin_x, height // bin_y
    )


def _distortion(name: str, info: CameraInfo) -> Distortion:
    try:
        return Distortion.from_ros(info.distortion_model, info.d)
    except CalibrationError as error:
        raise CalibrationError(f"camera '{name}': {error}") from error


class CalibrationStore:
    """Gives each camera's calibration at a stamp, following changes at run time.

    Args:
        sources: the rig.
        base_frame: frame in which cameras are expressed.
        transforms: asked for cameras whose placement is not fixed.
    """

    def __init__(
        self, sources: tuple[CameraSource, ...], base_frame: str, transforms: TransformSource
    ) -> None:
        self._sources = {s.name: s for s in sources}
        self._base_frame = base_frame
        self._transforms = transforms
        self._infos: dict[str, CameraInfo] = {
            s.name: s.intrinsics for s in sources if s.intrinsics is not None
        }
        self._cameras: dict[str, tuple[CameraInfo, bytes, Camera]] = {}

    def set_info(self, name: str, info: CameraInfo) -> None:
        """Takes the newest CameraInfo of a camera; ignored where the rig file fixes it."""
        if self._sources[name].intrinsics is None:
            self._infos[name] = info

    def camera(self, name: str, stamp_ns: int) -> Camera:
        """Returns the camera as it was at `stamp_ns`.

        Raises:
            CalibrationUnavailable: no CameraInfo yet, no transform at that time, or nonsense.
        """
        source = self._sources[name]
        info = self._infos.get(name)
        if info is None:
            where = f" on '{source.camera_info_topic}'" if source.camera_info_topic else ''
            raise CalibrationUnavailable(
                CameraState.NO_CAMERA_INFO, f'no CameraInfo received{where}'
            )
        frame_id = source.frame_id or info.frame_id
        base_T_camera = self._placement(source, frame_id, stamp_ns)
        cached = self._cameras.get(name)
        if cached and cached[0] == info and cached[1] == base_T_camera.tobytes():
            return cached[2]
        try:
            camera = camera_from_info(name, info, frame_id, source.rectified, base_T_camera)
        except CalibrationError as error:
            raise CalibrationUnavailable(CameraState.BAD_CALIBRATION, str(error)) from error
        self._cameras[name] = (replace(info), base_T_camera.tobytes(), camera)
        return camera

    def _placement(self, source: CameraSource, frame_id: str, stamp_ns: int) -> FloatArray:
        if source.base_T_camera is not None:
            return source.base_T_camera
        if not frame_id:
            raise CalibrationUnavailable(
                CameraState.NO_TRANSFORM, "CameraInfo names no frame; set the camera's frame_id"
            )
        try:
            return self._transforms.lookup(self._base_frame, frame_id, stamp_ns)
        except TransformUnavailable as error:
            raise CalibrationUnavailable(CameraState.NO_TRANSFORM, str(error)) from error
