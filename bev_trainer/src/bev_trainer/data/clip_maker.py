"""Clips out of recordings: prepared as on the vehicle, or changed at random on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ImageError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.model_input import ImageRemap
from bev_perception.geometry.pose import Matrix
from bev_perception.inputs.image import CameraImage, decode
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_sections import FEATURE_STRIDE
from bev_perception.model.memory import MemoryMotion
from bev_perception.model.parts import create_memory_frames
from bev_perception.model.view_transform import DepthBins, RigMatrices, ViewTransform
from bev_trainer.augment.mirror import mirrored_camera, mirrored_clip, require_mirrorable
from bev_trainer.augment.plan import AugmentSection, ClipChange, draw_change
from bev_trainer.augment.rig import CalibrationNoise, RigPool, misplaced
from bev_trainer.augment.turn import turned_camera, turned_ego
from bev_trainer.data.clip import Clip, ClipFrame
from bev_trainer.targets.frame import FrameTargets, frame_targets
from bev_trainer.targets.images import depth_bins_of
from bev_trainer.targets.labels import FrameLabels
from bev_trainer.targets.views import view_targets

_RIGS = 16
_AS_IT_IS = AugmentSection()

Remaps = Sequence[ImageRemap | None]


class Recording(Protocol):
    """What clips are made of: frames of a rig of N cameras, by number.

    All methods raise `BevError` when a clip with this frame has to be refused.
    """

    @property
    def cameras(self) -> Sequence[Camera | None]:
        """The real cameras; None for one that cannot be used."""

    @property
    def stamps_ns(self) -> Sequence[int]:
        """Reference instants of all frames, rising."""

    def ego_pose(self, frame: int) -> Matrix | None:
        """Returns the pose [4, 4] of the base in a continuous frame; None if unknown."""

    def image(self, frame: int, camera: int) -> CameraImage | None:
        """Returns an image, not decoded; None if there is none."""

    def depth_m(self, frame: int, camera: int, remap: ImageRemap) -> NDArray[np.float32] | None:
        """Returns [h, w] depth of the pixels of `remap.target`, 0 where unknown; None: of all.

        It is what `Camera.rays` of a pixel must be multiplied by to reach the surface.
        """

    def labels(
        self, frame: int, turn_rad: float, cameras: NDArray[np.bool_]
    ) -> FrameLabels | None:
        """Returns what is known about a frame; None if it has no labels.

        Args:
            frame: which.
            turn_rad: of the base frame, see `bev_trainer.augment.turn`.
            cameras: bool [N], which of them have shown something by then.
        """

    def unusable(self, camera: int, frame: int | None, reason: str) -> None:
        """Takes note of an image, or with None a whole camera, that cannot be used.

        Raises:
            BevError: no clip is to be made without it.
        """


class ClipMaker:
    """Makes clips for one model.

    Args:
        config: of the model.
        view_transform: of the model; only its `build` is used.
        cameras: that every clip has; rigs of fewer are filled up with absent ones.
        augment: how clips that have a seed are changed.
        seed: of the pool of rigs.
        views: whether there are targets in the images, see `view_targets`.

    Raises:
        ConfigError: clips are to be mirrored, and a grid of the model is not symmetric.
    """

    def __init__(
        self,
        config: ModelConfig,
        view_transform: ViewTransform,
        cameras: int,
        augment: AugmentSection = _AS_IT_IS,
        seed: int = 0,
        views: bool = False,
    ) -> None:
        if augment.mirror_share > 0:
            require_mirrorable(config)
        self._config, self._view_transform = config, view_transform
        self._cameras, self._augment, self._views = cameras, augment, views
        self._rigs = RigPool(config.input, augment.rig, seed)
        self._known: dict[tuple[bytes, ...], RigMatrices] = {}

    def clip(self, recording: Recording, frames: Sequence[int], seed: int | None = None) -> Clip:
        """Returns frames of a recording, in order, as a clip (batch 1).

        Cameras without an image that can be used are masked, those of the rig and those that
        fill it up alike.

        Args:
            recording: open.
            frames: rising; those with labels get targets.
            seed: of the changes; None: none, images and matrices are those of the vehicle.

        Raises:
            BevError: see `Recording`.
        """
        section = _AS_IT_IS if seed is None else self._augment
        stamps_ns = [recording.stamps_ns[frame] for frame in frames]
        rng = np.random.default_rng(seed or 0)
        change = draw_change(section, stamps_ns, len(recording.cameras), rng)
        remaps = self._remaps(recording, None if seed is None else change.rig_rng)
        shown = change.cameras.shown(recording.stamps_ns, frames)
        images, used = self._pictures(recording, stamps_ns, shown, remaps, change)
        seen = np.logical_or.accumulate(used, axis=0)
        motions = self._motions(recording, frames, change.turn_rad)
        made = []
        for step, frame in enumerate(frames):
            targets = None
            labels = recording.labels(frame, change.turn_rad, seen[step])
            if labels is not None:
                targets = self._targets(labels, recording, shown[step], used[step], remaps)
                targets = self._with_views(targets, labels, used[step], remaps, change.turn_rad)
            mask = np.pad(used[step], (0, self._cameras - len(remaps)))
            made.append(
                ClipFrame(
                    torch.from_numpy(images[step]).permute(0, 3, 1, 2)[None],
                    torch.from_numpy(mask)[None],
                    motions[step],
                    targets,
                )
            )
        clip = Clip(tuple(made), self._matrices(remaps, change, section.calibration))
        return mirrored_clip(clip, clip.matrices) if change.mirror else clip

    def _remaps(self, recording: Recording, rng: np.random.Generator | None) -> Remaps:
        cameras = recording.cameras
        there = [camera for camera in cameras if camera is not None]
        found = iter(self._rigs.remaps(there, rng))
        remaps = [None if camera is None else next(found) for camera in cameras]
        for index, (camera, remap) in enumerate(zip(cameras, remaps, strict=True)):
            if camera is not None and remap is None:
                reason = "cannot be brought to the model's input: its calibration is wrong"
                recording.unusable(index, None, reason)
        return remaps

    def _pictures(
        self,
        recording: Recording,
        stamps_ns: Sequence[int],
        shown: NDArray[np.int64],
        remaps: Remaps,
        change: ClipChange,
    ) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
        """Returns S images uint8 [cameras, H, W, 3] and bool [S, N] which of the rig are there."""
        section = self._config.input
        used = change.cameras.present & np.array([remap is not None for remap in remaps], bool)
        targets = [None if remap is None else remap.target for remap in remaps]
        valid = [None if remap is None else remap.valid for remap in remaps]
        made = []
        for step, stamp_ns in enumerate(stamps_ns):
            images = np.zeros((self._cameras, section.height, section.width, 3), np.uint8)
            for index in np.flatnonzero(used[step]).tolist():
                image = _image(recording, int(shown[step, index]), index, remaps[index])
                used[step, index] = image is not None
                if image is not None:
                    images[index] = image
            real = images[: len(remaps)]
            real[...] = change.pixels(real, targets, valid, stamp_ns)
            real[~used[step]] = 0
            made.append(images)
        return made, used

    def _motions(
        self, recording: Recording, frames: Sequence[int], turn_rad: float
    ) -> list[MemoryMotion | None]:
        memory = create_memory_frames(self._config)
        if memory is None:
            return [None] * len(frames)
        motions: list[MemoryMotion | None] = []
        for frame in frames:
            pose = recording.ego_pose(frame)
            turned = None if pose is None else turned_ego(pose, turn_rad)
            motions.append(memory.step(recording.stamps_ns[frame], turned))
        return motions

    def _targets(
        self,
        labels: FrameLabels,
        recording: Recording,
        shown: NDArray[np.int64],
        used: NDArray[np.bool_],
        remaps: Remaps,
    ) -> FrameTargets:
        bins = self._depth_bins(recording, shown, used, remaps)
        return frame_targets(labels, self._config, bins)

    def _with_views(
        self,
        targets: FrameTargets,
        labels: FrameLabels,
        used: NDArray[np.bool_],
        remaps: Remaps,
        turn_rad: float,
    ) -> FrameTargets:
        """Returns the targets with those in the images, if they are asked for."""
        section = self._config.heads.objects
        if not self._views or section is None:
            return targets
        cameras: list[Camera | None] = [None] * self._cameras
        for index, remap in enumerate(remaps):
            if remap is not None and used[index]:
                cameras[index] = turned_camera(remap.target, turn_rad)
        size = self._config.feature_size()
        found = view_targets(
            labels.objects((0.0,)), cameras, section.classes, size, FEATURE_STRIDE
        )
        heatmap, boxes = (torch.from_numpy(array)[None] for array in found)
        return replace(targets, view_heatmap=heatmap, view_boxes=boxes)

    def _depth_bins(
        self,
        recording: Recording,
        shown: NDArray[np.int64],
        used: NDArray[np.bool_],
        remaps: Remaps,
    ) -> NDArray[np.int16] | None:
        """Returns int16 [cameras, h, w]; -1 where the image that is shown has no depth.

        None for a model without depth: frames with and without known depth batch together.
        """
        depth = self._config.depth
        if depth is None:
            return None
        scale = DepthBins(depth.min_m, depth.max_m, depth.bins)
        bins = np.full((self._cameras, *self._config.feature_size()), -1, np.int16)
        for index in np.flatnonzero(used).tolist():
            remap = remaps[index]
            assert remap is not None
            depth_m = recording.depth_m(int(shown[index]), index, remap)
            if depth_m is not None:
                bins[index] = depth_bins_of(depth_m, scale, FEATURE_STRIDE)
        return bins

    def _matrices(
        self, remaps: Remaps, change: ClipChange, noise: CalibrationNoise
    ) -> RigMatrices:
        """Returns the matrices of a rig; those of the last few that were not drawn are kept."""
        if change.turn_rad or noise != CalibrationNoise():
            return self._built(remaps, change, noise)
        key = tuple(b'-' if r is None else r.source.key() + r.target.key() for r in remaps)
        key += (b'm',) * change.mirror
        if key not in self._known:
            if len(self._known) >= _RIGS:
                self._known.clear()
            self._known[key] = self._built(remaps, change, noise)
        return self._known[key]

    def _built(self, remaps: Remaps, change: ClipChange, noise: CalibrationNoise) -> RigMatrices:
        cameras: list[Camera | None] = []
        valid: list[NDArray[np.bool_] | None] = []
        for remap in remaps:
            if remap is None:
                cameras.append(None)
                valid.append(None)
                continue
            turned = turned_camera(remap.target, change.turn_rad)
            camera = misplaced(turned, noise, change.calibration_rng)
            cameras.append(mirrored_camera(camera) if change.mirror else camera)
            valid.append(remap.valid[:, ::-1] if change.mirror else remap.valid)
        absent = [None] * (self._cameras - len(remaps))
        return self._view_transform.build([*cameras, *absent], [*valid, *absent])


def _image(
    recording: Recording, frame: int, index: int, remap: ImageRemap | None
) -> NDArray[np.uint8] | None:
    """Returns uint8 [H, W, 3] RGB of a camera as the network sees it; None if it cannot be had."""
    image = recording.image(frame, index)
    if image is None or remap is None:
        return None
    try:
        return remap(decode(image, remap.source, remap.reduction))
    except ImageError as error:
        recording.unusable(index, frame, str(error))
        return None
