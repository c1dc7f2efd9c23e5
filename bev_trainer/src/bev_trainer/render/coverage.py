"""How much of each cell of a raster polygons cover, exactly."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

FloatArray = NDArray[np.float64]


def polygon_coverage(
    polygons: MultiPolygon,
    x_min_m: float,
    y_min_m: float,
    resolution_m: float,
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Returns float32 [Y, X]: the share 0..1 of each cell's area inside the polygons.

    Edges are cut at the borders of cells; each piece adds the signed area to its right within its
    cell, and a running sum along rows fills the inside (as font rasterisers do).

    Args:
        polygons: valid, not overlapping each other.
        x_min_m: lower edge of the raster.
        y_min_m: likewise.
        resolution_m: edge length of a cell.
        shape: (Y, X) cells.
    """
    size_y, size_x = shape
    window = (x_min_m, y_min_m, x_min_m + size_x * resolution_m, y_min_m + size_y * resolution_m)
    start, end = _inward_edges(polygons, window)
    origin = np.array([x_min_m, y_min_m])
    start, end = (start - origin) / resolution_m, (end - origin) / resolution_m
    middle, rise = _pieces(start, end)
    cell = np.floor(middle).astype(np.int64)
    cell[:, 0] = np.clip(cell[:, 0], 0, size_x)
    cell[:, 1] = np.clip(cell[:, 1], 0, size_y - 1)
    beyond = np.clip(middle[:, 0] - cell[:, 0], 0.0, 1.0)
    flat = cell[:, 1] * (size_x + 2) + cell[:, 0]
    rows = np.zeros((size_y, size_x + 2), np.float32)
    np.add.at(rows.ravel(), flat, (-rise * (1.0 - beyond)).astype(np.float32))
    np.add.at(rows.ravel(), flat + 1, (-rise * beyond).astype(np.float32))
    filled = np.cumsum(rows, axis=1, out=rows)[:, :size_x]
    return np.clip(filled, 0.0, 1.0, out=filled)


def _inward_edges(
    polygons: MultiPolygon, window: tuple[float, float, float, float]
) -> tuple[FloatArray, FloatArray]:
    """Returns start and end [n, 2] of all edges, turned so that the inside lies to their left."""
    clipped = shapely.clip_by_rect(polygons, *window)
    parts = shapely.get_parts(clipped)
    rings, part = shapely.get_rings(parts[shapely.get_dimensions(parts) == 2], return_index=True)
    if len(rings) == 0:
        return np.zeros((0, 2)), np.zeros((0, 2))
    is_outline = np.concatenate([[True], part[1:] != part[:-1]])
    points, ring = shapely.get_coordinates(rings, return_index=True)
    inner = ring[1:] == ring[:-1]
    start, end, ring = points[:-1][inner], points[1:][inner], ring[:-1][inner]
    low = np.array(window[:2])
    cross = (start[:, 0] - low[0]) * (end[:, 1] - low[1])
    cross -= (end[:, 0] - low[0]) * (start[:, 1] - low[1])
    is_left_turning = np.bincount(ring, cross, len(rings)) > 0
    flip = (is_left_turning != is_outline)[ring][:, None]
    return np.where(flip, end, start), np.where(flip, start, end)


def _pieces(start: FloatArray, end: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns (middle [k, 2], rise in y [k]) of edges cut at whole numbers of x and y."""
    keep = start[:, 1] != end[:, 1]
    start, end = start[keep], end[keep]
    cuts = [_cuts(start, end, axis) for axis in (0, 1)]
    count = len(start)
    ends = (np.tile(np.arange(count), 2), np.repeat([0.0, 1.0], count))
    edge = np.concatenate([ends[0], cuts[0][0], cuts[1][0]])
    share = np.concatenate([ends[1], cuts[0][1], cuts[1][1]])
    order = np.lexsort([share, edge])
    edge, share = edge[order], share[order]
    same = edge[1:] == edge[:-1]
    edge, low, high = edge[:-1][same], share[:-1][same], share[1:][same]
    way = end - start
    middle = start[edge] + way[edge] * (0.5 * (low + high))[:, None]
    return middle, way[edge, 1] * (high - low)


def _cuts(start: FloatArray, end: FloatArray, axis: int) -> tuple[NDArray[np.int64], FloatArray]:
    """Returns (edge index, share of the way) of all crossings of whole numbers of one axis."""
    low = np.minimum(start[:, axis], end[:, axis])
    high = np.maximum(start[:, axis], end[:, axis])
    first = np.floor(low).astype(np.int64) + 1
    number = np.maximum(np.ceil(high).astype(np.int64) - first, 0)
    edge = np.repeat(np.arange(len(start)), number)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(number) - number, number)
    line = first[edge] + step
    way = end[edge, axis] - start[edge, axis]
    return edge, (line - start[edge, axis]) / way
