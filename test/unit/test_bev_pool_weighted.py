"""Pooling with constant weights against numbers by hand, the reference and a dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bev_perception.ops.bev_pool import WeightedEntries, weighted_pool, weighted_pool_reference
from bev_perception.ops.bev_pool.weighted import check_int32


def random_case(
    seed: int, rows: int, channels: int, cells: int, entries: int
) -> tuple[Tensor, WeightedEntries, np.ndarray]:
    """Returns float64 features, entries and the dense matrix [cells, rows]."""
    rng = np.random.default_rng(seed)
    cell = rng.integers(0, cells, size=entries)
    row = rng.integers(0, rows, size=entries)
    weight = rng.normal(size=entries).astype(np.float32).astype(np.float64)
    dense = np.zeros((cells, rows))
    np.add.at(dense, (cell, row), weight)
    found, order = WeightedEntries.from_cells(cell, row, weight, cells)
    assert np.array_equal(found.row_index.numpy(), row[order])
    return torch.from_numpy(rng.normal(size=(rows, channels))), found, dense


def test_numbers_by_hand() -> None:
    features = torch.tensor([[1.0, 10.0], [2.0, 20.0], [5.0, 50.0]])
    cell, row = np.array([3, 0, 2, 0]), np.array([2, 0, 1, 2])
    weight = np.array([0.5, 4.0, -1.0, 2.0])

    entries, order = WeightedEntries.from_cells(cell, row, weight, 5)
    assert order.tolist() == [1, 3, 2, 0]
    assert entries.row_index.tolist() == [0, 2, 1, 2]
    assert entries.cell_offsets.tolist() == [0, 2, 2, 3, 4, 4]
    expected = [[14.0, 140.0], [0.0, 0.0], [-2.0, -20.0], [2.5, 25.0], [0.0, 0.0]]
    assert weighted_pool(features, entries).tolist() == expected
    assert weighted_pool_reference(features, entries).tolist() == expected
    doubled = weighted_pool(features, entries, torch.ones(4))
    assert doubled.tolist() == [[6.0, 60.0], [0.0, 0.0], [2.0, 20.0], [5.0, 50.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ('dtype', 'tolerance'),
    [
        (torch.float64, 1e-14),
        (torch.float32, 1e-6),
        (torch.float16, 3e-3),
        (torch.bfloat16, 2e-2),
    ],
)
@pytest.mark.parametrize('channels', [1, 7, 64])
def test_agrees_with_the_dense_product(
    dtype: torch.dtype, tolerance: float, channels: int
) -> None:
    features, entries, dense = random_case(channels, 60, channels, 41, 500)

    found = weighted_pool(features.to(dtype), entries)
    expected = dense @ features.numpy()
    np.testing.assert_allclose(weighted_pool_reference(features, entries), expected, atol=1e-12)
    assert found.dtype == dtype
    assert np.abs(found.double().numpy() - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize('seed', range(4))
def test_gradients_in_features_and_weights(seed: int) -> None:
    features, entries, dense = random_case(seed, 9, 4, 6, 20)
    weight = torch.randn(20, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert torch.autograd.gradcheck(
        lambda f, w: weighted_pool(f, entries, w),
        (features.requires_grad_(), weight.requires_grad_()),
    )
    weighted_pool(features, entries).sum().backward()
    expected = torch.from_numpy(dense.sum(axis=0)[:, None]).expand(-1, 4)
    torch.testing.assert_close(features.grad, expected)


def test_a_batch_is_block_diagonal() -> None:
    cases = [random_case(seed, rows, 3, 7 + seed, 30) for seed, rows in enumerate((11, 5, 8))]
    empty, _ = WeightedEntries.from_cells(
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), 4
    )
    features = [*(case[0] for case in cases), torch.full((2, 3), torch.nan).double()]
    blocks = [*(case[1] for case in cases), empty]

    batch = WeightedEntries.collate(blocks, [len(f) for f in features]).to('cpu')
    parts = [weighted_pool(f, block) for f, block in zip(features, blocks, strict=True)]
    assert batch.cells == 7 + 8 + 9 + 4
    assert torch.equal(weighted_pool(torch.cat(features), batch), torch.cat(parts))
    assert (parts[-1] == 0).all()


def test_entries_that_do_not_fit() -> None:
    _, entries, _ = random_case(0, 9, 4, 6, 20)
    with pytest.raises(ValueError, match='row_index: expected one-dimensional'):
        WeightedEntries(entries.row_index.long(), entries.weight, entries.cell_offsets)
    with pytest.raises(ValueError, match='weight: expected one-dimensional'):
        WeightedEntries(entries.row_index, entries.weight.double(), entries.cell_offsets)
    with pytest.raises(ValueError, match='20 row indices, 19 weights'):
        WeightedEntries(entries.row_index, entries.weight[1:], entries.cell_offsets)
    with pytest.raises(ValueError, match='weighted_pool: expected features'):
        weighted_pool(torch.zeros(9), entries)
    with pytest.raises(ValueError, match='weighted_pool: expected features'):
        weighted_pool(torch.zeros(9, 4), entries, torch.zeros(19))
    with pytest.raises(ValueError, match='do not fit int32'):
        WeightedEntries.collate([entries, entries], [2**30, 2**30])
    check_int32(2**31 - 1, 'rows')


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_sums_the_same_entries() -> None:
    features, entries, _ = random_case(2, 60, 16, 41, 500)
    found = weighted_pool(features.cuda(), entries.to('cuda'))
    torch.testing.assert_close(found.cpu(), weighted_pool(features, entries))
