"""Anti-aliased text: OpenCV's stroke font drawn large, reduced, and blended in."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.palette import TEXT, Color

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAP_HEIGHT_AT_SCALE_1 = 21.0
_SUPERSAMPLING = 4


def text_size(text: str, height_px: float, bold: bool = False) -> tuple[int, int]:
    """Returns (width, height) in pixels of the block that `draw_text` fills."""
    height, width = _coverage(text, height_px, bold).shape
    return width, height


def draw_text(
    image: NDArray[np.uint8],
    text: str,
    at_px: tuple[float, float],
    height_px: float = 11.0,
    color: Color = TEXT,
    anchor: str = 'lt',
    bold: bool = False,
) -> tuple[int, int, int, int]:
    """Draws one line into `image` and returns its block (x0, y0, x1, y1), unclipped.

    Args:
        image: [H, W, 3] RGB, changed in place; text outside is clipped.
        text: non-ASCII characters are shown as '?', the font has none.
        at_px: (x, y) of the anchor.
        height_px: height of capital letters.
        color: of the strokes.
        anchor: 'l', 'c' or 'r' followed by 't', 'm' or 'b': which point of the block lies there.
        bold: heavier strokes.
    """
    coverage = _coverage(text, height_px, bold)
    height, width = coverage.shape
    x0 = round(at_px[0] - {'l': 0.0, 'c': 0.5, 'r': 1.0}[anchor[0]] * width)
    y0 = round(at_px[1] - {'t': 0.0, 'm': 0.5, 'b': 1.0}[anchor[1]] * height)
    blend(image, coverage, color, x0, y0)
    return x0, y0, x0 + width, y0 + height


def fit_text(text: str, height_px: float, width_px: float, bold: bool = False) -> str:
    """Returns `text`, shortened with '...' so that its block is at most `width_px` wide."""
    if text_size(text, height_px, bold)[0] <= width_px:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_size(text[:middle] + '...', height_px, bold)[0] <= width_px:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + '...' if low else ''


def fill_box(
    image: NDArray[np.uint8],
    box_px: tuple[int, int, int, int],
    color: Color,
    opacity: float = 1.0,
) -> None:
    """Blends a plain rectangle (x0, y0, x1, y1; x1 and y1 exclusive) into `image`."""
    x0, y0, x1, y1 = box_px
    coverage = np.full((max(y1 - y0, 0), max(x1 - x0, 0)), opacity, np.float32)
    blend(image, coverage, color, x0, y0)


def blend(
    image: NDArray[np.uint8], coverage: NDArray[np.float32], color: Color, x0: int, y0: int
) -> None:
    """Blends `color` into `image` by coverage [h, w] in 0..1, its corner at (x0, y0), clipped."""
    height, width = image.shape[:2]
    left, top = max(0, -x0), max(0, -y0)
    part = coverage[top : max(height - y0, 0), left : max(width - x0, 0)]
    if part.size == 0:
        return
    y, x = y0 + top, x0 + left
    target = image[y : y + part.shape[0], x : x + part.shape[1]]
    mixed = target + part[..., None] * (np.array(color, np.float32) - target)
    target[...] = np.rint(mixed).astype(np.uint8)


@lru_cache(maxsize=4096)
def _coverage(text: str, height_px: float, bold: bool) -> NDArray[np.float32]:
    """Returns float32 [h, w] in 0..1: how much of each pixel the strokes cover."""
    text = text.encode('ascii', 'replace').decode('ascii')
    scale = height_px * _SUPERSAMPLING / _CAP_HEIGHT_AT_SCALE_1
    thickness = max(1, round(height_px * _SUPERSAMPLING * (0.165 if bold else 0.115)))
    (width, height), descent = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = thickness // 2 + 1
    rows = _up_to_multiple(height + descent + pad, _SUPERSAMPLING)
    columns = _up_to_multiple(width + 2 * pad, _SUPERSAMPLING)
    large = np.zeros((rows, columns), np.uint8)
    cv2.putText(large, text, (pad, height + pad), _FONT, scale, 255, thickness, cv2.LINE_AA)
    size = columns // _SUPERSAMPLING, rows // _SUPERSAMPLING
    reduced = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    coverage = reduced.astype(np.float32) / np.float32(255.0)
    coverage.setflags(write=False)
    return coverage


def _up_to_multiple(value: int, step: int) -> int:
    return -(-value // step) * step
