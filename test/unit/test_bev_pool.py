"""BEV pooling against numbers by hand, the float64 reference and a dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bev_perception.ops.bev_pool import SparseEntries, bev_pool, bev_pool_reference


def make_entries(cells: list[list[tuple[int, int]]], bins: int) -> SparseEntries:
    """Returns entries from a list per cell of (pixel, bin)."""
    flat = [entry for cell in cells for entry in cell]
    pixel = torch.tensor([p for p, _ in flat], dtype=torch.int32)
    depth = torch.tensor([p * bins + b for p, b in flat], dtype=torch.int32)
    offsets = np.cumsum([0, *map(len, cells)])
    return SparseEntries(pixel, depth, torch.tensor(offsets, dtype=torch.int32))


def random_case(
    seed: int, pixels: int, channels: int, bins: int, cells: int, entries: int
) -> tuple[Tensor, Tensor, SparseEntries, np.ndarray]:
    """Returns features, depth (float64), entries and the dense [cells, pixels, bins] pattern."""
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(pixels, channels)))
    depth = torch.from_numpy(rng.random((pixels, bins)))
    chosen = rng.choice(pixels * bins, size=entries, replace=False)
    cell = np.sort(rng.integers(0, cells, size=entries))
    pattern = np.zeros((cells, pixels * bins))
    pattern[cell, chosen] = 1.0
    lists: list[list[tuple[int, int]]] = [[] for _ in range(cells)]
    for c, position in zip(cell, chosen, strict=True):
        lists[c].append(divmod(int(position), bins))
    return features, depth, make_entries(lists, bins), pattern.reshape(cells, pixels, bins)


def test_numbers_by_hand() -> None:
    features = torch.tensor([[1.0, 10.0], [2.0, 20.0], [5.0, 50.0]])
    depth = torch.tensor([[0.25, 0.75], [0.5, 0.125], [1.0, 2.0]])
    entries = make_entries([[(0, 1), (1, 0)], [], [(2, 1), (0, 0), (1, 1)], [(2, 0)], []], bins=2)

    expected = [[1.75, 17.5], [0.0, 0.0], [10.5, 105.0], [5.0, 50.0], [0.0, 0.0]]
    assert bev_pool(features, depth, entries).tolist() == expected
    assert bev_pool_reference(features, depth, entries).tolist() == expected


@pytest.mark.parametrize('seed', range(5))
def test_reference_is_the_dense_product(seed: int) -> None:
    features, depth, entries, pattern = random_case(seed, 23, 6, 5, 17, 70)

    dense = np.einsum('kpd,pd,pc->kc', pattern, depth.numpy(), features.numpy())
    np.testing.assert_allclose(bev_pool_reference(features, depth, entries), dense, atol=1e-13)


@pytest.mark.parametrize(
    ('dtype', 'tolerance'),
    [
        (torch.float64, 1e-14),
        (torch.float32, 1e-6),
        (torch.float16, 3e-3),
        (torch.bfloat16, 2e-2),
    ],
)
@pytest.mark.parametrize('channels', [1, 7, 64, 80])
def test_agrees_with_the_reference(dtype: torch.dtype, tolerance: float, channels: int) -> None:
    features, depth, entries, _ = random_case(channels, 211, channels, 13, 50, 1500)

    found = bev_pool(features.to(dtype), depth.to(dtype), entries)
    expected = bev_pool_reference(features, depth, entries)
    assert found.dtype == dtype
    assert np.abs(found.double().numpy() - expected).max() <= tolerance * np.abs(expected).max()


def test_depth_takes_the_type_of_the_features() -> None:
    features, depth, entries, _ = random_case(0, 40, 8, 4, 9, 90)

    mixed = bev_pool(features.bfloat16(), depth.float(), entries)
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, bev_pool(features.bfloat16(), depth.bfloat16(), entries))


def test_no_entries_give_zeros_even_from_nan() -> None:
    features = torch.full((4, 3), torch.nan)

    found = bev_pool(features, torch.ones(4, 2), make_entries([[]] * 6, bins=2))
    assert torch.equal(found, torch.zeros(6, 3))


def test_gradcheck() -> None:
    features, depth, entries, _ = random_case(3, 9, 4, 3, 6, 20)

    assert torch.autograd.gradcheck(
        lambda f, d: bev_pool(f, d, entries),
        (features.requires_grad_(), depth.requires_grad_()),
    )


def test_gradients_equal_those_of_the_outer_product_form() -> None:
    features, depth, entries, pattern = random_case(4, 120, 32, 11, 60, 900)
    weight = torch.randn(60, 32, generator=torch.Generator().manual_seed(0))
    ours = [features.float().requires_grad_(), depth.float().requires_grad_()]
    naive = [features.requires_grad_(), depth.requires_grad_()]

    (bev_pool(ours[0], ours[1], entries) * weight).sum().backward()
    volume = naive[1][:, :, None] * naive[0][:, None, :]
    (torch.einsum('kpd,pdc->kc', torch.from_numpy(pattern), volume) * weight).sum().backward()
    for mine, theirs in zip(ours, naive, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        error = (mine.grad.double() - theirs.grad).abs().max()
        assert error <= 1e-6 * theirs.grad.abs().max()


@pytest.mark.parametrize(
    ('features', 'depth'), [((4, 3), (5, 2)), ((2, 2, 3), (4, 2)), ((4, 3), (8,))]
)
def test_shapes_that_do_not_fit(features: tuple[int, ...], depth: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='bev_pool: expected features'):
        bev_pool(torch.zeros(features), torch.zeros(depth), make_entries([[(0, 0)]], bins=2))


def test_entries_are_validated() -> None:
    index = torch.zeros(2, dtype=torch.int32)
    offsets = torch.tensor([0, 2], dtype=torch.int32)
    with pytest.raises(ValueError, match='depth_index: expected one-dimensional int32'):
        SparseEntries(index, index.long(), offsets)
    with pytest.raises(ValueError, match='do not fit together'):
        SparseEntries(index, index[:1], offsets)
    assert SparseEntries(index, index, offsets).cells == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float32, 1e-6), (torch.float16, 3e-3), (torch.bfloat16, 2e-2)]
)
def test_cuda_agrees_with_the_reference(dtype: torch.dtype, tolerance: float) -> None:
    features, depth, entries, _ = random_case(1, 300, 64, 13, 50, 2500)

    found = bev_pool(features.to('cuda', dtype), depth.to('cuda', dtype), entries.to('cuda'))
    expected = bev_pool_reference(features, depth, entries)
    error = np.abs(found.double().cpu().numpy() - expected).max()
    assert error <= tolerance * np.abs(expected).max()
