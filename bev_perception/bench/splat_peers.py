"""Plain PyTorch forms of the lift-splat view transform on cells that are known beforehand."""

from __future__ import annotations

import torch
from torch import Tensor

from bev_perception.model.view_transform import LiftMatrix


def cell_of_points(lift: LiftMatrix) -> Tensor:
    """Returns int64 [P * D]: cell of each lifted point, `lift.cells` for those outside."""
    entries = lift.cell_offsets.diff().long()
    cell = torch.full((lift.pixels * lift.depth_bins,), lift.cells, dtype=torch.int64)
    cell[lift.depth_index.long()] = torch.arange(lift.cells).repeat_interleave(entries)
    return cell


class IndexAddSplat:
    """The naive form at its best: outer product in channels-last order, one `index_add_`.

    The cell of each point is known beforehand; points outside go to a spare row.
    """

    def __init__(self, lift: LiftMatrix) -> None:
        self._cells = lift.cells
        self._cell = cell_of_points(lift)

    def __call__(self, features: Tensor, depth: Tensor) -> Tensor:
        """Returns [cells, C] from features [P, C] and depth [P, D]."""
        volume = depth.unsqueeze(2) * features.unsqueeze(1)
        bev = features.new_zeros(self._cells + 1, features.shape[1])
        return bev.index_add_(0, self._cell, volume.view(-1, features.shape[1]))[:-1]


class CsrSplat:
    """The same sparse matrix given to `torch.sparse_csr_tensor`, times the features."""

    def __init__(self, lift: LiftMatrix) -> None:
        self._lift = lift

    def __call__(self, features: Tensor, depth: Tensor) -> Tensor:
        """Returns [cells, C] from features [P, C] and depth [P, D]."""
        lift = self._lift
        matrix = torch.sparse_csr_tensor(
            lift.cell_offsets,
            lift.pixel_index,
            depth.reshape(-1).index_select(0, lift.depth_index),
            size=(lift.cells, len(features)),
            check_invariants=False,
        )
        return matrix @ features
