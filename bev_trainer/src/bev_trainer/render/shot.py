"""What one camera sees at one instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Shot:
    """One image with its exact ground truth; row 0 is the top row.

    Attributes:
        rgb: uint8 [H, W, 3].
        classes: uint8 [H, W] of `SemanticClass`.
        instances: uint16 [H, W], ids of the scenario's road users, 0 elsewhere.
        depth_m: float32 [H, W], what `Camera.rays` of the pixel must be multiplied by to reach
            the surface: depth along the optical axis for the pinhole family, distance for
            equidistant lenses; 0 where nothing is hit (sky, outside the lens).
    """

    rgb: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    depth_m: NDArray[np.float32]
