"""The sum of weighted rows per cell in stock PyTorch, and the form of it that engines import."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


def weighted_bag(
    features: Tensor, row_index: Tensor, weights: Tensor, cell_offsets: Tensor
) -> Tensor:
    """Returns [cells, C]: per cell, the sum over its entries of weight * feature row.

    An embedding bag; nothing is gathered into memory. While a model is exported it is a gather
    and a scattered sum instead, whose operators ONNX has and engines run without a loop.

    Args:
        features: [R, C].
        row_index: int32 [E].
        weights: [E], of the type of the features.
        cell_offsets: int32 [cells + 1].
    """
    if torch.compiler.is_exporting():
        return _scattered(features, row_index, weights, cell_offsets)
    return embedding_bag(
        row_index,
        features,
        cell_offsets,
        mode='sum',
        per_sample_weights=weights,
        include_last_offset=True,
    )


def _scattered(
    features: Tensor, row_index: Tensor, weights: Tensor, cell_offsets: Tensor
) -> Tensor:
    cells = cell_offsets.shape[0] - 1
    # Each inner offset begins a new cell: counting them up to an entry gives its cell.
    begins = torch.zeros(row_index.shape[0] + 1, dtype=torch.int64, device=features.device)
    ones = torch.ones(cells - 1, dtype=torch.int64, device=features.device)
    cell = begins.index_add(0, cell_offsets[1:-1].long(), ones).cumsum(0)[:-1]
    rows = features.index_select(0, row_index.long()) * weights[:, None]
    return features.new_zeros(cells, features.shape[1]).index_add(0, cell, rows)
