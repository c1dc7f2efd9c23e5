"""The CUDA kernels on a GPU: parity, determinism, streams, graphs."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from support.pool_cases import (
    LENGTHS,
    assert_close,
    entries_of,
    expected_gradients,
    expected_pool,
    inputs_of,
)
from torch import Tensor

from bev_perception.ops.bev_pool import SparseEntries, bev_pool, cuda_kernel
from bev_perception.ops.bev_pool.cuda_backend import bev_pool_cuda

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device'),
    pytest.mark.skipif(importlib.util.find_spec('cupy') is None, reason='no CuPy'),
]

PIXELS, BINS = 500, 13
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def problem(
    channels: int, dtype: torch.dtype, seed: int
) -> tuple[Tensor, Tensor, SparseEntries, Tensor]:
    """Returns (features, depth, entries, gradient of the cells) on the GPU."""
    lengths = LENGTHS * 20
    entries = entries_of(lengths, PIXELS, BINS, seed).to('cuda')
    features, depth = (x.cuda() for x in inputs_of(PIXELS, channels, BINS, dtype, seed))
    grad = torch.randn(len(lengths), channels, generator=torch.Generator().manual_seed(seed))
    return features, depth, entries, grad.to('cuda', dtype)


def run_all(features: Tensor, depth: Tensor, entries: SparseEntries, grad: Tensor) -> list[Tensor]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (features, depth)]
    pooled = bev_pool_cuda(leaves[0], leaves[1], entries)
    return [pooled.detach(), *torch.autograd.grad(pooled, leaves, grad)]


def test_kernels_work_here() -> None:
    assert cuda_kernel.unavailable_because() is None


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('channels', [1, 7, 8, 64, 80, 130, 260])
def test_parity(channels: int, dtype: torch.dtype) -> None:
    features, depth, entries, grad = problem(channels, dtype, seed=channels)
    pooled, grad_features, grad_depth = run_all(features, depth, entries, grad)
    wanted_features, wanted_depth = expected_gradients(features, depth, entries, grad)
    assert_close(pooled, expected_pool(features, depth, entries), terms=max(LENGTHS))
    assert_close(grad_features, wanted_features, terms=1000)
    assert_close(grad_depth, wanted_depth, terms=channels * 20)


@pytest.mark.parametrize('dtype', DTYPES)
def test_equal_bits_twice(dtype: torch.dtype) -> None:
    arguments = problem(80, dtype, seed=1)
    first = run_all(*arguments)
    for _ in range(5):
        for found, before in zip(run_all(*arguments), first, strict=True):
            assert torch.equal(found, before)


def test_dispatch_gives_the_kernels_bits() -> None:
    features, depth, entries, _ = problem(64, torch.float16, seed=2)
    found = bev_pool(features, depth, entries)
    assert torch.equal(found, bev_pool_cuda(features, depth, entries))
    double = bev_pool(features.double(), depth.double(), entries)
    assert double.dtype == torch.float64


def test_work_is_ordered_with_the_current_stream() -> None:
    features, depth, entries, _ = problem(64, torch.float32, seed=3)
    fresh = torch.randn_like(features)
    expected = bev_pool_cuda(fresh, depth, entries)
    torch.cuda.synchronize()

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(200_000_000)
        features.copy_(fresh)
        found = bev_pool_cuda(features, depth, entries)
    side.synchronize()
    assert torch.equal(found, expected)


def test_cuda_graph_holds_forward_and_backward() -> None:
    features, depth, entries, grad = problem(80, torch.float16, seed=4)
    features.requires_grad_()
    depth.requires_grad_()

    def step() -> list[Tensor]:
        pooled = bev_pool_cuda(features, depth, entries)
        return [pooled, *torch.autograd.grad(pooled, (features, depth), grad)]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()

    for seed in (5, 6):
        others = inputs_of(PIXELS, 80, BINS, torch.float16, seed)
        with torch.no_grad():
            features.copy_(others[0])
            depth.copy_(others[1])
        graph.replay()
        torch.cuda.synchronize()
        for found, wanted in zip(captured, run_all(features, depth, entries, grad), strict=True):
            assert torch.equal(found.detach(), wanted)


def test_capture_needs_a_plan() -> None:
    features, depth, _, _ = problem(8, torch.float32, seed=7)
    entries = entries_of((3, 70, 0), PIXELS, BINS, seed=7).to('cuda')
    bev_pool_cuda(features, depth, entries_of((1,), PIXELS, BINS, seed=8).to('cuda'))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with (
        pytest.raises(RuntimeError, match='before capturing a CUDA graph'),
        torch.cuda.graph(graph),
    ):
        bev_pool_cuda(features, depth, entries)
