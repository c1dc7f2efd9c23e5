"""Instances from votes: every cell points at the centre of the instance it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bev_perception.decode.grouping import compact, group_count
from bev_perception.decode.suppression import disc_kernel, is_peak
from bev_perception.geometry.grid import BevGrid

# An instance cut by the grid's border may have its centre outside, and have been farther outside
# a step earlier: half a long truck and a second at city speed.
_MARGIN_M = 25.0
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


@dataclass(frozen=True)
class _Ballot:
    """Votes counted on a raster of the grid's cells that reaches as far as they do.

    Attributes:
        count: [Y, X].
        origin_m: x, y of the centre of cell (0, 0).
        resolution_m: of the raster.
        counted: indices [m] of the votes that are in.
        cell: flat raster index [m] of each of them.
    """

    count: NDArray[np.float64]
    origin_m: NDArray[np.float64]
    resolution_m: float
    counted: NDArray[np.int64]
    cell: NDArray[np.int64]

    def places_m(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns the centres [n, 2] of raster cells by flat index."""
        iy, ix = np.divmod(cells, self.count.shape[1])
        return self.origin_m + self.resolution_m * np.stack([ix, iy], axis=-1)


def nearest_center(
    points_m: NDArray[np.floating], centers_m: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns (index [n] of the nearest centre, distance [n] in metres to it).

    Args:
        points_m: [n, 2].
        centers_m: [m, 2], at least one.
    """
    distance_m, index = KDTree(centers_m).query(points_m)
    return index, distance_m


def cluster_votes(
    votes_m: NDArray[np.floating], grid: BevGrid, radii: VoteRadii
) -> NDArray[np.int64]:
    """Returns the instance label [n] of each vote: 1, 2, ... without gaps, 0 = none.

    The votes are counted on a raster and smoothed; peaks of that density with enough votes near
    them are the centres, and each raster cell's votes go to the nearest. Labels follow the
    raster order of the centres. (Centres by suppression of non-maxima and grouping by nearest
    centre as in Panoptic-DeepLab, Cheng et al. 2020, section 3.2, on votes instead of a centre
    heatmap.)

    Args:
        votes_m: [n, 2], x, y in metres; those far outside the grid count for nothing.
        grid: gives the raster's cells.
        radii: what counts as one instance.
    """
    labels = np.zeros(len(votes_m), dtype=np.int64)
    ballot = _count(votes_m, grid)
    if ballot is None:
        return labels
    centers_m = ballot.places_m(_density_peaks(ballot, radii.merge_m))
    found = _assign(ballot, centers_m, radii.assign_m)
    enough = group_count(found, len(centers_m) + 1)[1:] >= radii.min_votes
    if not enough.any():
        return labels
    if not enough.all():
        found = _assign(ballot, centers_m[enough], radii.assign_m)
        keep = group_count(found, int(enough.sum()) + 1) > 0
        keep[0] = False
        found = compact(found, keep)
    labels[ballot.counted] = found
    return labels


def _count(votes_m: NDArray[np.floating], grid: BevGrid) -> _Ballot | None:
    """Returns the votes on a raster; None when all are far outside the grid."""
    low = np.array([grid.x_min_m, grid.y_min_m]) - _MARGIN_M
    high = np.array([grid.x_max_m, grid.y_max_m]) + _MARGIN_M
    counted = np.flatnonzero(((votes_m > low) & (votes_m < high)).all(axis=-1))
    if not len(counted):
        return None
    iy, ix, _ = grid.to_cell(votes_m[counted, 0], votes_m[counted, 1])
    y0, x0 = int(iy.min()), int(ix.min())
    height, width = int(iy.max()) - y0 + 1, int(ix.max()) - x0 + 1
    cell = (iy - y0) * width + ix - x0
    count = np.bincount(cell, minlength=height * width).astype(np.float64)
    origin_m = np.array([grid.x_min_m, grid.y_min_m]) + grid.resolution_m * np.array(
        [x0 + 0.5, y0 + 0.5]
    )
    return _Ballot(count.reshape(height, width), origin_m, grid.resolution_m, counted, cell)


def _assign(ballot: _Ballot, centers_m: NDArray[np.float64], reach_m: float) -> NDArray[np.int64]:
    """Returns the label [m] of each counted vote by the nearest centre, 0 beyond the reach."""
    occupied = np.flatnonzero(ballot.count)
    index, distance_m = nearest_center(ballot.places_m(occupied), centers_m)
    label = np.zeros(ballot.count.size, dtype=np.int64)
    label[occupied] = np.where(distance_m <= reach_m, index + 1, 0)
    return label[ballot.cell]


def _density_peaks(ballot: _Ballot, merge_m: float) -> NDArray[np.int64]:
    """Returns the flat indices of the raster cells where the smoothed density peaks."""
    merge_cells = max(merge_m / ballot.resolution_m, 1.0)
    density = cv2.GaussianBlur(
        ballot.count,
        (0, 0),
        merge_cells * _SMOOTHING_SHARE,
        borderType=cv2.BORDER_CONSTANT,
    )
    density[density < 1e-6] = 0.0
    # Of equal neighbours only the first may be a peak, so lower the others by next to nothing.
    density *= 1.0 - 1e-9 * np.linspace(0.0, 1.0, density.size).reshape(density.shape)
    # A diagonal neighbour is a neighbour whatever the radius.
    kernel = disc_kernel(max(merge_cells, 1.5))
    return np.flatnonzero(is_peak(density, kernel) & (density > 0.0))
