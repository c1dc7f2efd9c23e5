"""The bump around an object's centre in a ground-truth heatmap."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def gaussian_radius(length_cells: float, width_cells: float, min_overlap: float) -> float:
    """Returns how far (cells) two opposite corners may move with IoU at least `min_overlap`.

    The definition of CornerNet (Law and Deng 2018, section 3.2), which CenterNet and CenterPoint
    adopt. Of the three ways to move both corners by r (inwards, outwards, the same way along the
    diagonal) moving inwards always loses most overlap, so its equation alone decides:
    (l - 2r)(w - 2r) = min_overlap * l * w. (The well-known programs divide the roots of the three
    equations by 2 instead of 2a, and so arrive at other numbers.)
    """
    total, area = length_cells + width_cells, length_cells * width_cells
    return (total - math.sqrt(total**2 - 4.0 * area * (1.0 - min_overlap))) / 4.0


def gaussian_patch(radius_cells: int) -> NDArray[np.float32]:
    """Returns float32 [2r + 1, 2r + 1] with 1 at the centre and sigma = (2r + 1) / 6."""
    offsets = np.arange(-radius_cells, radius_cells + 1)
    sigma = (2 * radius_cells + 1) / 6.0
    profile = np.exp(-(offsets**2) / (2.0 * sigma**2))
    return np.outer(profile, profile).astype(np.float32)


def draw_maximum(plane: NDArray[np.float32], patch: NDArray[np.float32], iy: int, ix: int) -> None:
    """Raises `plane` [Y, X] to the patch centred on cell (iy, ix), in place, cut at the border."""
    radius = patch.shape[0] // 2
    y0, y1 = max(iy - radius, 0), min(iy + radius + 1, plane.shape[0])
    x0, x1 = max(ix - radius, 0), min(ix + radius + 1, plane.shape[1])
    view = plane[y0:y1, x0:x1]
    top, left = iy - radius, ix - radius
    np.maximum(view, patch[y0 - top : y1 - top, x0 - left : x1 - left], out=view)
