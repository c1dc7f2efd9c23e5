"""BEV features on the model's grid to the range and resolution of one head."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid

_TOLERANCE_CELLS = 1e-6


class GridSampler(nn.Module):
    """Features over `source` to features over `target` (BEVerse, Zhang et al. 2022, section 3.3).

    A head whose grid is the model's gets the very same tensor, and one whose cells are whole
    cells of the model's a view of it. Otherwise each target cell is the mean of the source, cell
    by cell constant, over a square around the target's centre: as wide as the target cell when
    that is the larger, as a source cell when not. So a finer head interpolates bilinearly, and a
    coarser one averages over its cells' area, which keeps what is small from aliasing. The mean
    is that of the part inside the source; cells with centres outside are zero.

    Both axes are matrix products: stock operations, with a deterministic gradient.

    Args:
        source: grid of the features that come in.
        target: grid of those that go out.

    Raises:
        ConfigError: no target cell has its centre in the source.
    """

    columns: Tensor
    rows: Tensor

    def __init__(self, source: BevGrid, target: BevGrid) -> None:
        super().__init__()
        scale = target.resolution_m / source.resolution_m
        first_x = (target.x_min_m - source.x_min_m) / source.resolution_m
        first_y = (target.y_min_m - source.y_min_m) / source.resolution_m
        columns = axis_weights(source.size_x, target.size_x, first_x, scale)
        rows = axis_weights(source.size_y, target.size_y, first_y, scale)
        if not (columns.any() and rows.any()):
            raise ConfigError(
                f'grid of a head: {_range(target)} lies outside of the model grid {_range(source)}'
            )
        whole = _is_selection(columns) and _is_selection(rows)
        self._first = (int(rows[0].argmax()), int(columns[0].argmax())) if whole else None
        self._source, self._target = source.shape, target.shape
        self.register_buffer('columns', torch.from_numpy(columns).float(), persistent=False)
        self.register_buffer('rows', torch.from_numpy(rows).float(), persistent=False)

    def forward(self, bev: Tensor) -> Tensor:
        """Returns [B, C, Y', X'] over the target of [B, C, Y, X] over the source."""
        if self._first is None:
            return self._resample(bev)
        if self._source == self._target:
            return bev
        (y, x), (size_y, size_x) = self._first, self._target
        return bev[:, :, y : y + size_y, x : x + size_x]

    def _resample(self, bev: Tensor) -> Tensor:
        batch, channels, size_y, size_x = bev.shape
        lines = bev.permute(0, 2, 3, 1).reshape(batch * size_y, size_x, channels)
        columns = self.columns.to(bev.dtype).expand(lines.shape[0], -1, -1)
        planes = torch.bmm(columns, lines).reshape(batch, size_y, -1)
        out = torch.bmm(self.rows.to(bev.dtype).expand(batch, -1, -1), planes)
        return out.reshape(batch, *self._target, channels).permute(0, 3, 1, 2)


def axis_weights(source: int, target: int, first: float, scale: float) -> NDArray[np.float64]:
    """Returns [target, source]: share of each source cell in each target cell, along one axis.

    Cell i of the source covers [i, i + 1). A target cell is `scale` wide and the first begins at
    `first`; it collects a window of max(scale, 1) around its centre. Rows sum to one, or to zero
    where the centre is outside of [0, source).
    """
    center = first + (np.arange(target) + 0.5) * scale
    half = 0.5 * max(scale, 1.0)
    cell = np.arange(source)
    low = np.maximum(center[:, None] - half, cell)
    high = np.minimum(center[:, None] + half, cell + 1)
    overlap = np.maximum(high - low, 0.0)
    overlap[overlap < _TOLERANCE_CELLS] = 0.0
    overlap[(center < 0) | (center >= source)] = 0.0
    total = overlap.sum(axis=1, keepdims=True)
    return np.divide(overlap, total, out=np.zeros_like(overlap), where=total > 0)


def _is_selection(weights: NDArray[np.float64]) -> bool:
    """Whether the target's cells are consecutive cells of the source."""
    picked = weights.argmax(axis=1)
    ones = np.count_nonzero(weights, axis=1) == 1
    return bool(ones.all() and (np.diff(picked) == 1).all())


def _range(grid: BevGrid) -> str:
    return f'[{grid.x_min_m:g}, {grid.x_max_m:g}) x [{grid.y_min_m:g}, {grid.y_max_m:g}) m'
