"""Peaks of maps and suppression of the weaker of two that are too close."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def disc_kernel(radius_cells: float) -> NDArray[np.uint8]:
    """Returns uint8 [D, D], D odd: 1 where a cell's centre lies within the radius."""
    reach = int(np.floor(radius_cells))
    offsets = np.arange(-reach, reach + 1)
    squared = offsets[:, None] ** 2 + offsets[None, :] ** 2
    return (squared <= radius_cells**2).astype(np.uint8)


def is_peak(values: NDArray, kernel: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns bool [..., Y, X]: cells that no cell under the kernel around them exceeds."""
    planes = values.reshape(-1, *values.shape[-2:])
    peaks = np.empty(planes.shape, dtype=bool)
    for plane, peak in zip(planes, peaks, strict=True):
        np.equal(cv2.dilate(plane, kernel), plane, out=peak)
    return peaks.reshape(values.shape)


def circle_suppression(
    points_m: NDArray[np.floating], radius_m: float, max_count: int
) -> NDArray[np.int64]:
    """Returns the indices of the points that stay, in the order given (best first).

    A point goes when a better one that stays is closer than the radius; at most `max_count`
    stay. (The "circle NMS" of CenterPoint, Yin et al. 2021, section 4.1.)

    Args:
        points_m: [n, 2], best first.
        radius_m: two points that stay are at least so far apart.
        max_count: at most so many stay.
    """
    index, x, y = np.arange(len(points_m)), points_m[:, 0], points_m[:, 1]
    kept: list[int] = []
    while index.size and len(kept) < max_count:
        kept.append(int(index[0]))
        far = (x - x[0]) ** 2 + (y - y[0]) ** 2 >= radius_m**2
        far[0] = False
        index, x, y = index[far], x[far], y[far]
    return np.array(kept, dtype=np.int64)
