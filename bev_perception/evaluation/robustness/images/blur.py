"""Motion blur: the camera turned while the shutter was open."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import of_strength
from bev_perception.evaluation.robustness.seeds import generator

# Path of a point in the picture, as a share of its width. With 70 degrees of view: turning at
# 30 deg/s for 12 ms, at 45 deg/s for 19 ms, at 60 deg/s for 30 ms (a bend by night).
_LENGTH_SHARES = (0.005, 0.012, 0.025)
# Vehicles mostly turn about the vertical; pitch and bumps add the rest.
_DIRECTION_DEG = 8.0
_SAMPLES_PER_PX = 8


def motion_blur(rgb: Image, strength: int, view: View) -> Image:
    """Returns the mean of the image along a short straight path, mostly level."""
    length_px = of_strength(_LENGTH_SHARES, strength) * rgb.shape[1]
    rng = generator('motion_blur', view.camera.name, view.stamp_ns)
    degrees = _DIRECTION_DEG * float(np.clip(rng.standard_normal(), -3.0, 3.0))
    kernel = _line_kernel(length_px, math.radians(degrees))
    return np.asarray(cv2.filter2D(rgb, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def _line_kernel(length_px: float, angle_rad: float) -> NDArray[np.float32]:
    """Returns the line through the centre, spread over pixels bilinearly; the sum is 1."""
    steps = max(3, round(length_px * _SAMPLES_PER_PX))
    along = ((np.arange(steps) + 0.5) / steps - 0.5) * length_px
    x, y = along * math.cos(angle_rad), along * math.sin(angle_rad)
    half_x, half_y = (math.ceil(float(np.abs(axis).max())) for axis in (x, y))
    kernel = np.zeros((2 * half_y + 1, 2 * half_x + 1))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (1.0 - np.abs(x - left - dx)) * (1.0 - np.abs(y - top - dy))
        row, column = top + dy + half_y, left + dx + half_x
        inside = (row <= 2 * half_y) & (column <= 2 * half_x)
        np.add.at(kernel, (row[inside], column[inside]), weight[inside])
    return np.asarray(kernel / kernel.sum(), np.float32)
