"""Which cells of a grid the footprints of boxes touch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.grid import BevGrid

Window = tuple[slice, slice]

_EDGE_M = 1e-9  # rounding must not turn a common edge into an overlap


def footprint_cells(
    center_m: ArrayLike, size_m: ArrayLike, yaw_rad: ArrayLike, grid: BevGrid
) -> Iterator[tuple[int, Window, NDArray[np.bool_]]]:
    """Yields (row of the box, part of the grid, mask [y, x] of that part) of boxes on a grid.

    A cell is in the mask when its square and the footprint overlap; a common edge is no overlap.
    This is what drawing the outline and its inside comes to, as the labels of Philion and Fidler,
    "Lift, Splat, Shoot" (ECCV 2020), are made, without rounding corners to cells first.

    Two convex shapes overlap unless a line along an edge of one of them parts them: the edges of
    cells are parallel to the grid's axes, those of the footprint to the box's.

    Args:
        center_m: [n, 2 or more] x, y of the centres, in the frame of the grid.
        size_m: [n, 2 or more] length (along the heading), width.
        yaw_rad: [n] headings.
        grid: of the masks.
    """
    center = np.asarray(center_m, np.float64)[:, :2]
    yaw = np.asarray(yaw_rad, np.float64)
    half = 0.5 * grid.resolution_m
    cos, sin = np.cos(yaw), np.sin(yaw)
    half_box = 0.5 * np.asarray(size_m, np.float64)[:, :2]
    turned = np.abs(np.stack([cos, sin, sin, cos], axis=-1)).reshape(-1, 2, 2)
    # Half the extent of the footprint along the grid's axes, and of a cell along the box's.
    extent = (turned @ half_box[..., None])[..., 0] - _EDGE_M
    reach = half_box + half * (np.abs(cos) + np.abs(sin))[:, None] - _EDGE_M
    origin, size = np.array([grid.x_min_m, grid.y_min_m]), (grid.size_x, grid.size_y)
    relative = center - origin
    first = np.clip(np.floor((relative - extent) / grid.resolution_m), 0, size).astype(int)
    last = np.clip(np.ceil((relative + extent) / grid.resolution_m), 0, size).astype(int)
    x, y = grid.axis_centers()
    for row in np.flatnonzero((last > first).all(axis=1)).tolist():
        window = slice(first[row, 1], last[row, 1]), slice(first[row, 0], last[row, 0])
        dx = x[window[1]] - center[row, 0]
        dy = (y[window[0]] - center[row, 1])[:, None]
        mask = np.abs(cos[row] * dx + sin[row] * dy) < reach[row, 0]
        mask &= np.abs(cos[row] * dy - sin[row] * dx) < reach[row, 1]
        yield row, window, mask
