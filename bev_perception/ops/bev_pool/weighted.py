"""BEV pooling with weights known from calibration alone: a constant sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from bev_perception.ops.bev_pool.bag import weighted_bag
from bev_perception.ops.bev_pool.entries import check_list


@dataclass(frozen=True, eq=False)
class WeightedEntries:
    """Entries (cell, feature row, weight) of a sparse matrix, sorted by cell.

    Compressed-row storage: entry e belongs to cell c when
    cell_offsets[c] <= e < cell_offsets[c + 1].

    Attributes:
        row_index: int32 [E], row of the features [R, C].
        weight: float32 [E].
        cell_offsets: int32 [cells + 1], rising from 0 to E.
    """

    row_index: Tensor
    weight: Tensor
    cell_offsets: Tensor

    def __post_init__(self) -> None:
        for name, dtype in (
            ('row_index', torch.int32),
            ('weight', torch.float32),
            ('cell_offsets', torch.int32),
        ):
            check_list(name, getattr(self, name), dtype)
        if len(self.row_index) != len(self.weight) or len(self.cell_offsets) < 2:
            raise ValueError(
                f'entries: {len(self.row_index)} row indices, {len(self.weight)} weights and '
                f'{len(self.cell_offsets)} cell offsets do not fit together'
            )

    @classmethod
    def from_cells(
        cls,
        cell: NDArray[np.int64],
        row: NDArray[np.int64],
        weight: NDArray[np.float64],
        cells: int,
    ) -> tuple[WeightedEntries, NDArray[np.int64]]:
        """Returns the entries sorted by cell, and the order [E] that sorts what goes with them.

        Entries of one cell keep the order given, which is the order of summation.

        Args:
            cell: [E] in 0 .. cells - 1.
            row: [E] feature rows.
            weight: [E].
            cells: number of output rows.
        """
        order = np.argsort(cell, kind='stable')
        offsets = np.zeros(cells + 1, np.int32)
        np.cumsum(np.bincount(cell, minlength=cells), out=offsets[1:])
        entries = cls(
            torch.from_numpy(row[order].astype(np.int32)),
            torch.from_numpy(weight[order].astype(np.float32)),
            torch.from_numpy(offsets),
        )
        return entries, order

    @classmethod
    def collate(cls, blocks: Sequence[WeightedEntries], rows: Sequence[int]) -> WeightedEntries:
        """Returns the block-diagonal matrix of a batch, in the order given.

        Args:
            blocks: at least one.
            rows: number of feature rows of each block.

        Raises:
            ValueError: the rows or entries of the batch do not fit int32.
        """
        check_int32(sum(rows), 'feature rows')
        check_int32(sum(len(block.row_index) for block in blocks), 'entries')
        first_row = accumulate(rows, initial=0)
        first_entry = accumulate((len(block.row_index) for block in blocks), initial=0)
        index = [block.row_index + first for block, first in zip(blocks, first_row, strict=False)]
        ends = [
            block.cell_offsets[1:] + first
            for block, first in zip(blocks, first_entry, strict=False)
        ]
        return cls(
            torch.cat(index),
            torch.cat([block.weight for block in blocks]),
            torch.cat([blocks[0].cell_offsets[:1], *ends]),
        )

    @property
    def cells(self) -> int:
        """Number of output rows."""
        return len(self.cell_offsets) - 1

    def to(self, device: torch.device | str) -> WeightedEntries:
        """Returns the same entries on `device`."""
        return WeightedEntries(
            self.row_index.to(device), self.weight.to(device), self.cell_offsets.to(device)
        )


def weighted_pool(
    features: Tensor, entries: WeightedEntries, weight: Tensor | None = None
) -> Tensor:
    """Returns [cells, C]: per cell, the sum over its entries of weight * feature row.

    An embedding bag with per-sample weights (compare `bev_pool`); nothing is gathered into memory.
    Differentiable in the features and in `weight`. Cells without entries are zero.

    Args:
        features: [R, C] float32, bfloat16, float16 or float64; fastest when contiguous.
        entries: the matrix, on the same device.
        weight: [E] of any floating type in place of the weights of `entries`. Weights are
            converted to the type of `features`.

    Raises:
        ValueError: `features` is not a matrix, or `weight` is not one number per entry.
    """
    weights = entries.weight if weight is None else weight
    if features.dim() != 2 or weights.shape != entries.weight.shape:
        raise ValueError(
            f'weighted_pool: expected features [R, C] and {len(entries.weight)} weights, got '
            f'{tuple(features.shape)} and {tuple(weights.shape)}'
        )
    return weighted_bag(
        features, entries.row_index, weights.to(features.dtype), entries.cell_offsets
    )


def weighted_pool_reference(
    features: ArrayLike, entries: WeightedEntries, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Returns float64 [cells, C], written from the definition of `weighted_pool`."""
    rows = np.asarray(features, np.float64)
    weights = np.asarray(entries.weight.cpu() if weight is None else weight, np.float64)
    indices = entries.row_index.cpu().numpy()
    starts = entries.cell_offsets.cpu().numpy()
    bev = np.zeros((entries.cells, rows.shape[1]))
    for cell in range(entries.cells):
        for entry in range(starts[cell], starts[cell + 1]):
            bev[cell] += weights[entry] * rows[indices[entry]]
    return bev


def check_int32(count: int, what: str) -> None:
    """Raises ValueError when that many things cannot be counted in int32."""
    if count > torch.iinfo(torch.int32).max:
        raise ValueError(f'{count} {what} do not fit int32 indices; use a smaller batch or grid')
