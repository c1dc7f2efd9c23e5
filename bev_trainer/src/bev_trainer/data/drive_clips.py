"""Clips out of synthetic drives: prepared as on the vehicle, or changed at random on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ImageError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.model_input import ImageRemap
from bev_perception.inputs.image import CameraImage, decode
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_sections import FEATURE_STRIDE
from bev_perception.model.parts import create_memory_frames
from bev_perception.model.view_transform import DepthBins, RigMatrices, ViewTransform
from bev_trainer.augment.mirror import mirrored_camera, mirrored_clip, require_mirrorable
from bev_trainer.augment.plan import AugmentSection, ClipChange, draw_change
from bev_trainer.augment.rig import CalibrationNoise, RigPool, misplaced
from bev_trainer.augment.turn import turned_camera, turned_ego
from bev_trainer.data.clip import Clip, ClipFrame
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.targets.frame import frame_targets
from bev_trainer.targets.images import depth_bins_of

_RIGS = 16
_AS_IT_IS = AugmentSection()

Remaps = Sequence[ImageRemap]


class DriveClips:
    """Makes clips for one model.

    Args:
        config: of the model.
        view_transform: of the model; only its `build` is used.
        cameras: that every clip has; rigs of fewer are filled up with absent ones.
        min_pixels: see `DriveFrame`.
        augment: how clips that have a seed are changed.
        seed: of the pool of rigs.

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
    ) -> None:
        if augment.mirror_share > 0:
            require_mirrorable(config)
        self._config, self._view_transform = config, view_transform
        self._cameras, self._min_pixels, self._augment = cameras, min_pixels, augment
        self._rigs = RigPool(config.input, augment.rig, seed)
        self._known: dict[tuple[bytes, ...], RigMatrices] = {}

    def clip(self, drive: Drive, frames: Sequence[int], seed: int | None = None) -> Clip:
        """Returns frames of a drive, in order, as a clip (batch 1); label frames have targets.

        Args:
            drive: open drive file.
            frames: rising.
            seed: of the changes; None: none, images and matrices are those of the vehicle.

        Raises:
            DatasetError: the drive is damaged, or has no such frames; names file and reason.
        """
        change = self._change(drive, frames, seed)
        remaps = self._remaps(drive, None if seed is None else change.rig_rng)
        memory = create_memory_frames(self._config)
        shown = change.cameras.shown(drive.description.frame_stamps_ns, frames)
        seen, made = change.cameras.seen(), []
        for step, frame in enumerate(frames):
            present = change.cameras.present[step]
            images, mask = self._images(drive, frame, shown[step], present, remaps, change)
            motion = None
            if memory is not None:
                ego = turned_ego(drive.world_T_base[frame], change.turn_rad)
                motion = memory.step(drive.stamp_ns(frame), ego)
            targets = None
            if frame in drive.label_frames:
                labels = DriveFrame(
                    drive, frame, self._min_pixels, change.turn_rad, cameras=seen[step]
                )
                bins = self._depth_bins(drive, shown[step], present, remaps)
                targets = frame_targets(labels, self._config, bins)
            made.append(ClipFrame(images, mask, motion, targets))
        clip = Clip(tuple(made), self._matrices(remaps, change))
        return mirrored_clip(clip, clip.matrices) if change.mirror else clip

    def _change(self, drive: Drive, frames: Sequence[int], seed: int | None) -> ClipChange:
        stamps = [drive.stamp_ns(frame) for frame in frames]
        section = _AS_IT_IS if seed is None else self._augment
        return draw_change(section, stamps, len(drive.cameras), np.random.default_rng(seed or 0))

    def _remaps(self, drive: Drive, rng: np.random.Generator | None) -> list[ImageRemap]:
        found = self._rigs.remaps(drive.cameras, rng)
        for camera, remap in zip(drive.cameras, found, strict=True):
            if remap is None:
                raise DatasetError(
                    f"{drive.path}: camera '{camera.name}' cannot be brought to the model's "
                    'input: its calibration is wrong'
                )
        return [remap for remap in found if remap is not None]

    def _images(
        self,
        drive: Drive,
        frame: int,
        shown: NDArray[np.int64],
        present: NDArray[np.bool_],
        remaps: Remaps,
        change: ClipChange,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns images uint8 [1, N, 3, H, W] and the camera mask bool [1, N] of a frame."""
        section = self._config.input
        images = np.zeros((self._cameras, section.height, section.width, 3), np.uint8)
        mask = np.zeros(self._cameras, np.bool_)
        mask[: len(remaps)] = present
        for index in np.flatnonzero(present).tolist():
            images[index] = _image(drive, int(shown[index]), index, remaps[index])
        targets, valid = [r.target for r in remaps], [r.valid for r in remaps]
        real = images[: len(remaps)]
        real[...] = change.pixels(real, targets, valid, drive.stamp_ns(frame))
        images[~mask] = 0
        return torch.from_numpy(images).permute(0, 3, 1, 2)[None], torch.from_numpy(mask)[None]

    def _depth_bins(
        self,
        drive: Drive,
        shown: NDArray[np.int64],
        present: NDArray[np.bool_],
        remaps: Remaps,
    ) -> NDArray[np.int16] | None:
        """Returns int16 [N, h, w]; -1 where the image that is shown has no depth."""
        depth = self._config.depth
        if depth is None:
            return None
        scale = DepthBins(depth.min_m, depth.max_m, depth.bins)
        bins = np.full((self._cameras, *self._config.feature_size()), -1, np.int16)
        for index in np.flatnonzero(present).tolist():
            if int(shown[index]) in drive.label_frames:
                depth_m = remaps[index].depth(drive.depth_m(int(shown[index]), index))
                bins[index] = depth_bins_of(depth_m, scale, FEATURE_STRIDE)
        return bins

    def _matrices(self, remaps: Remaps, change: ClipChange) -> RigMatrices:
        """Returns the matrices of a rig; those of the last few that were not drawn are kept."""
        noise = self._augment.calibration
        if change.turn_rad or noise != CalibrationNoise():
            return self._built(remaps, change, noise)
        key = tuple(r.source.key() + r.target.key() for r in remaps) + (b'm',) * change.mirror
        if key not in self._known:
            if len(self._known) >= _RIGS:
                self._known.clear()
            self._known[key] = self._built(remaps, change, noise)
        return self._known[key]

    def _built(self, remaps: Remaps, change: ClipChange, noise: CalibrationNoise) -> RigMatrices:
        cameras: list[Camera | None] = [
            misplaced(turned_camera(r.target, change.turn_rad), noise, change.calibration_rng)
            for r in remaps
        ]
        valid: list[NDArray[np.bool_] | None] = [remap.valid for remap in remaps]
        if change.mirror:
            cameras = [None if camera is None else mirrored_camera(camera) for camera in cameras]
            valid = [None if part is None else part[:, ::-1] for part in valid]
        absent = [None] * (self._cameras - len(remaps))
        return self._view_transform.build([*cameras, *absent], [*valid, *absent])


def _image(drive: Drive, frame: int, index: int, remap: ImageRemap) -> NDArray[np.uint8]:
    """Returns uint8 [H, W, 3] RGB of a camera as the network sees it."""
    coded = np.frombuffer(drive.jpeg(frame, index), np.uint8)
    image = CameraImage(coded, 'jpeg', 0, 0, 0, compressed=True)
    camera = drive.cameras[index]
    try:
        return remap(decode(image, camera, remap.reduction))
    except ImageError as error:
        place = f"{drive.path}: frame {frame} of camera '{camera.name}'"
        raise DatasetError(f'{place}: {error}') from error
