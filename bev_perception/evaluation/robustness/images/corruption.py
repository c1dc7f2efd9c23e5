"""Corrupted images in frame sets: six corruptions in three strengths.

The kinds are those that occur on vehicles out of Hendrycks and Dietterich, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations" (ImageNet-C, ICLR 2019), and Xie et
al., "RoboBEV" (2023; three strengths, fog, low light, motion blur), and dirt on the lens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bev_perception.errors import ConfigError, ImageError
from bev_perception.evaluation.robustness.images.blur import motion_blur
from bev_perception.evaluation.robustness.images.compression import jpeg
from bev_perception.evaluation.robustness.images.fog import fog
from bev_perception.evaluation.robustness.images.sensor import low_light, noise
from bev_perception.evaluation.robustness.images.soiling import lens_dirt
from bev_perception.evaluation.robustness.images.view import Corruption, Image, View
from bev_perception.evaluation.robustness.perturbation import (
    STRENGTHS,
    camera_title,
    require_cameras,
    with_changed,
)
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.image import CameraImage, decode

CORRUPTIONS: dict[str, Corruption] = {
    'motion_blur': motion_blur,
    'noise': noise,
    'low_light': low_light,
    'lens_dirt': lens_dirt,
    'jpeg': jpeg,
    'fog': fog,
}


@dataclass(frozen=True)
class ImagesCorrupted:
    """Images of cameras are corrupted at their full resolution; calibrations stay true.

    An image that cannot be decoded stays as it is: the pipeline says why.

    Attributes:
        kind: one of `CORRUPTIONS`.
        strength: one of `STRENGTHS`.
        cameras: whose; empty for all.
    """

    kind: str
    strength: int
    cameras: tuple[str, ...] = ()
    group: str = 'images'

    def __post_init__(self) -> None:
        if self.kind not in CORRUPTIONS:
            raise ConfigError(
                f"corruption '{self.kind}' is unknown; choose from {', '.join(CORRUPTIONS)}"
            )
        if self.strength not in STRENGTHS:
            raise ConfigError(
                f'corruption: strength {self.strength} is unknown; choose from '
                f'{", ".join(map(str, STRENGTHS))}'
            )

    @property
    def name(self) -> str:
        """For tables."""
        title = f'{self.kind} {self.strength}'
        return f'{camera_title(self.cameras)} {title}' if self.cameras else title

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with corrupted images."""
        for frame in frames:
            require_cameras(self.cameras, frame, self.name)
            names = self.cameras or tuple(sample.name for sample in frame.samples)
            yield with_changed(frame, dict.fromkeys(names, self._corrupted))

    def _corrupted(self, sample: CameraSample) -> CameraSample:
        if sample.image is None or sample.camera is None or sample.stamp_ns is None:
            return sample
        try:
            rgb = decode(sample.image, sample.camera, 1)
        except ImageError:
            return sample
        view = View(sample.camera, sample.stamp_ns)
        return replace(sample, image=raw_image(CORRUPTIONS[self.kind](rgb, self.strength, view)))


def raw_image(rgb: Image) -> CameraImage:
    """Returns uint8 [H, W, 3] as an undecoded image of encoding rgb8."""
    height, width = rgb.shape[:2]
    return CameraImage(rgb.reshape(-1), 'rgb8', width, height, 3 * width, compressed=False)
