"""Sparse matrices whose weights are constants from calibration times predicted depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from bev_perception.model.view_transform.lift_matrix import check_index_range


@dataclass(frozen=True, eq=False)
class DepthTaps:
    """Entries (cell, feature row) of a sparse matrix, each with K taps into the depth.

    The weight of entry e is the sum over k of tap_weight[e, k] * depth[depth_index[e, k]], where
    the depth is ravelled; entries are sorted by cell as in `SparseEntries`.

    Attributes:
        pixel_index: int32 [E], row of the features [P, C].
        depth_index: int32 [E, K], row * D + bin.
        tap_weight: float32 [E, K].
        cell_offsets: int32 [cells + 1], rising from 0 to E.
        rows: number of feature rows P.
        depth_bins: D.
    """

    pixel_index: Tensor
    depth_index: Tensor
    tap_weight: Tensor
    cell_offsets: Tensor
    rows: int
    depth_bins: int

    @classmethod
    def from_entries(
        cls,
        cell: NDArray[np.int64],
        pixel: NDArray[np.int64],
        bin_index: NDArray[np.int64],
        tap_weight: NDArray[np.float64],
        shape: tuple[int, int, int],
    ) -> DepthTaps:
        """Returns the matrix of entries in any order; a stable sort keeps theirs in a cell.

        Args:
            cell: [E].
            pixel: [E].
            bin_index: [E, K].
            tap_weight: [E, K].
            shape: (cells, feature rows, depth bins).
        """
        cells, rows, depth_bins = shape
        check_index_range(rows * depth_bins)
        order = np.argsort(cell, kind='stable')
        depth_index = (pixel[:, None] * depth_bins + bin_index)[order]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=cells))])
        return cls(
            pixel_index=torch.from_numpy(pixel[order].astype(np.int32)),
            depth_index=torch.from_numpy(depth_index.astype(np.int32)),
            tap_weight=torch.from_numpy(tap_weight[order].astype(np.float32)),
            cell_offsets=torch.from_numpy(offsets.astype(np.int32)),
            rows=rows,
            depth_bins=depth_bins,
        )

    @classmethod
    def collate(cls, taps: Sequence[DepthTaps]) -> DepthTaps:
        """Returns the block-diagonal matrix, in the order of `taps`.

        Raises:
            ValueError: nothing to collate, or the numbers of bins or taps differ.
        """
        kinds = {(t.depth_bins, t.depth_index.shape[1]) for t in taps}
        if len(kinds) != 1:
            raise ValueError(f'collate: expected matrices of one shape, got {kinds}')
        depth_bins, _ = kinds.pop()
        check_index_range(sum(t.rows for t in taps) * depth_bins)
        first_row, first_entry = 0, 0
        pixel, depth, offsets = [], [], [taps[0].cell_offsets[:1]]
        for part in taps:
            pixel.append(part.pixel_index + first_row)
            depth.append(part.depth_index + first_row * depth_bins)
            offsets.append(part.cell_offsets[1:] + first_entry)
            first_row += part.rows
            first_entry += len(part.pixel_index)
        return cls(
            pixel_index=torch.cat(pixel),
            depth_index=torch.cat(depth),
            tap_weight=torch.cat([part.tap_weight for part in taps]),
            cell_offsets=torch.cat(offsets),
            rows=first_row,
            depth_bins=depth_bins,
        )

    def to(self, device: torch.device | str) -> DepthTaps:
        """Returns the same entries on `device`."""
        return replace(
            self,
            pixel_index=self.pixel_index.to(device),
            depth_index=self.depth_index.to(device),
            tap_weight=self.tap_weight.to(device),
            cell_offsets=self.cell_offsets.to(device),
        )


def tap_pool(features: Tensor, depth: Tensor, taps: DepthTaps) -> Tensor:
    """Returns [cells, C]: per cell, the sum over its entries of weight * feature row.

    Differentiable in both inputs; cells without entries are zero.

    Args:
        features: [P, C].
        depth: [P, D]; converted to the type of `features`.
        taps: on the same device.
    """
    read = depth.reshape(-1).index_select(0, taps.depth_index.flatten())
    weights = read.view(taps.depth_index.shape).to(features.dtype)
    return embedding_bag(
        taps.pixel_index,
        features,
        taps.cell_offsets,
        mode='sum',
        per_sample_weights=(weights * taps.tap_weight.to(features.dtype)).sum(dim=1),
        include_last_offset=True,
    )


def reached_by(
    cell_offsets: Tensor, camera: Tensor, cameras: int, grid_shape: tuple[int, int]
) -> Tensor:
    """Returns bool [1, N, Y, X]: camera n has an entry in the cell.

    Args:
        cell_offsets: int32 [Y * X + 1] of entries sorted by cell.
        camera: integer [E], the camera of each entry.
        cameras: N.
        grid_shape: (Y, X).
    """
    cells = grid_shape[0] * grid_shape[1]
    cell = torch.repeat_interleave(torch.arange(cells), cell_offsets.diff().long())
    reached = torch.zeros(cameras, cells, dtype=torch.bool)
    reached[camera.long(), cell] = True
    return reached.view(1, cameras, *grid_shape)
