"""BEV pooling by the CUDA kernels of `bev_pool.cu`, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from bev_perception.ops.bev_pool.cuda_kernel import SCALARS, kernel_name, launch
from bev_perception.ops.bev_pool.cuda_plan import WARPS, MatrixPlan, PoolPlan, RowShape, plan_of
from bev_perception.ops.bev_pool.entries import SparseEntries


def bev_pool_cuda(features: Tensor, depth: Tensor, entries: SparseEntries) -> Tensor:
    """Returns [cells, C]: per cell, the sum over its entries of weight * feature row.

    Same function as the stock form, with sums in float32 whatever the type, no atomics and a
    defined order: equal inputs give equal bits, gradients included. It runs on torch's current
    stream and can be differentiated once. The first call for some entries makes a plan (sorts,
    waits for the device), which lives as long as they do, and the first one for a type compiles.
    A CUDA graph can capture what has run once before, and its owner must keep the entries.

    Args:
        features: [P, C] float32, float16 or bfloat16 on a CUDA device; copied unless contiguous.
        depth: [P, D] weights; any floating type, converted to the type of `features`.
        entries: indices into both, on the same device.

    Raises:
        ValueError: a shape, type or device does not fit, or an index is out of range.
        RuntimeError: entries seen for the first time during the capture of a CUDA graph.
    """
    if features.dim() != 2 or depth.dim() != 2 or len(features) != len(depth):
        raise ValueError(
            f'bev_pool: expected features [P, C] and depth [P, D], got '
            f'{tuple(features.shape)} and {tuple(depth.shape)}'
        )
    if features.dtype not in SCALARS:
        raise ValueError(f'bev_pool: the CUDA kernels have no {features.dtype}')
    devices = {depth.device, *(getattr(entries, name).device for name in _INDICES)}
    if devices != {features.device}:
        found = ', '.join(sorted(map(str, devices)))
        raise ValueError(f'bev_pool: features are on {features.device}, the rest on {found}')
    plan = plan_of(entries)
    plan.check_range(len(features), depth.numel())
    weights = depth.to(features.dtype).contiguous()
    pooled: Tensor = _BevPool.apply(features.contiguous(), weights, plan)
    return pooled


_INDICES = ('pixel_index', 'depth_index', 'cell_offsets')


class _BevPool(Function):
    """The pooling and its two gradients, each by one kernel over a matrix of its own order."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, depth: Tensor, plan: MatrixPlan) -> Tensor:
        ctx.save_for_backward(features, depth)
        ctx.plan = plan
        return _pool(features, depth, plan.pool)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, depth = ctx.saved_tensors
        plan: MatrixPlan = ctx.plan
        grad = grad.contiguous()
        grad_features = grad_depth = None
        if ctx.needs_input_grad[0]:
            grad_features = _pool(grad, depth, plan.transposed(len(features)))
        if ctx.needs_input_grad[1]:
            grad_depth = _weight_grad(features, grad, depth, plan)
        return grad_features, grad_depth, None


def _pool(rows: Tensor, weights: Tensor, plan: PoolPlan) -> Tensor:
    """Returns [plan.rows, C], the product of a planned matrix with `rows` [R, C]."""
    channels = rows.shape[1]
    out = rows.new_empty(plan.rows, channels)
    if out.numel() == 0:
        return out
    shape = RowShape.of(channels, rows.element_size(), (rows.data_ptr(), out.data_ptr()))
    indices = (plan.row_index, plan.weight_index, plan.offsets, plan.order)
    launch(
        kernel_name('bev_pool_rows', rows.dtype, shape.pack),
        (plan.blocks, shape.tiles),
        (rows, weights, *indices, out, plan.rows, plan.long_rows, channels, shape.lanes),
    )
    return out


def _weight_grad(features: Tensor, grad: Tensor, depth: Tensor, plan: MatrixPlan) -> Tensor:
    """Returns the gradient of `depth` [P, D]: per entry, feature row times gradient row."""
    channels = features.shape[1]
    if depth.numel() == 0 or channels == 0:
        return torch.zeros_like(depth)
    out = torch.empty_like(depth)
    by_weight = plan.weight_grad(depth.numel())
    addresses = (features.data_ptr(), grad.data_ptr())
    shape = RowShape.of(channels, features.element_size(), addresses)
    launch(
        kernel_name('bev_pool_weight_grad', features.dtype, shape.pack),
        (-(-depth.numel() // (WARPS * shape.rows_per_warp)), 1),
        (
            *(features, grad, by_weight.row_index, by_weight.cell_index, by_weight.offsets),
            *(out, depth.numel(), channels, shape.lanes),
        ),
    )
    return out
