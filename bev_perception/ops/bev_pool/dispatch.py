"""BEV pooling by whatever serves it best where its inputs are."""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import Tensor

from bev_perception.ops.bev_pool import cuda_kernel, torch_backend
from bev_perception.ops.bev_pool.cuda_backend import bev_pool_cuda
from bev_perception.ops.bev_pool.entries import SparseEntries

_LOG = logging.getLogger(__name__)


def bev_pool(features: Tensor, depth: Tensor, entries: SparseEntries) -> Tensor:
    """Returns [cells, C]: per cell, the sum over its entries of weight * feature row.

    Own kernels for float32, float16 and bfloat16 on CUDA where CuPy is installed
    (`bev_pool_cuda`), stock PyTorch everywhere else and while a model is traced or compiled. Both
    sum the same entries; see them for arguments and errors.
    """
    if features.is_cuda and not _is_traced() and _kernels_serve(features.dtype):
        return bev_pool_cuda(features, depth, entries)
    return torch_backend.bev_pool(features, depth, entries)


def _is_traced() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _kernels_serve(dtype: torch.dtype) -> bool:
    return dtype in cuda_kernel.SCALARS and _kernels_work()


@cache
def _kernels_work() -> bool:
    """Whether the kernels run here; says so once in the log."""
    reason = cuda_kernel.unavailable_because()
    if reason is None:
        _LOG.info('bev_pool: CUDA tensors are pooled by the CuPy kernels')
    else:
        _LOG.warning('bev_pool: CUDA tensors are pooled by stock PyTorch, slower: %s', reason)
    return reason is None
