"""Clips out of synthetic drives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.model_input import ImageRemap
from bev_perception.geometry.pose import Matrix
from bev_perception.inputs.image import CameraImage
from bev_perception.model.config import ModelConfig
from bev_perception.model.view_transform import ViewTransform
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_maker import ClipMaker
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError

_AS_IT_IS = AugmentSection()


class DriveClips:
    """Makes clips for one model.

    Args:
        config: of the model.
        view_transform: of the model; only its `build` is used.
        cameras: that every clip has; rigs of fewer are filled up with absent ones.
        min_pixels: see `DriveFrame`.
        augment: how clips that have a seed are changed.
        seed: of the pool of rigs.
        views: see `ClipMaker`.

    Raises:
        ConfigError: clips are to be mirrored, and a grid of the model is not symmetric.
    """

    def __init__(
        self,
        config: ModelConfig,
        view_transform: ViewTransform,
        cameras: int,
        min_pixels: int = 10,
        augment: AugmentSection = _AS_IT_IS,
        seed: int = 0,
        views: bool = False,
    ) -> None:
        self._maker = ClipMaker(config, view_transform, cameras, augment, seed, views)
        self._min_pixels = min_pixels

    def clip(self, drive: Drive, frames: Sequence[int], seed: int | None = None) -> Clip:
        """Returns frames of a drive, in order, as a clip (batch 1); label frames have targets.

        Args:
            drive: open drive file.
            frames: rising.
            seed: of the changes; None: none, images and matrices are those of the vehicle.

        Raises:
            DatasetError: the drive is damaged, or has no such frames; names file and reason.
        """
        for frame in frames:
            drive.stamp_ns(frame)  # refuses what is not there
        return self._maker.clip(DriveRecording(drive, self._min_pixels), frames, seed)


class DriveRecording:
    """A drive as `clip_maker.Recording`: whatever cannot be used in it refuses the clip.

    Args:
        drive: open drive file.
        min_pixels: see `DriveFrame`.
    """

    def __init__(self, drive: Drive, min_pixels: int) -> None:
        self._drive, self._min_pixels = drive, min_pixels

    @property
    def cameras(self) -> Sequence[Camera]:
        return self._drive.cameras

    @property
    def stamps_ns(self) -> Sequence[int]:
        return self._drive.description.frame_stamps_ns

    def ego_pose(self, frame: int) -> Matrix:
        return self._drive.world_T_base[frame]

    def image(self, frame: int, camera: int) -> CameraImage:
        coded = np.frombuffer(self._drive.jpeg(frame, camera), np.uint8)
        return CameraImage(coded, 'jpeg', 0, 0, 0, compressed=True)

    def depth_m(self, frame: int, camera: int, remap: ImageRemap) -> NDArray[np.float32] | None:
        if frame not in self._drive.label_frames:
            return None
        return remap.depth(self._drive.depth_m(frame, camera))

    def labels(self, frame: int, turn_rad: float, cameras: NDArray[np.bool_]) -> DriveFrame | None:
        if frame not in self._drive.label_frames:
            return None
        return DriveFrame(self._drive, frame, self._min_pixels, turn_rad, cameras)

    def unusable(self, camera: int, frame: int | None, reason: str) -> NoReturn:
        name = self._drive.cameras[camera].name
        if frame is None:
            raise DatasetError(f"{self._drive.path}: camera '{name}' {reason}")
        raise DatasetError(f"{self._drive.path}: frame {frame} of camera '{name}': {reason}")
