"""The flat ground as a raster: which layers lie at which place of the world frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class GroundRaster:
    """Ground layers over a part of the world, parallel to the world's axes.

    Attributes:
        layers: uint8 [Y, X] of `GroundLayer` bits; cell (iy, ix) has its centre at
            (x_min_m + (ix + 0.5) resolution_m, y_min_m + (iy + 0.5) resolution_m).
        x_min_m: lower edge along x, world frame.
        y_min_m: lower edge along y.
        resolution_m: edge length of a cell.
    """

    layers: NDArray[np.uint8]
    x_min_m: float
    y_min_m: float
    resolution_m: float
