"""Instances from votes: every cell points at the centre of the instance it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.grouping import compact, group_count
from bev_perception.decode.suppression import disc_kernel, is_peak
from bev_perception.geometry.grid import BevGrid

# An instance cut by the grid's border may have its centre so far outside.
_MARGIN_M = 10.0
# Against the vote radius: two centres a radius apart still give two peaks.
_SMOOTHING_SHARE = 1.0 / 3.0


@dataclass(frozen=True)
class VoteRadii:
    """How votes become instances.

    Attributes:
        min_votes: an instance of fewer cells is none.
        merge_m: peaks of the vote density this close are one centre.
        assign_m: a vote farther than this from every centre belongs to no instance.
    """

    min_votes: int
    merge_m: float
    assign_m: float


def nearest_center(
    points_m: NDArray[np.floating], centers_m: NDArray[np.floating], grid: BevGrid
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns (index [n] of the nearest centre, distance [n] in metres to it).

    Nearness is decided on a raster of the grid's resolution that reaches beyond its border (one
    Voronoi diagram by distance transform, whatever the number of points), so a point about
    midway between two centres may get either; the distance is exact.

    Args:
        points_m: [n, 2].
        centers_m: [m, 2], at least one.
        grid: gives resolution and extent of the raster.
    """
    raster = _with_margin(grid)
    center_y, center_x = _clipped_cells(raster, centers_m)
    point_y, point_x = _clipped_cells(raster, points_m)
    free = np.ones(raster.shape, dtype=np.uint8)
    free[center_y, center_x] = 0
    _, region = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    center_of_region = np.zeros(len(centers_m) + 1, dtype=np.int64)
    center_of_region[region[center_y, center_x]] = np.arange(len(centers_m))
    index = center_of_region[region[point_y, point_x]]
    dx = points_m[:, 0] - centers_m[index, 0]
    dy = points_m[:, 1] - centers_m[index, 1]
    return index, np.hypot(dx, dy)


def cluster_votes(
    votes_m: NDArray[np.floating], grid: BevGrid, radii: VoteRadii
) -> NDArray[np.int64]:
    """Returns the instance label [n] of each vote: 1, 2, ... without gaps, 0 = none.

    The votes are counted on a raster and smoothed; peaks of that density with enough votes near
    them are the centres, and each vote goes to the nearest. Labels follow the raster order of
    the centres. (Centres by suppression of non-maxima and grouping by nearest centre as in
    Panoptic-DeepLab, Cheng et al. 2020, section 3.2, on votes instead of a centre heatmap.)

    Args:
        votes_m: [n, 2], x, y in metres.
        grid: gives resolution and extent of the raster.
        radii: what counts as one instance.
    """
    centers = _density_peaks(votes_m, grid, radii.merge_m)
    if not len(centers):
        return np.zeros(len(votes_m), dtype=np.int64)
    labels = _assign(votes_m, centers, grid, radii.assign_m)
    enough = group_count(labels, len(centers) + 1)[1:] >= radii.min_votes
    if enough.all() or not enough.any():
        return labels if enough.all() else np.zeros_like(labels)
    labels = _assign(votes_m, centers[enough], grid, radii.assign_m)
    keep = group_count(labels, int(enough.sum()) + 1) > 0
    keep[0] = False
    return compact(labels, keep)


def _assign(
    votes_m: NDArray[np.floating], centers_m: NDArray[np.floating], grid: BevGrid, reach_m: float
) -> NDArray[np.int64]:
    index, distance_m = nearest_center(votes_m, centers_m, grid)
    return np.where(distance_m <= reach_m, index + 1, 0)


def _density_peaks(
    votes_m: NDArray[np.floating], grid: BevGrid, merge_m: float
) -> NDArray[np.float64]:
    """Returns [m, 2]: centres (x, y) of the raster cells where the smoothed density peaks."""
    raster = _with_margin(grid)
    iy, ix, inside = raster.to_cell(votes_m[:, 0], votes_m[:, 1])
    cells = raster.size_y * raster.size_x
    flat = (iy * raster.size_x + ix)[inside]
    votes = np.bincount(flat, minlength=cells).astype(np.float64).reshape(raster.shape)
    merge_cells = max(merge_m / raster.resolution_m, 1.0)
    density = cv2.GaussianBlur(votes, (0, 0), merge_cells * _SMOOTHING_SHARE)
    density[density < 1e-6] = 0.0
    # Of equal neighbours only the first may be a peak, so lower the others by next to nothing.
    density = density * (1.0 - 1e-9 * np.linspace(0.0, 1.0, cells).reshape(raster.shape))
    # A diagonal neighbour is a neighbour whatever the radius.
    kernel = disc_kernel(max(merge_cells, 1.5))
    peak_y, peak_x = np.nonzero(is_peak(density, kernel) & (density > 0.0))
    x_m, y_m = raster.axis_centers()
    return np.stack([x_m[peak_x], y_m[peak_y]], axis=-1)


def _with_margin(grid: BevGrid) -> BevGrid:
    cells = int(np.ceil(_MARGIN_M / grid.resolution_m))
    margin_m = cells * grid.resolution_m
    return BevGrid(
        grid.x_min_m - margin_m,
        grid.y_min_m - margin_m,
        grid.resolution_m,
        grid.size_x + 2 * cells,
        grid.size_y + 2 * cells,
    )


def _clipped_cells(
    raster: BevGrid, points_m: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    iy, ix, _ = raster.to_cell(points_m[:, 0], points_m[:, 1])
    return np.clip(iy, 0, raster.size_y - 1), np.clip(ix, 0, raster.size_x - 1)
