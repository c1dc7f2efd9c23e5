"""The CUDA kernels, run on the CPU thread by thread, against the definition in float64."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cuda_emulator import Emulator, build_emulation, has_compiler
from support.pool_cases import (
    LENGTHS,
    assert_close,
    entries_of,
    expected_gradients,
    expected_pool,
    inputs_of,
)

from bev_perception.ops.bev_pool import SparseEntries, bev_pool_reference, cuda_backend
from bev_perception.ops.bev_pool.cuda_backend import bev_pool_cuda
from bev_perception.ops.bev_pool.cuda_kernel import kernel_source

pytestmark = pytest.mark.skipif(not has_compiler(), reason='no g++')

PIXELS, BINS = 40, 6
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(scope='module')
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_emulation(tmp_path_factory.mktemp('emulation'))


@pytest.fixture
def emulator(library: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    emulator = Emulator(library)
    monkeypatch.setattr(cuda_backend, 'launch', emulator.launch)
    return emulator


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Fills new tensors with NaN, so that what no kernel writes shows."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def run_all(
    features: torch.Tensor, depth: torch.Tensor, entries: SparseEntries, grad: torch.Tensor
) -> list[torch.Tensor]:
    """Returns (pooled, gradient of features, gradient of depth)."""
    leaves = [features.clone().requires_grad_(), depth.clone().requires_grad_()]
    with poisoned_memory():
        pooled = bev_pool_cuda(leaves[0], leaves[1], entries)
        return [pooled.detach(), *torch.autograd.grad(pooled, leaves, grad)]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('channels', [1, 7, 8, 64, 80, 130, 260])
def test_agrees_with_the_definition(emulator: Emulator, channels: int, dtype: torch.dtype) -> None:
    entries = entries_of(LENGTHS, PIXELS, BINS, seed=channels)
    features, depth = inputs_of(PIXELS, channels, BINS, dtype, seed=channels)
    grad = torch.randn(entries.cells, channels).to(dtype)

    pooled, grad_features, grad_depth = run_all(features, depth, entries, grad)
    reference = bev_pool_reference(features.double(), depth.double(), entries)
    wanted_features, wanted_depth = expected_gradients(features, depth, entries, grad)
    assert pooled.dtype == grad_features.dtype == grad_depth.dtype == dtype
    assert_close(pooled, torch.from_numpy(reference), terms=max(LENGTHS))
    assert_close(grad_features, wanted_features, terms=sum(LENGTHS))
    assert_close(grad_depth, wanted_depth, terms=channels * 20)
    packs = {1: 1, 7: 1, 8: 8, 64: 8, 80: 8, 130: 2, 260: 4}
    pack = min(packs[channels], 16 // features.element_size())
    assert [name.partition('<')[0] for name in emulator.launched] == [
        'bev_pool_rows',
        'bev_pool_rows',
        'bev_pool_weight_grad',
    ]
    assert all(name.endswith(f', {pack}>') for name in emulator.launched)


@pytest.mark.parametrize('seed', range(12))
def test_random_problems(emulator: Emulator, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.geometric(1 / rng.integers(1, 60), size=rng.integers(1, 40)) - 1
    pixels, bins = int(rng.integers(1, 60)), int(rng.integers(1, 20))
    channels, dtype = int(rng.integers(1, 70)), DTYPES[seed % 3]
    # Some rows, and with them some weights, have no entry.
    entries = entries_of(lengths.tolist(), pixels, bins, seed, max(1, pixels // 2))
    features, depth = inputs_of(pixels, channels, bins, dtype, seed)
    grad = torch.randn(entries.cells, channels).to(dtype)

    pooled, grad_features, grad_depth = run_all(features, depth, entries, grad)
    wanted_features, wanted_depth = expected_gradients(features, depth, entries, grad)
    assert_close(pooled, expected_pool(features, depth, entries), terms=int(lengths.max()) + 1)
    assert_close(grad_features, wanted_features, terms=int(lengths.sum()) + 1)
    assert_close(grad_depth, wanted_depth, terms=channels * (int(lengths.sum()) + 1))


@pytest.mark.parametrize('channels', [3, 24, 80])
def test_bits_do_not_depend_on_the_order_of_threads(emulator: Emulator, channels: int) -> None:
    entries = entries_of(LENGTHS, PIXELS, BINS, seed=1)
    features, depth = inputs_of(PIXELS, channels, BINS, torch.float16, seed=1)
    grad = torch.randn(entries.cells, channels).half()

    first = run_all(features, depth, entries, grad)
    for seed in (1, 2):
        emulator.seed = seed
        for found, before in zip(run_all(features, depth, entries, grad), first, strict=True):
            assert torch.equal(found, before)


@pytest.mark.parametrize(
    ('right', 'wrong', 'message'),
    [
        ('  __syncthreads();\n', '', 'differ'),
        (
            'if (rank >= out_rows) return;',
            'if (rank >= out_rows || lane.index == 9) return;',
            'ever',
        ),
        ('lane.active && source < count;', 'lane.active && source <= count;', 'differ'),
    ],
)
def test_wrong_kernels_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, message: str
) -> None:
    source = kernel_source()
    assert right in source
    flags = ('-O0', '-DINSTANCES=INSTANCE(float, 4)')
    broken = Emulator(build_emulation(tmp_path, source.replace(right, wrong), flags))
    monkeypatch.setattr(cuda_backend, 'launch', broken.launch)
    entries = entries_of(LENGTHS, PIXELS, BINS, seed=2)
    features, depth = inputs_of(PIXELS, 20, BINS, torch.float32, seed=2)
    grad = torch.randn(entries.cells, 20)
    if message == 'ever':
        with pytest.raises(RuntimeError, match='waits for ever'):
            run_all(features, depth, entries, grad)
        return
    pooled, _, grad_depth = run_all(features, depth, entries, grad)
    _, wanted_depth = expected_gradients(features, depth, entries, grad)
    with pytest.raises(AssertionError):
        assert_close(pooled, expected_pool(features, depth, entries), terms=max(LENGTHS))
        assert_close(grad_depth, wanted_depth, terms=400)


def test_rows_of_any_alignment(emulator: Emulator) -> None:
    entries = entries_of(LENGTHS, PIXELS, BINS, seed=3)
    whole, depth = inputs_of(PIXELS + 1, 8, BINS, torch.float16, seed=3)
    for skipped, pack in ((8, 8), (4, 4), (2, 2), (1, 1)):
        features = whole.ravel()[skipped : skipped + PIXELS * 8].view(PIXELS, 8)
        pooled = bev_pool_cuda(features, depth[:PIXELS], entries)
        assert_close(pooled, expected_pool(features, depth[:PIXELS], entries), max(LENGTHS))
        assert emulator.launched[-1] == f'bev_pool_rows<Float16, {pack}>'


def test_rows_that_are_not_contiguous(emulator: Emulator) -> None:
    entries = entries_of(LENGTHS, PIXELS, BINS, seed=4)
    features, depth = inputs_of(PIXELS, 12, BINS, torch.float32, seed=4)
    grad = torch.randn(12, entries.cells).T

    strided = [tensor.T.contiguous().T for tensor in (features, depth)]
    for found, wanted in zip(
        run_all(strided[0], strided[1], entries, grad),
        run_all(features, depth, entries, grad.contiguous()),
        strict=True,
    ):
        assert torch.equal(found, wanted)


def test_only_entries_are_read(emulator: Emulator) -> None:
    """Not-a-number in rows without entries, or after the last entry, reaches no cell."""
    entries = entries_of((3, 0, 70), PIXELS, BINS, seed=5, used_pixels=10)
    features, depth = inputs_of(PIXELS, 5, BINS, torch.float32, seed=5)
    features[10:], depth[10:] = torch.nan, torch.nan

    pooled, grad_features, grad_depth = run_all(features, depth, entries, torch.ones(3, 5))
    assert pooled.isfinite().all() and pooled[1].eq(0).all()
    assert grad_features[10:].eq(0).all() and grad_depth[10:].eq(0).all()


def test_infinite_values_stay(emulator: Emulator) -> None:
    features = torch.tensor([[torch.inf, -torch.inf, torch.nan, 60000.0]])
    entries = SparseEntries(
        torch.zeros(2, dtype=torch.int32),
        torch.tensor([0, 1], dtype=torch.int32),
        torch.tensor([0, 2], dtype=torch.int32),
    )
    for dtype, overflow in ((torch.float16, torch.inf), (torch.bfloat16, 119808.0)):
        pooled = bev_pool_cuda(features.to(dtype), torch.ones(1, 2), entries)[0].float()
        assert pooled[:2].tolist() == [torch.inf, -torch.inf] and pooled[2].isnan()
        assert pooled[3] == overflow


def test_gradients_only_where_wanted(emulator: Emulator) -> None:
    entries = entries_of((4, 0, 9), PIXELS, BINS, seed=6)
    features, depth = inputs_of(PIXELS, 8, BINS, torch.float32, seed=6)

    bev_pool_cuda(features, depth.requires_grad_(), entries).sum().backward()
    assert emulator.launched == ['bev_pool_rows<float, 4>', 'bev_pool_weight_grad<float, 4>']
    with pytest.raises(RuntimeError, match='once_differentiable'):
        pooled = bev_pool_cuda(features, depth, entries)
        first = torch.autograd.grad((pooled**2).sum(), depth, create_graph=True)
        first[0].sum().backward()


def test_nothing_to_pool(emulator: Emulator) -> None:
    entries = entries_of((0, 0), PIXELS, BINS, seed=7)
    features, depth = inputs_of(PIXELS, 8, BINS, torch.float32, seed=7)
    found = run_all(features, depth, entries, torch.ones(2, 8))
    assert [tensor.eq(0).all().item() for tensor in found] == [True, True, True]

    none = run_all(features[:, :0], depth, entries, torch.ones(2, 0))
    assert none[0].shape == (2, 0) and none[1].shape == (PIXELS, 0) and none[2].eq(0).all()
    bare = run_all(features[:0], depth[:0], entries, torch.ones(2, 8))
    assert bare[0].eq(0).all() and bare[1].shape == (0, 8) and bare[2].shape == (0, BINS)


def test_inputs_that_do_not_fit(emulator: Emulator) -> None:
    entries = entries_of((4, 0, 9), PIXELS, BINS, seed=8)
    features, depth = inputs_of(PIXELS, 8, BINS, torch.float32, seed=8)
    with pytest.raises(ValueError, match=r'expected features \[P, C\] and depth \[P, D\]'):
        bev_pool_cuda(features[1:], depth, entries)
    with pytest.raises(ValueError, match='kernels have no torch'):
        bev_pool_cuda(features.double(), depth, entries)
    with pytest.raises(ValueError, match='features are on cpu, the rest on cpu, meta'):
        bev_pool_cuda(features, depth, entries_on_meta(entries))
    with pytest.raises(ValueError, match=r'entries need .* got 5 and 30'):
        bev_pool_cuda(features[:5], depth[:5], entries)
    assert emulator.launched == []


def entries_on_meta(entries: SparseEntries) -> SparseEntries:
    return SparseEntries(entries.pixel_index, entries.depth_index, entries.cell_offsets.to('meta'))


def test_emulated_half_conversions_are_those_of_torch(library: Path) -> None:
    functions = ctypes.CDLL(str(library))
    functions.emulated_half_to_float.restype = ctypes.c_float
    functions.emulated_float_to_half.restype = ctypes.c_ushort
    rng = np.random.default_rng(0)
    every_half = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.float16)
    halves = every_half[torch.from_numpy(rng.permutation(2**16)[:4000])]
    for half in halves:
        bits = half.view(torch.int16).item() & 0xFFFF
        np.testing.assert_equal(functions.emulated_half_to_float(bits), half.item())
    edges = torch.cat([halves[:-1].float(), (halves[:-1].float() + halves[1:].float()) / 2])
    near = every_half.float().sort().values[::37]
    between = (near[:-1] + near[1:]) / 2
    values = torch.cat([edges, between, torch.tensor([65519.9, 65520.0, 1e30, -0.0, 2**-25])])
    for value in values[~values.isnan()]:
        found = functions.emulated_float_to_half(ctypes.c_float(value.item()))
        assert found == value.half().view(torch.int16).item() & 0xFFFF, value


@pytest.mark.slow
def test_memory_safety_under_sanitizers(tmp_path: Path) -> None:
    """Runs forward and backward where any access outside of an array, or misaligned, aborts."""
    preload = subprocess.run(
        ['g++', '-print-file-name=libasan.so'], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(preload):
        pytest.skip('no AddressSanitizer')
    flags = ('-fsanitize=address,undefined', '-fno-sanitize-recover=all')
    library = build_emulation(tmp_path, flags=flags)
    environment = {
        **os.environ,
        'LD_PRELOAD': preload,
        'ASAN_OPTIONS': 'detect_leaks=0',
        'PYTHONPATH': os.pathsep.join(sys.path),
    }
    script = f'from unit.test_bev_pool_cuda import run_sanitized; run_sanitized({str(library)!r})'
    finished = subprocess.run(
        [sys.executable, '-c', script], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert finished.stdout.strip().endswith('clean')


def run_sanitized(library: str) -> None:
    emulator = Emulator(Path(library))
    cuda_backend.launch = emulator.launch
    for channels in (1, 7, 8, 80, 130):
        for dtype in DTYPES:
            entries = entries_of((0, 1, 64, 65, 300, 0), 20, 3, seed=channels)
            features, depth = inputs_of(20, channels, 3, dtype, seed=channels)
            run_all(features, depth, entries, torch.randn(entries.cells, channels).to(dtype))
    print('clean')
