"""The pattern of a BEV pooling: which feature row goes to which cell with which weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self


def check_list(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    """Raises ValueError unless a tensor is a list of numbers of a type."""
    if tensor.dim() != 1 or tensor.dtype != dtype:
        wanted = str(dtype).removeprefix('torch.')
        raise ValueError(
            f'{name}: expected one-dimensional {wanted}, got {tensor.dtype} {tuple(tensor.shape)}'
        )


@dataclass(frozen=True, eq=False)
class SparseEntries:
    """Entries (cell, feature row, position of the weight) of a sparse matrix, sorted by cell.

    This is compressed-row storage whose values are looked up in the predicted depth. Entry e
    belongs to cell c when cell_offsets[c] <= e < cell_offsets[c + 1]; each cell is thus written
    once, by its owner. BEVPoolv2 (arXiv 2211.17111) precomputes the same indices to avoid the
    frustum volume.

    Attributes:
        pixel_index: int32 [E], row of the features [P, C].
        depth_index: int32 [E], position in the ravelled depth [P, D], that is row * D + bin.
        cell_offsets: int32 [cells + 1], rising from 0 to E.
    """

    pixel_index: Tensor
    depth_index: Tensor
    cell_offsets: Tensor

    def __post_init__(self) -> None:
        for name in ('pixel_index', 'depth_index', 'cell_offsets'):
            check_list(name, getattr(self, name), torch.int32)
        if len(self.pixel_index) != len(self.depth_index) or len(self.cell_offsets) < 2:
            raise ValueError(
                f'entries: {len(self.pixel_index)} pixel indices, {len(self.depth_index)} depth '
                f'indices and {len(self.cell_offsets)} cell offsets do not fit together'
            )

    @property
    def cells(self) -> int:
        """Number of output rows."""
        return len(self.cell_offsets) - 1

    def to(self, device: torch.device | str) -> Self:
        """Returns the same entries on `device`."""
        return replace(
            self,
            pixel_index=self.pixel_index.to(device),
            depth_index=self.depth_index.to(device),
            cell_offsets=self.cell_offsets.to(device),
        )
