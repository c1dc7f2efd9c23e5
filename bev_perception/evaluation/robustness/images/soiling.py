"""Dirt and water drops on the lens, which stay where they are for a whole scene.

Both lie far out of focus: dirt is a soft shade, a drop shows the scene behind it without detail
(Uricar et al., "SoilingNet: Soiling Detection on Automotive Surround-View Cameras", ITSC 2019,
tells opaque from transparent soiling; Porav et al., "I Can See Clearly Now: Image Restoration via
De-Raining", ICRA 2019, photographs drops).
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import of_strength
from bev_perception.evaluation.robustness.seeds import generator

Mask = NDArray[np.float32]

# Share of the picture, half dirt and half drops.
_COVERED = (0.1, 0.25, 0.5)
_DIRT_OPACITY = 0.9
# Of the mean brightness of the image: dirt is seen against the light.
_DIRT_SHADE = (0.42, 0.36, 0.29)
_DROP_RADIUS_SHARES = (0.008, 0.035)
_DROP_DETAIL_SHARE = 0.03
_MASK_REDUCTION = 4
_DIRT_CELLS = (6, 13, 29)
_EDGE_SHARE = 0.006
_MAX_DROPS = 4000


def lens_dirt(rgb: Image, strength: int, view: View) -> Image:
    """Returns the image behind dirt and drops; a stronger one holds all of a weaker one."""
    height, width = rgb.shape[:2]
    covered = of_strength(_COVERED, strength)
    dirt, drops = (
        np.asarray(cv2.resize(mask, (width, height)), np.float32)
        for mask in soiling_masks(view.camera.name, width, height, covered)
    )
    wet = cv2.blendLinear(_blurred(rgb), rgb, drops, 1.0 - drops)
    shade = np.empty_like(rgb)
    shade[...] = np.rint(float(rgb.mean()) * np.array(_DIRT_SHADE)).astype(np.uint8)
    opaque = np.float32(_DIRT_OPACITY) * dirt
    return np.asarray(cv2.blendLinear(shade, wet, opaque, 1.0 - opaque), np.uint8)


def _blurred(rgb: Image) -> Image:
    """Returns what a drop shows: the scene, with no detail smaller than a share of the width."""
    height, width = rgb.shape[:2]
    step = max(1.0, _DROP_DETAIL_SHARE * width)
    small = max(2, round(width / step)), max(2, round(height / step))
    coarse = cv2.GaussianBlur(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), (3, 3), 0)
    return np.asarray(cv2.resize(coarse, (width, height)), np.uint8)


@lru_cache(maxsize=64)
def soiling_masks(camera: str, width: int, height: int, covered: float) -> tuple[Mask, Mask]:
    """Returns opacity 0..1 of dirt and of drops at a quarter of the resolution."""
    rng = generator('lens_dirt', camera)
    size = max(8, width // _MASK_REDUCTION), max(8, height // _MASK_REDUCTION)
    return _dirt(rng, size, covered / 2), _drops(rng, size, covered / 2)


def _dirt(rng: np.random.Generator, size: tuple[int, int], covered: float) -> Mask:
    """Returns patches of many sizes: the highest parts of a smooth random landscape."""
    width, height = size
    relief = np.zeros((height, width), np.float32)
    for cells in _DIRT_CELLS:
        rows = max(2, math.ceil(cells * height / width))
        knots = rng.standard_normal((rows, cells)).astype(np.float32)
        hills = np.asarray(cv2.resize(knots, size, interpolation=cv2.INTER_CUBIC), np.float32)
        relief += hills / np.float32(math.sqrt(cells))
    return _softened(np.float32(relief > np.quantile(relief, 1.0 - covered)))


def _drops(rng: np.random.Generator, size: tuple[int, int], covered: float) -> Mask:
    """Returns discs in random places, one after the other until enough is covered."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    draws = rng.random((_MAX_DROPS, 3))
    low, high = (math.log(share * width) for share in _DROP_RADIUS_SHARES)
    for x, y, size_draw in draws.tolist():
        radius = round(math.exp(low + size_draw * (high - low)))
        cv2.circle(mask, (round(x * width), round(y * height)), max(1, radius), 1, cv2.FILLED)
        if float(mask.mean()) >= covered:
            break
    return _softened(mask.astype(np.float32))


def _softened(mask: Mask) -> Mask:
    deviation = max(0.5, _EDGE_SHARE * mask.shape[1])
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), deviation), np.float32)
    return np.clip(soft, 0.0, 1.0)
