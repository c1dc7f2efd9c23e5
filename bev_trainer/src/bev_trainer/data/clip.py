"""Short stretches of drives as batches: what the network takes, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bev_perception.model.memory import MemoryMotion
from bev_perception.model.view_transform import RigMatrices
from bev_trainer.targets.frame import FrameTargets


@dataclass(frozen=True)
class LostPart:
    """An image or a lidar scan that a clip goes without.

    Attributes:
        kind: 'image' or 'lidar scan'.
        sensor: recording and sensor, in which alike losses count together.
        place: file, and where in it.
        reason: why it cannot be used.
    """

    kind: str
    sensor: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f'{self.place}: {self.reason}'


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """One frame of B clips.

    Attributes:
        images: uint8 [B, N, 3, H, W], channels-last.
        camera_mask: bool [B, N].
        motion: since the frame before; None for a model without memory.
        targets: None where there are no labels; such frames only feed the memory.
    """

    images: Tensor
    camera_mask: Tensor
    motion: MemoryMotion | None
    targets: FrameTargets | None

    def to(self, device: torch.device | str) -> ClipFrame:
        """Returns the same frame on a device."""
        return ClipFrame(
            self.images.to(device),
            self.camera_mask.to(device),
            None if self.motion is None else self.motion.to(device),
            None if self.targets is None else self.targets.to(device),
        )


@dataclass(frozen=True, eq=False)
class Clip:
    """B clips of equal length, oldest frame first.

    Attributes:
        frames: S of them.
        matrices: of the view transform, for the rigs of the clips.
        lost: what they go without; its cameras are masked.
    """

    frames: tuple[ClipFrame, ...]
    matrices: RigMatrices
    lost: tuple[LostPart, ...] = ()

    def to(self, device: torch.device | str) -> Clip:
        """Returns the same clips on a device."""
        frames = tuple(frame.to(device) for frame in self.frames)
        return Clip(frames, self.matrices.to(device), self.lost)

    @classmethod
    def collate(cls, clips: Sequence[Clip]) -> Clip:
        """Returns several clips as one batch; all have as many frames and cameras.

        Raises:
            ValueError: they do not.
        """
        if len({len(clip.frames) for clip in clips}) != 1:
            raise ValueError('clips must have one number of frames')
        frames = tuple(
            _together(frames) for frames in zip(*(c.frames for c in clips), strict=True)
        )
        matrices = type(clips[0].matrices).collate([clip.matrices for clip in clips])
        return cls(frames, matrices, tuple(part for clip in clips for part in clip.lost))


def _together(frames: Sequence[ClipFrame]) -> ClipFrame:
    motions = [frame.motion for frame in frames if frame.motion is not None]
    targets = [frame.targets for frame in frames if frame.targets is not None]
    return ClipFrame(
        torch.cat([frame.images for frame in frames]),
        torch.cat([frame.camera_mask for frame in frames]),
        MemoryMotion.collate(motions) if motions else None,
        FrameTargets.collate(targets) if len(targets) == len(frames) else None,
    )
