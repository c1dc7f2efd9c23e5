"""Other light and other sensors: brightness, contrast, gamma, saturation and hue.

The changes of PyTorch's `ColorJitter` (after Howard, "Some Improvements on Deep Convolutional
Neural Network Based Image Classification", 2013), as one table and one matrix per camera: the
light of a clip changes for all cameras alike, each camera's own electronics for it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bev_perception.model.config_sections import Section

Images = NDArray[np.uint8]
Factor = Annotated[float, Field(ge=0, le=3)]

# YIQ (NTSC, FCC 1953) of RGB: turning and scaling I and Q keeps the luminance.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


class ColorRange(Section):
    """Largest changes, either way; without any nothing changes.

    Attributes:
        brightness: added, as a share of white.
        contrast: factor about middle grey, from 1 / (1 + contrast) to 1 + contrast.
        gamma: exponent, likewise.
        saturation: factor of the colours' distance from grey, likewise.
        hue_deg: turn of the colours about grey.
    """

    brightness: Annotated[float, Field(ge=0, le=1)] = 0.0
    contrast: Factor = 0.0
    gamma: Factor = 0.0
    saturation: Factor = 0.0
    hue_deg: Annotated[float, Field(ge=0, le=180)] = 0.0

    def draw(self, rng: np.random.Generator, count: int = 1) -> NDArray[np.float64]:
        """Returns [count, 5]: changes in the order above, factors as logarithms, hue in rad."""
        reach = [
            self.brightness,
            *np.log1p([self.contrast, self.gamma, self.saturation]),
            np.deg2rad(self.hue_deg),
        ]
        return rng.uniform(-1.0, 1.0, (count, 5)) * reach


class ColorAugmentation(Section):
    """Changes of a clip as a whole, and of each camera on top of them."""

    clip: ColorRange = ColorRange()
    camera: ColorRange = ColorRange()


@dataclass(frozen=True, eq=False)
class ColorChange:
    """How the colours of N cameras change; the same in all frames of a clip.

    Attributes:
        table: uint8 [N, 256], new value of each value.
        mixing: float32 [N, 3, 3], acts on RGB after the table.
    """

    table: NDArray[np.uint8]
    mixing: NDArray[np.float32]

    def __call__(self, images: Images) -> Images:
        """Returns uint8 [N, H, W, 3] RGB of the same shape; what does not change is not copied."""
        tables = (self.table != np.arange(256, dtype=np.uint8)).any(axis=-1)
        mixings = (self.mixing != np.eye(3, dtype=np.float32)).any(axis=(1, 2))
        if not (tables.any() or mixings.any()):
            return images
        changed = np.empty_like(images)
        for index, image in enumerate(images):
            if tables[index]:
                image = cv2.LUT(image, self.table[index])
            changed[index] = cv2.transform(image, self.mixing[index]) if mixings[index] else image
        return changed


def draw_colors(
    augmentation: ColorAugmentation, cameras: int, rng: np.random.Generator
) -> ColorChange:
    """Returns a change of the colours of `cameras` cameras at random."""
    clip_rng, camera_rng = rng.spawn(2)
    changes = augmentation.clip.draw(clip_rng) + augmentation.camera.draw(camera_rng, cameras)
    return ColorChange(
        table=np.stack([_table(*change[:3]) for change in changes.tolist()]),
        mixing=np.stack([_mixing(*change[3:]) for change in changes.tolist()]),
    )


def _table(brightness: float, log_contrast: float, log_gamma: float) -> NDArray[np.uint8]:
    value = np.linspace(0.0, 1.0, 256) ** np.exp(log_gamma)
    value = np.exp(log_contrast) * (value - 0.5) + 0.5 + brightness
    return np.rint(255.0 * np.clip(value, 0.0, 1.0)).astype(np.uint8)


def _mixing(log_saturation: float, hue_rad: float) -> NDArray[np.float32]:
    if log_saturation == 0.0 and hue_rad == 0.0:
        return np.eye(3, dtype=np.float32)
    turn = np.eye(3)
    cos, sin = np.cos(hue_rad), np.sin(hue_rad)
    turn[1:, 1:] = np.exp(log_saturation) * np.array([[cos, -sin], [sin, cos]])
    return np.asarray(np.linalg.solve(_YIQ, turn @ _YIQ), np.float32)
