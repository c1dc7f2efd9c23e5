"""BEV pooling: a sparse matrix with predicted weights times image features.

`bev_pool` takes its weights from the predicted depth, `weighted_pool` from the matrix itself.
Beside each stands its naive float64 form, which every backend is checked against.
"""

from __future__ import annotations

from bev_perception.ops.bev_pool.dispatch import bev_pool
from bev_perception.ops.bev_pool.entries import SparseEntries
from bev_perception.ops.bev_pool.reference import bev_pool_reference
from bev_perception.ops.bev_pool.weighted import (
    WeightedEntries,
    weighted_pool,
    weighted_pool_reference,
)

__all__ = [
    'SparseEntries',
    'WeightedEntries',
    'bev_pool',
    'bev_pool_reference',
    'weighted_pool',
    'weighted_pool_reference',
]
