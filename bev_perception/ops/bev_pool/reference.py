"""BEV pooling written from its definition, cell by cell, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.ops.bev_pool.entries import SparseEntries


def bev_pool_reference(
    features: ArrayLike, depth: ArrayLike, entries: SparseEntries
) -> NDArray[np.float64]:
    """Returns float64 [cells, C], the yardstick of every backend of `bev_pool`.

    Args:
        features: [P, C].
        depth: [P, D].
        entries: indices into both.
    """
    rows = np.asarray(features, np.float64)
    weights = np.asarray(depth, np.float64).ravel()
    pixels = entries.pixel_index.cpu().numpy()
    positions = entries.depth_index.cpu().numpy()
    starts = entries.cell_offsets.cpu().numpy()

    bev = np.zeros((entries.cells, rows.shape[1]))
    for cell in range(entries.cells):
        mine = slice(starts[cell], starts[cell + 1])
        for pixel, position in zip(pixels[mine], positions[mine], strict=True):
            bev[cell] += weights[position] * rows[pixel]
    return bev
