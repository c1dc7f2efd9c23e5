"""Fog: light is lost with distance, and the fog's own brightness takes its place.

Koschmieder's law as in Sakaridis et al., "Semantic Foggy Scene Understanding with Synthetic
Data" (IJCV 2018): I = J t + L (1 - t), t = exp(-beta d), beta = 2.996 / visibility. The
distance d comes from the calibration: that of the ground, or of what closes the view.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import of_strength
from bev_perception.geometry.camera import Camera

# Distance at which 5 % of the contrast is left; below 50 m drivers are told to slow to 50 km/h.
_VISIBILITY_M = (200.0, 100.0, 50.0)
# Vehicles, trees and houses close the view of a street; without depth all that stands is put at
# a middle distance.
_BACKGROUND_M = 40.0
_SHORTEST_HEIGHT_M = 0.5
_REDUCTION = 8
_BRIGHT_SHARE = 0.95
# Fog in front of a bright sky is darker than the sky.
_AIRLIGHT = 0.88


def fog(rgb: Image, strength: int, view: View) -> Image:
    """Returns the image in even fog, nearly as bright as the brightest parts of the image."""
    beta = 2.996 / of_strength(_VISIBILITY_M, strength)
    coarse = np.exp(-beta * background_distance_m(view.camera)).astype(np.float32)
    height, width = rgb.shape[:2]
    through = np.asarray(cv2.resize(coarse, (width, height)), np.float32)
    white = np.full_like(rgb, _airlight(rgb))
    return np.asarray(cv2.blendLinear(rgb, white, through, np.float32(1.0) - through), np.uint8)


def _airlight(rgb: Image) -> int:
    """Returns the grey value of dense fog, from the one that 95 % of the pixels stay below."""
    counts = np.bincount(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).ravel(), minlength=256)
    bright = np.searchsorted(np.cumsum(counts), _BRIGHT_SHARE * counts.sum())
    return round(_AIRLIGHT * float(bright))


@lru_cache(maxsize=64)
def background_distance_m(camera: Camera) -> NDArray[np.float64]:
    """Returns the way of light along each ray, metres, at an eighth of the resolution.

    The ground is the plane z = 0 of the base frame; the background is a cylinder around the
    camera.
    """
    rows, columns = (max(2, round(size / _REDUCTION)) for size in (camera.height, camera.width))
    u = (np.arange(columns) + 0.5) * camera.width / columns - 0.5
    v = (np.arange(rows) + 0.5) * camera.height / rows - 0.5
    rays = camera.rays(np.stack(np.meshgrid(u, v), axis=-1))
    rays = rays @ camera.base_T_camera[:3, :3].T
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    height_m = max(float(camera.base_T_camera[2, 3]), _SHORTEST_HEIGHT_M)
    with np.errstate(divide='ignore', invalid='ignore'):
        ground = np.where(rays[..., 2] < 0.0, -height_m / rays[..., 2], np.inf)
        background = _BACKGROUND_M / np.hypot(rays[..., 0], rays[..., 1])
    return np.nan_to_num(np.minimum(ground, background), nan=_BACKGROUND_M, posinf=1e4)
