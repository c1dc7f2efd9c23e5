"""Sparse matrices whose weights are constants from calibration times predicted depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.model.view_transform.lift_matrix import check_index_range
from bev_perception.ops.bev_pool import WeightedEntries, weighted_pool


@dataclass(frozen=True, eq=False)
class DepthTaps:
    """Entries (cell, feature row) of a sparse matrix, each with K taps into the depth.

    The weight of entry e is its constant times the sum over k of
    tap_share[e, k] * depth[depth_index[e, k]], where the depth is ravelled.

    Attributes:
        entries: cells, feature rows and constants.
        depth_index: int32 [E, K], row * D + bin.
        tap_share: float32 [E, K].
        rows: number of feature rows P.
        depth_bins: D.
    """

    entries: WeightedEntries
    depth_index: Tensor
    tap_share: Tensor
    rows: int
    depth_bins: int

    @classmethod
    def from_cells(
        cls,
        cell: NDArray[np.int64],
        pixel: NDArray[np.int64],
        weight: NDArray[np.float64],
        taps: tuple[NDArray[np.int64], NDArray[np.float64]],
        shape: tuple[int, int, int],
    ) -> DepthTaps:
        """Returns the matrix of entries in any order; those of one cell keep theirs.

        Args:
            cell: [E].
            pixel: [E] feature rows.
            weight: [E] constants.
            taps: bins [E, K] and their shares [E, K].
            shape: (cells, feature rows, depth bins).
        """
        cells, rows, depth_bins = shape
        check_index_range(rows * depth_bins)
        bin_index, tap_share = taps
        entries, order = WeightedEntries.from_cells(cell, pixel, weight, cells)
        depth_index = (pixel[:, None] * depth_bins + bin_index)[order].astype(np.int32)
        share = torch.from_numpy(tap_share[order].astype(np.float32))
        return cls(entries, torch.from_numpy(depth_index), share, rows, depth_bins)

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
        rows = [t.rows for t in taps]
        check_index_range(sum(rows) * depth_bins)
        first_row = np.cumsum([0, *rows[:-1]]).tolist()
        return cls(
            entries=WeightedEntries.collate([t.entries for t in taps], rows),
            depth_index=torch.cat(
                [t.depth_index + r * depth_bins for t, r in zip(taps, first_row, strict=True)]
            ),
            tap_share=torch.cat([t.tap_share for t in taps]),
            rows=sum(rows),
            depth_bins=depth_bins,
        )

    def to(self, device: torch.device | str) -> DepthTaps:
        """Returns the same entries on `device`."""
        return replace(
            self,
            entries=self.entries.to(device),
            depth_index=self.depth_index.to(device),
            tap_share=self.tap_share.to(device),
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
    read = read.view(taps.depth_index.shape).to(features.dtype)
    share = (read * taps.tap_share.to(features.dtype)).sum(dim=1)
    weight = share * taps.entries.weight.to(features.dtype)
    return weighted_pool(features, taps.entries, weight)


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
