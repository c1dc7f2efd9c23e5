"""BEV pooling: a sparse matrix with predicted weights times image features.

One function, `bev_pool`, with stock PyTorch as its backend, and `bev_pool_reference`, the naive
float64 form that every backend is checked against.
"""

from __future__ import annotations

from bev_perception.ops.bev_pool.entries import SparseEntries
from bev_perception.ops.bev_pool.reference import bev_pool_reference
from bev_perception.ops.bev_pool.torch_backend import bev_pool

__all__ = ['SparseEntries', 'bev_pool', 'bev_pool_reference']
