"""Maps of one grid read at the cells of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid


def looked_up(
    values: NDArray[np.float32], source: BevGrid, target: BevGrid
) -> NDArray[np.float32]:
    """Returns values [..., Y, X] of the source cells that hold the target's cell centres.

    Zero where the target reaches beyond the source; the array itself when both are equal.
    """
    if source == target:
        return values
    x_m, y_m = target.axis_centers()
    iy, _, rows = source.to_cell(np.full_like(y_m, source.x_min_m), y_m)
    _, ix, columns = source.to_cell(x_m, np.full_like(x_m, source.y_min_m))
    result = np.zeros((*values.shape[:-2], *target.shape), values.dtype)
    block = values[..., iy[rows][:, None], ix[columns][None]]
    result[..., np.flatnonzero(rows)[:, None], np.flatnonzero(columns)[None]] = block
    return result
