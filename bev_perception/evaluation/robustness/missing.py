"""Cameras that send nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bev_perception.evaluation.robustness.perturbation import (
    camera_title,
    require_cameras,
    with_changed,
)
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.state import CameraState


@dataclass(frozen=True)
class CamerasMissing:
    """Cameras that never send an image (MetaBEV's missing sensors, RoboBEV's camera crash).

    Their samples are those that `FrameAssembler` makes of a camera that has never sent: no
    stamp, no image and no calibration. The stamp of the set stays that of the recording. A set
    without any image stays as well: live, nothing would be published there, and leaving it out
    would leave out the very frames that are lost.

    Attributes:
        cameras: those that are missing.
        group: 'missing', 'pairs' or 'alone'.
        label: name for tables; made from the cameras when empty.
    """

    cameras: tuple[str, ...]
    group: str = 'missing'
    label: str = ''

    @property
    def name(self) -> str:
        """For tables."""
        return self.label or f'{camera_title(self.cameras)} missing'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets without the cameras."""
        for frame in frames:
            require_cameras(self.cameras, frame, self.name)
            yield with_changed(frame, dict.fromkeys(self.cameras, never_sent))


def never_sent(sample: CameraSample) -> CameraSample:
    """Returns the sample had nothing of the camera arrived yet (see `CameraTrack.absence`)."""
    return CameraSample(sample.name, CameraState.MISSING, 'no image yet')
