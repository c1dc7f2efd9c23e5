"""Clips out of synthetic drives, prepared exactly as on the vehicle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.frame import CameraSample
from bev_perception.geometry.model_input import ImageRemap
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_sections import FEATURE_STRIDE
from bev_perception.model.parts import create_memory_frames
from bev_perception.model.view_transform import DepthBins, RigMatrices, ViewTransform
from bev_perception.runtime.preprocess import ImagePreprocessor, PreparedImages
from bev_trainer.data.clip import Clip, ClipFrame
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.dataset.reader import Drive
from bev_trainer.targets.frame import FrameTargets, frame_targets
from bev_trainer.targets.images import depth_bins_of

_RIGS = 16


class DriveClips:
    """Makes clips for one model.

    Args:
        config: of the model.
        view_transform: of the model; only its `build` is used.
        cameras: that every clip has; rigs of fewer are filled up with absent ones.
        min_pixels: see `DriveFrame`.
    """

    def __init__(
        self,
        config: ModelConfig,
        view_transform: ViewTransform,
        cameras: int,
        min_pixels: int = 10,
    ) -> None:
        self._config, self._view_transform = config, view_transform
        self._cameras, self._min_pixels = cameras, min_pixels
        self._preprocessor = ImagePreprocessor(config.input, workers=1)
        self._known: dict[tuple[bytes | None, ...], RigMatrices] = {}

    def clip(self, drive: Drive, frames: Sequence[int]) -> Clip:
        """Returns frames of a drive, in order, as a clip (batch 1); label frames have targets.

        Raises:
            DatasetError: the drive is damaged, or has no such frames.
        """
        memory = create_memory_frames(self._config)
        made, remaps = [], None
        labelled = set(drive.description.label_frames)
        for frame in frames:
            prepared = self._prepared(drive, frame)
            remaps = remaps or prepared.remaps
            motion = None
            if memory is not None:
                motion = memory.step(drive.stamp_ns(frame), drive.world_T_base[frame])
            targets = self._targets(drive, frame, prepared) if frame in labelled else None
            images = torch.from_numpy(self._filled(prepared.images)).permute(0, 3, 1, 2)
            mask = torch.from_numpy(self._filled(prepared.used))
            made.append(ClipFrame(images[None], mask[None], motion, targets))
        return Clip(tuple(made), self._matrices(remaps or ()))

    def _prepared(self, drive: Drive, frame: int) -> PreparedImages:
        samples = [
            CameraSample(
                name=camera.name,
                state=CameraState.USED,
                stamp_ns=drive.camera_stamp_ns(frame, index),
                image=_jpeg(drive.jpeg(frame, index)),
                camera=camera,
            )
            for index, camera in enumerate(drive.cameras)
        ]
        return self._preprocessor.prepare(samples, drive.stamp_ns(frame))

    def _matrices(self, remaps: Sequence[ImageRemap | None]) -> RigMatrices:
        """Returns the matrices of a rig; those of the last few are kept."""
        key = tuple(
            None if remap is None else remap.source.key() + remap.target.key() for remap in remaps
        )
        if key not in self._known:
            if len(self._known) >= _RIGS:
                self._known.clear()
            self._known[key] = self._built(remaps)
        return self._known[key]

    def _built(self, remaps: Sequence[ImageRemap | None]) -> RigMatrices:
        absent = [None] * (self._cameras - len(remaps))
        return self._view_transform.build(
            [*(None if r is None else r.target for r in remaps), *absent],
            [*(None if r is None else r.valid for r in remaps), *absent],
        )

    def _targets(self, drive: Drive, frame: int, prepared: PreparedImages) -> FrameTargets:
        labels = DriveFrame(drive, frame, self._min_pixels)
        depth = self._config.depth
        bins = None
        if depth is not None:
            scale = DepthBins(depth.min_m, depth.max_m, depth.bins)
            height, width = self._config.feature_size()
            bins = np.full((self._cameras, height, width), -1, np.int16)
            for index, remap in enumerate(prepared.remaps):
                if remap is not None and prepared.used[index]:
                    depth_m = remap.depth(labels.depth_m(index))
                    bins[index] = depth_bins_of(depth_m, scale, FEATURE_STRIDE)
        return frame_targets(labels, self._config, bins)

    def _filled(self, values: NDArray) -> NDArray:
        """Returns the values of present cameras, zero for absent ones."""
        padding = [(0, self._cameras - len(values)), *[(0, 0)] * (values.ndim - 1)]
        return np.pad(values, padding)


def _jpeg(content: bytes) -> CameraImage:
    return CameraImage(np.frombuffer(content, np.uint8), 'jpeg', 0, 0, 0, compressed=True)
