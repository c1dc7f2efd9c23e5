"""The ranges that figures are published for, whatever grid a model has."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.grid_lookup import looked_up

T = TypeVar('T', bound=np.generic)

# 'long': 100 x 100 m at 0.5 m (Lift-Splat-Shoot and all after it). 'short': the 30 x 30 m in the
# middle of that same map, 60 x 60 cells (FIERY's program, `EVALUATION_RANGES`). 'short_fine':
# 30 x 30 m at 0.15 m (PowerBEV, a model of its own). 'model': all of the model's own grid.
_PUBLISHED = {
    'long': BevGrid.from_range((-50.0, 50.0), (-50.0, 50.0), 0.5),
    'short': BevGrid.from_range((-15.0, 15.0), (-15.0, 15.0), 0.5),
    'short_fine': BevGrid.from_range((-15.0, 15.0), (-15.0, 15.0), 0.15),
}
RANGES = (*_PUBLISHED, 'model')


@lru_cache(maxsize=64)
def range_grid(name: str, model_grid: BevGrid) -> BevGrid | None:
    """Returns the grid of a range; None when a model with this grid does not cover it whole.

    A range is covered when the centres of all its cells lie in cells of the model.

    Args:
        name: one of `RANGES`.
        model_grid: where the model predicts.
    """
    if name == 'model':
        return model_grid
    grid = _PUBLISHED[name]
    x_m, y_m = (axis[[0, -1]] for axis in grid.axis_centers())
    _, _, inside = model_grid.to_cell(x_m, y_m)
    return grid if inside.all() else None


def on_grid(values: NDArray[T], source: BevGrid, target: BevGrid) -> NDArray[T]:
    """Returns values [..., Y, X] of the source cells that hold the target's cell centres.

    Nothing is interpolated. Zero where the target reaches beyond the source.
    """
    if source == target:
        return values
    rows = _covered_rows(source, target)
    if rows is None:
        return cast(NDArray[T], looked_up(cast(Any, values), source, target))
    iy, ix = rows
    return values.take(iy, axis=-2).take(ix, axis=-1)


@lru_cache(maxsize=64)
def _covered_rows(
    source: BevGrid, target: BevGrid
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Returns the source's rows [Y] and columns [X] of a target; None if it reaches beyond."""
    x_m, y_m = target.axis_centers()
    _, ix, columns = source.to_cell(x_m, np.full_like(x_m, source.y_min_m))
    iy, _, rows = source.to_cell(np.full_like(y_m, source.x_min_m), y_m)
    return (iy, ix) if columns.all() and rows.all() else None
