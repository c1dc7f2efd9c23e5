"""What is done to colour after drawing: edges without steps, light that spreads around lamps.

Edges follow the idea of fast approximate anti-aliasing (Lottes, 2009) in a few passes over the
whole picture: where brightness jumps from row to row it is blurred along the row, and the other
way round.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]

_TAPS = 5  # along an edge
_LOWEST, _FULL = 24.0, 70.0  # of a quarter of Sobel's operator: smoothing begins, is complete
_EVEN = np.uint32(0x00FF00FF)  # bytes of a pixel
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
        cv2.blur(step, (_TAPS, _TAPS)).ravel().take(edges).astype(np.float32) for step in steps
    )
    share = np.minimum(
        (total.take(edges) - np.float32(_LOWEST)) * np.float32(256.0 / (_FULL - _LOWEST)), 256.0
    )
    lean = (across_y - across_x) / (across_x + across_y + 1.0)
    along_x, along_y = (
        (share * np.maximum((1.0 - _TOUCH) * way, _TOUCH)).astype(np.uint32)
        for way in (lean, -lean)
    )
    rgba = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
    pixels = rgba.view(np.uint32).ravel()
    parts = [(pixels.take(edges), 256 - along_x - along_y)]
    for size, weight in (((_TAPS, 1), along_x), ((1, _TAPS), along_y)):
        blurred = cv2.blur(rgba, size, borderType=cv2.BORDER_REPLICATE)
        parts.append((blurred.view(np.uint32).ravel().take(edges), weight))
    pixels[edges] = _mixed(parts)
    return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.uint8)


def _mixed(parts: Sequence[tuple[NDArray[np.uint32], NDArray[np.uint32]]]) -> NDArray[np.uint32]:
    """Returns pixels of four bytes each [n], mixed of (pixels, weights); weights add up to 256."""
    # Two bytes at a time: 256 times a byte, and half a step for rounding, fit into sixteen bits.
    even = odd = np.uint32(0x00800080)
    for pixels, weight in parts:
        even = even + (pixels & _EVEN) * weight
        odd = odd + (pixels >> np.uint32(8) & _EVEN) * weight
    return np.asarray((even >> np.uint32(8) & _EVEN) | (odd & ~_EVEN), np.uint32)


def with_glow(rgb: ByteArray, strength: float) -> ByteArray:
    """Returns a picture uint8 [H, W, 3] in which what is bright shines on its surroundings."""
    height, width = rgb.shape[:2]
    size = (max(round(width * _GLOW_ROWS / height), 1), min(_GLOW_ROWS, height))
    small = cv2.resize(cv2.LUT(rgb, _GLOWING), size, interpolation=cv2.INTER_AREA)
    near, far = (cv2.GaussianBlur(small, (0, 0), sigma) for sigma in (0.9, 3.5))
    glow = cv2.addWeighted(near, 1.3 * strength, far, 2.4 * strength, 0.0)
    return np.asarray(cv2.add(rgb, cv2.resize(glow, (width, height))), np.uint8)
