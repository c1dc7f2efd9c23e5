"""Boxes of all road users of a drive over time, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """States of the n objects of a drive at its F frames' reference instants, world frame.

    Row i belongs to instance i + 1. Where `present` is false all other values are 0.

    Attributes:
        present: bool [n, F].
        x_m: float64 [n, F] box centre.
        y_m: float64 [n, F].
        yaw_rad: float64 [n, F].
        velocity_mps: float32 [n, F, 2].
        acceleration_mps2: float32 [n, F, 2].
        visible_pixels: uint32 [n, F, N] pixels of each in each camera's image.
        silhouette_pixels: float32 [n, F, N] pixels it would have if nothing hid it; 0 in frames in
            which no camera shows it.
    """

    present: NDArray[np.bool_]
    x_m: FloatArray
    y_m: FloatArray
    yaw_rad: FloatArray
    velocity_mps: NDArray[np.float32]
    acceleration_mps2: NDArray[np.float32]
    visible_pixels: NDArray[np.uint32]
    silhouette_pixels: NDArray[np.float32]

    def visibility(self) -> NDArray[np.float32]:
        """Returns float32 [n, F]: visible share over all cameras, 0..1; 0 outside all images."""
        seen = self.visible_pixels.sum(axis=-1, dtype=np.float32)
        whole = self.silhouette_pixels.sum(axis=-1)
        share = np.divide(seen, whole, out=np.zeros_like(whole), where=whole > 0)
        return np.minimum(share, 1.0)


def column_types(
    objects: int, frames: int, cameras: int
) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Returns type and shape of every column of a table."""
    state, vector, pixels = (objects, frames), (objects, frames, 2), (objects, frames, cameras)
    return {
        'present': (np.dtype(np.bool_), state),
        'x_m': (np.dtype(np.float64), state),
        'y_m': (np.dtype(np.float64), state),
        'yaw_rad': (np.dtype(np.float64), state),
        'velocity_mps': (np.dtype(np.float32), vector),
        'acceleration_mps2': (np.dtype(np.float32), vector),
        'visible_pixels': (np.dtype(np.uint32), pixels),
        'silhouette_pixels': (np.dtype(np.float32), pixels),
    }
