"""What a corruption is given and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera

# uint8 [H, W, 3] RGB
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """Where and when an image was taken.

    Attributes:
        camera: its true calibration.
        stamp_ns: of the image.
    """

    camera: Camera
    stamp_ns: int


class Corruption(Protocol):
    """A function of the image, a strength (1, 2, 3) and nothing else but the view."""

    def __call__(self, rgb: Image, strength: int, view: View) -> Image:
        """Returns a new image of the same size."""
