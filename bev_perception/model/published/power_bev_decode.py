"""Instances over time out of PowerBEV's maps, by the published rules."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid

CENTER_THRESHOLD = 0.1
MAX_INSTANCES = 100
# Over the extent of the grid: a square of about 3.5 m when the grid has 200 cells in a row.
SUPPRESSION_CELL_METRES = 350.0


def decode_power_bev(
    logits: NDArray[np.float32], flow_m: NDArray[np.float32], grid: BevGrid
) -> NDArray[np.int32]:
    """Returns instance labels int32 [T + 1, Y, X] of the present and the steps ahead, 0 = none.

    PowerBEV (Li et al. 2023, section 3.3), as its program does it: peaks of the probability one
    step before the present are the centres; every present vehicle cell belongs to the centre
    nearest to where its flow points, however far; at later steps a cell takes the label of the
    cell, rounded, where its flow points. Labels are 1, 2, ... in the order of x, then y.
    (`decode_instances` finds centres and reappearing objects in another way.)

    Args:
        logits: [T + 2, Y, X] of one sample of `PowerBevMaps`.
        flow_m: [T + 2, 2, Y, X], likewise.
        grid: geometry of the maps, symmetric about its frame.
    """
    vehicle = logits > 0.0
    flow_cells = flow_m / np.float32(grid.resolution_m)
    labels = np.zeros((len(logits) - 1, *grid.shape), dtype=np.int32)
    kernel = round(SUPPRESSION_CELL_METRES / grid.x_max_m)
    centers = find_centers(_probability(logits[0]), kernel)
    if len(centers):
        labels[0] = _group(centers, flow_cells[1], vehicle[1])
    for t in range(1, len(labels)):
        labels[t] = _follow(labels[t - 1], flow_cells[t + 1], vehicle[t + 1])
    return labels


def find_centers(probability: NDArray[np.float32], kernel: int) -> NDArray[np.int64]:
    """Returns [M, 2], (ix, iy): cells that none within a square of `kernel` cells exceeds.

    Those above the threshold, by ix and then iy, the first `MAX_INSTANCES` of them.

    Args:
        probability: [Y, X].
        kernel: edge of the square, odd.
    """
    kept = np.where(probability > CENTER_THRESHOLD, probability, np.float32(-1.0))
    highest = cv2.dilate(kept, np.ones((kernel, kernel), np.uint8))
    return np.argwhere(((kept == highest) & (kept > 0.0)).T)[:MAX_INSTANCES]


def _probability(logit: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the sigmoid, rounded as a softmax over both classes rounds it."""
    one, decay = np.float32(1.0), np.exp(-np.abs(logit))
    return np.asarray(np.where(logit >= 0.0, one, decay) / (one + decay), np.float32)


def _group(
    centers: NDArray[np.int64], flow_cells: NDArray[np.float32], vehicle: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Returns labels [Y, X] without gaps: the number of the nearest centre that has any cell."""
    iy, ix = np.nonzero(vehicle)
    targets = np.stack([ix, iy], axis=-1) + flow_cells[:, iy, ix].T
    off = targets[:, None] - centers
    nearest = (off * off).sum(axis=-1).argmin(axis=1)
    labels = np.zeros(vehicle.shape, np.int32)
    labels[iy, ix] = np.unique(nearest, return_inverse=True)[1] + 1
    return labels


def _follow(
    before: NDArray[np.int32], flow_cells: NDArray[np.float32], vehicle: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Returns labels [Y, X]: that of the cell a step before at which the flow points."""
    size_y, size_x = vehicle.shape
    iy, ix = np.nonzero(vehicle & np.isfinite(flow_cells).all(axis=0))
    source_x = np.rint(ix + flow_cells[0, iy, ix])
    source_y = np.rint(iy + flow_cells[1, iy, ix])
    inside = (source_x >= 0) & (source_x < size_x) & (source_y >= 0) & (source_y < size_y)
    source = source_y[inside].astype(np.int64), source_x[inside].astype(np.int64)
    labels = np.zeros(vehicle.shape, np.int32)
    labels[iy[inside], ix[inside]] = before[source]
    return labels
