"""Random BEV pooling problems with intervals of given lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bev_perception.ops.bev_pool import SparseEntries

# Empty cells at both ends and inside, around the length from which a block shares a cell.
LENGTHS = (0, 1, 63, 64, 65, 1000, 0, 5, 33, 300, 0, 2, 0)
ROUNDING = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


def entries_of(
    lengths: Sequence[int], pixels: int, bins: int, seed: int, used_pixels: int | None = None
) -> SparseEntries:
    """Returns random entries; weights repeat where there are more entries than weights."""
    rng = np.random.default_rng(seed)
    pixel = rng.integers(0, used_pixels or pixels, size=sum(lengths))
    weight = pixel * bins + rng.integers(0, bins, size=sum(lengths))
    offsets = np.cumsum([0, *lengths])
    index = (torch.from_numpy(array.astype(np.int32)) for array in (pixel, weight, offsets))
    return SparseEntries(*index)


def inputs_of(
    pixels: int, channels: int, bins: int, dtype: torch.dtype, seed: int
) -> tuple[Tensor, Tensor]:
    """Returns random features [pixels, channels] and depth [pixels, bins]."""
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(pixels, channels))).to(dtype)
    return features, torch.from_numpy(rng.random((pixels, bins))).to(dtype)


def expected_pool(features: Tensor, depth: Tensor, entries: SparseEntries) -> Tensor:
    """Returns float64 [cells, C] on the CPU, gathered and added; differentiable."""
    pixel, weight = entries.pixel_index.long().cpu(), entries.depth_index.long().cpu()
    lengths = entries.cell_offsets.cpu().diff()
    cell = torch.arange(entries.cells).repeat_interleave(lengths)
    values = depth.double().cpu().ravel()[weight][:, None] * features.double().cpu()[pixel]
    return torch.zeros(entries.cells, features.shape[1], dtype=torch.float64).index_add(
        0, cell, values
    )


def expected_gradients(
    features: Tensor, depth: Tensor, entries: SparseEntries, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the float64 gradients of features and depth."""
    leaves = [tensor.detach().double().cpu().requires_grad_() for tensor in (features, depth)]
    found = torch.autograd.grad(
        expected_pool(leaves[0], leaves[1], entries), leaves, grad.double().cpu()
    )
    return found[0], found[1]


def assert_close(found: Tensor, expected: Tensor, terms: int) -> None:
    """Asserts sums of float32 rounded once to the type of `found`.

    Args:
        found: of any type, on any device.
        expected: float64.
        terms: most terms of one sum; each loses a rounding of the largest partial sum.
    """
    assert found.shape == expected.shape
    scale = float(expected.abs().max())
    error = (found.detach().double().cpu() - expected.detach()).abs()
    allowed = ROUNDING[found.dtype] * expected.abs() + ROUNDING[torch.float32] * scale * terms
    # Below the least normal binary16 the spacing is constant.
    assert bool((error <= allowed * 1.01 + 2.0**-25).all()), float((error - allowed).max())
