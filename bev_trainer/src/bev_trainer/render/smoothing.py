"""What is done to colour after drawing: edges without steps, light that spreads around lamps.

Edges follow the idea of fast approximate anti-aliasing (Lottes, 2009) in a few passes over the
whole picture: where brightness jumps from row to row it is blurred along the row, and the other
way round.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]

_TAPS = 5  # along an edge
_LOWEST, _FULL = 24.0, 70.0  # of a quarter of Sobel's operator: smoothing begins, is complete
_TOUCH = 0.06  # of blur where an edge runs slantwise
_GLOW_FROM = 212  # brightness that spreads
_GLOW_ROWS = 32  # of the small picture in which it does
_ABOVE = np.clip((np.arange(256) - _GLOW_FROM) / (255 - _GLOW_FROM), 0.0, 1.0)
_GLOWING = np.rint(255 * _ABOVE**1.5).astype(np.uint8)


def smoothed(rgb: ByteArray) -> ByteArray:
    """Returns a picture uint8 [H, W, 3] with smooth edges; flat parts stay as they are."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    steps = [
        cv2.convertScaleAbs(cv2.Sobel(grey, cv2.CV_16S, *axes), alpha=0.25)
        for axes in ((1, 0), (0, 1))
    ]
    total = cv2.add(steps[0], steps[1]).ravel()
    edges = np.flatnonzero(total > _LOWEST)
    # Which way an edge runs shows around a step, not at it. Where neither way prevails, steps are
    # a pixel long and need no more than a touch.
    across_x, across_y = (
        cv2.blur(step, (_TAPS, _TAPS)).ravel()[edges].astype(np.float32) for step in steps
    )
    share = np.minimum((total[edges] - _LOWEST) * (1.0 / (_FULL - _LOWEST)), 1.0)
    lean = (across_y - across_x) / (across_x + across_y + 1.0)
    weights = [
        (256 * share * np.maximum((1.0 - _TOUCH) * way, _TOUCH)).astype(np.uint16)
        for way in (lean, -lean)
    ]
    # Sixteen bits hold 256 times a byte; the weights of all three parts add up to 256.
    mixed = _taken(rgb, edges) * (256 - weights[0] - weights[1])[:, None] + np.uint16(128)
    for size, weight in zip(((_TAPS, 1), (1, _TAPS)), weights, strict=True):
        blurred = np.asarray(cv2.blur(rgb, size, borderType=cv2.BORDER_REPLICATE), np.uint8)
        mixed += _taken(blurred, edges) * weight[:, None]
    result = rgb.copy()
    result.reshape(-1, 3)[edges] = mixed >> 8
    return result


def _taken(image: ByteArray, index: NDArray[np.int64]) -> NDArray[np.uint16]:
    return image.reshape(-1, 3).take(index, axis=0).astype(np.uint16)


def with_glow(rgb: ByteArray, strength: float) -> ByteArray:
    """Returns a picture uint8 [H, W, 3] in which what is bright shines on its surroundings."""
    height, width = rgb.shape[:2]
    size = (max(round(width * _GLOW_ROWS / height), 1), min(_GLOW_ROWS, height))
    small = cv2.resize(cv2.LUT(rgb, _GLOWING), size, interpolation=cv2.INTER_AREA)
    near, far = (cv2.GaussianBlur(small, (0, 0), sigma) for sigma in (0.9, 3.5))
    glow = cv2.addWeighted(near, 1.3 * strength, far, 2.4 * strength, 0.0)
    return np.asarray(cv2.add(rgb, cv2.resize(glow, (width, height))), np.uint8)
