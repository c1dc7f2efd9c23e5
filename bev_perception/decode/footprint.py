"""The cells of the grid that a box covers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid

# Cell centres exactly on a box's edge count as covered whichever way the sums round.
_EDGE_M = 1e-9


def footprint_cells(
    grid: BevGrid,
    center_m: Sequence[float] | NDArray[np.floating],
    length_m: float,
    width_m: float,
    yaw_rad: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns (iy [n], ix [n]) of the cells whose centres lie in a rotated rectangle.

    A rectangle too small to hold any cell centre covers the cell of its own centre, so that no
    object inside the grid is lost. n is 0 when it lies outside the grid.

    Args:
        grid: in the frame of the rectangle.
        center_m: x, y of the rectangle's centre (further numbers are not looked at).
        length_m: side along the heading.
        width_m: side across.
        yaw_rad: heading.
    """
    x, y = float(center_m[0]), float(center_m[1])
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    half_x = (abs(length_m * cos) + abs(width_m * sin)) / 2.0
    half_y = (abs(length_m * sin) + abs(width_m * cos)) / 2.0
    y0, y1 = _cell_range(y - half_y, y + half_y, grid.y_min_m, grid.resolution_m, grid.size_y)
    x0, x1 = _cell_range(x - half_x, x + half_x, grid.x_min_m, grid.resolution_m, grid.size_x)
    dx = grid.x_min_m + (np.arange(x0, x1) + 0.5) * grid.resolution_m - x
    dy = (grid.y_min_m + (np.arange(y0, y1) + 0.5) * grid.resolution_m - y)[:, None]
    along, across = cos * dx + sin * dy, cos * dy - sin * dx
    covered = (np.abs(along) <= length_m / 2.0 + _EDGE_M) & (
        np.abs(across) <= width_m / 2.0 + _EDGE_M
    )
    iy, ix = np.nonzero(covered)
    if iy.size:
        return iy + y0, ix + x0
    row, column, inside = grid.to_cell([x], [y])
    return row[inside], column[inside]


def _cell_range(
    low_m: float, high_m: float, origin_m: float, resolution_m: float, size: int
) -> tuple[int, int]:
    """Returns [first, last) indices of cells along one axis that may lie in [low, high]."""
    first = math.floor((low_m - origin_m) / resolution_m) - 1
    last = math.ceil((high_m - origin_m) / resolution_m) + 1
    return min(max(first, 0), size), min(max(last, 0), size)
