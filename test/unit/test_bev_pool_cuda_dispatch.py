"""Which backend pools, what the log says of it, and what reaches CuPy; CuPy and CUDA are faked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bev_perception.ops import bev_pool as package
from bev_perception.ops.bev_pool import cuda_kernel, dispatch


class FakeCupy:
    """Records what a program asks of CuPy."""

    def __init__(self, failure: Exception | None = None, from_external: bool = True) -> None:
        self.failure = failure
        self.modules: list[dict[str, Any]] = []
        self.launches: list[tuple[Any, ...]] = []
        self.streams: list[Any] = []
        self.cuda = SimpleNamespace(Stream=type('Stream', (), {}), ExternalStream=self._external)
        if from_external:
            self.cuda.Stream.from_external = self._from_external

    def RawModule(self, **arguments: Any) -> Any:  # CuPy's name
        if self.failure is not None:
            raise self.failure
        self.modules.append(arguments)
        return SimpleNamespace(get_function=lambda name: self._kernel(name))

    def _kernel(self, name: str) -> Any:
        return lambda *launch: self.launches.append((name, *launch))

    def _from_external(self, stream: Any) -> Any:
        self.streams.append(stream.__cuda_stream__())
        return nullcontext()

    def _external(self, address: int) -> Any:
        self.streams.append(address)
        return nullcontext()


@pytest.fixture(autouse=True)
def nothing_decided() -> Iterator[None]:
    caches = (dispatch._kernels_work, cuda_kernel.unavailable_because, cuda_kernel._function)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the names of the backends called so far."""
    called: list[str] = []
    monkeypatch.setattr(dispatch, 'bev_pool_cuda', lambda *_: called.append('kernel'))
    monkeypatch.setattr(dispatch.torch_backend, 'bev_pool', lambda *_: called.append('stock'))
    return called


def pool(is_cuda: bool, dtype: torch.dtype) -> None:
    features: Any = SimpleNamespace(is_cuda=is_cuda, dtype=dtype)
    nothing: Any = None
    dispatch.bev_pool(features, nothing, nothing)


def test_public_function_is_the_dispatcher() -> None:
    assert package.bev_pool is dispatch.bev_pool


def test_cuda_tensors_go_to_the_kernels(
    backends: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, 'cupy', cupy)
    with caplog.at_level(logging.INFO):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            pool(True, dtype)
        assert backends == ['kernel'] * 3
        pool(True, torch.float64)
        pool(False, torch.float32)
        assert backends[3:] == ['stock', 'stock']
    assert [record.message for record in caplog.records] == [
        'bev_pool: CUDA tensors are pooled by the CuPy kernels'
    ]
    assert len(cupy.modules) == 1


@pytest.mark.parametrize(
    ('cupy', 'reason'),
    [
        (None, 'CuPy is not installed; pip install "bev_perception[cuda]" brings it'),
        (
            FakeCupy(RuntimeError('CuPy failed to load libnvrtc.so.13\nmany lines')),
            'CuPy cannot compile or load the kernels: CuPy failed to load libnvrtc.so.13',
        ),
        (FakeCupy(ZeroDivisionError()), 'cannot compile or load the kernels: ZeroDivisionError'),
    ],
)
def test_without_kernels_stock_torch_serves_and_the_log_says_why_once(
    cupy: FakeCupy | None,
    reason: str,
    backends: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, 'cupy', cupy)
    with caplog.at_level(logging.INFO):
        pool(True, torch.float32)
        pool(True, torch.float16)
    assert backends == ['stock', 'stock']
    [record] = caplog.records
    assert record.levelno == logging.WARNING and '\n' not in record.message
    assert record.message.startswith('bev_pool: CUDA tensors are pooled by stock PyTorch, slower')
    assert record.message.endswith(reason)


def test_cpu_tensors_do_not_ask_for_cupy(
    backends: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, 'cupy', None)
    pool(False, torch.float32)
    assert backends == ['stock'] and caplog.records == []


def test_traced_models_hold_stock_operators(
    backends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'cupy', FakeCupy())
    for module, name in ((torch.compiler, 'is_compiling'), (torch.jit, 'is_tracing')):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda: True)
            pool(True, torch.float32)
    assert backends == ['stock', 'stock']


@pytest.mark.parametrize('from_external', [True, False])
def test_launch_passes_addresses_and_int32_on_the_current_stream(
    monkeypatch: pytest.MonkeyPatch, from_external: bool
) -> None:
    cupy = FakeCupy(from_external=from_external)
    monkeypatch.setitem(sys.modules, 'cupy', cupy)
    devices: list[Any] = []

    def on_device(device: Any) -> Any:
        devices.append(device)
        return nullcontext()

    stream = SimpleNamespace(cuda_stream=1234)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: stream)
    monkeypatch.setattr(torch.cuda, 'device', on_device)
    rows, out = torch.zeros(3), torch.zeros(2, dtype=torch.float16)
    for _ in range(2):
        cuda_kernel.launch('bev_pool_rows<float, 2>', (7, 3), (rows, out, 5, -1))

    name, grid, block, values = cupy.launches[0]
    assert (name, grid, block) == ('bev_pool_rows<float, 2>', (7, 3), (256,))
    assert values == (rows.data_ptr(), out.data_ptr(), 5, -1)
    assert [type(value) for value in values] == [np.uint64, np.uint64, np.int32, np.int32]
    assert devices == [rows.device] * 2
    assert cupy.streams == [(0, 1234) if from_external else 1234] * 2
    [module] = cupy.modules
    assert module['name_expressions'] == ('bev_pool_rows<float, 2>',)
    assert module['code'] == cuda_kernel.kernel_source()
