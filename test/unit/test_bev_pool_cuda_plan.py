"""How the CUDA kernels divide a sparse matrix: shapes, schedules, transposes, their cache."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pool_cases import LENGTHS, entries_of

from bev_perception.ops.bev_pool import SparseEntries
from bev_perception.ops.bev_pool.cuda_plan import (
    LONG_INTERVAL,
    WARP,
    WARPS,
    MatrixPlan,
    PoolPlan,
    RowShape,
    plan_of,
)


def int32(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


@pytest.mark.parametrize(
    ('channels', 'scalar_bytes', 'addresses', 'expected'),
    [
        (80, 2, (512, 1024), RowShape(pack=8, lanes=10, tiles=1)),
        (64, 2, (0,), RowShape(pack=8, lanes=8, tiles=1)),
        (80, 4, (0,), RowShape(pack=4, lanes=20, tiles=1)),
        (64, 4, (16, 8), RowShape(pack=2, lanes=32, tiles=1)),
        (130, 2, (0,), RowShape(pack=2, lanes=22, tiles=3)),
        (256, 2, (0, 2), RowShape(pack=1, lanes=32, tiles=8)),
        (264, 2, (0,), RowShape(pack=8, lanes=17, tiles=2)),
        (7, 2, (0,), RowShape(pack=1, lanes=7, tiles=1)),
        (1, 4, (4,), RowShape(pack=1, lanes=1, tiles=1)),
    ],
)
def test_row_shapes_by_hand(
    channels: int, scalar_bytes: int, addresses: tuple[int, ...], expected: RowShape
) -> None:
    assert RowShape.of(channels, scalar_bytes, addresses) == expected


@given(
    channels=st.integers(1, 3000),
    scalar_bytes=st.sampled_from([2, 4]),
    scalars=st.lists(st.integers(0, 64), min_size=1, max_size=3),
)
def test_every_channel_has_one_lane(channels: int, scalar_bytes: int, scalars: list[int]) -> None:
    addresses = [scalar_bytes * count for count in scalars]
    shape = RowShape.of(channels, scalar_bytes, addresses)
    packs = channels // shape.pack
    assert channels % shape.pack == 0 and shape.pack * scalar_bytes <= 16
    assert all(address % (shape.pack * scalar_bytes) == 0 for address in addresses)
    assert 1 <= shape.lanes <= WARP and shape.rows_per_warp * shape.lanes <= WARP
    assert (shape.tiles - 1) * shape.lanes < packs <= shape.tiles * shape.lanes


def test_long_rows_come_first_and_have_a_block_each() -> None:
    offsets = torch.from_numpy(np.cumsum([0, *LENGTHS])).int()
    index = torch.zeros(sum(LENGTHS), dtype=torch.int32)
    plan = PoolPlan.of(index, index, offsets)

    assert LONG_INTERVAL == 64
    assert plan.order.tolist() == [5, 9, 4, 3, 2, 8, 7, 11, 1, 0, 6, 10, 12]
    assert plan.order.dtype == torch.int32
    assert plan.long_rows == 3
    assert plan.rows == 13 and plan.blocks == 3 + 2


@settings(max_examples=50)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_every_row_has_one_warp_or_one_block(lengths: list[int]) -> None:
    offsets = torch.from_numpy(np.cumsum([0, *lengths])).int()
    index = torch.zeros(sum(lengths), dtype=torch.int32)
    plan = PoolPlan.of(index, index, offsets)

    # The assignment of the kernel, restated.
    order = [int(row) for row in plan.order]
    owned = order[: plan.long_rows]
    assert all(lengths[row] > LONG_INTERVAL for row in owned)
    for block in range(plan.long_rows, plan.blocks):
        for warp in range(WARPS):
            rank = plan.long_rows + (block - plan.long_rows) * WARPS + warp
            if rank < plan.rows:
                owned.append(order[rank])
                assert lengths[owned[-1]] <= LONG_INTERVAL
    assert sorted(owned) == list(range(len(lengths)))
    assert [lengths[row] for row in owned] == sorted(lengths, reverse=True)


def test_transposes_by_hand() -> None:
    entries = SparseEntries(int32(2, 0, 2, 0, 0), int32(5, 1, 4, 0, 1), int32(0, 2, 2, 5))
    plan = MatrixPlan.of(entries)

    transposed = plan.transposed(4)
    assert transposed.offsets.tolist() == [0, 3, 3, 5, 5]
    assert transposed.row_index.tolist() == [0, 2, 2, 0, 2]
    assert transposed.weight_index.tolist() == [1, 0, 1, 5, 4]
    assert transposed.order.tolist() == [0, 2, 1, 3] and transposed.long_rows == 0
    by_weight = plan.weight_grad(8)
    assert by_weight.offsets.tolist() == [0, 1, 3, 3, 3, 4, 5, 5, 5]
    assert by_weight.row_index.tolist() == [0, 0, 0, 2, 2]
    assert by_weight.cell_index.tolist() == [2, 0, 2, 2, 0]
    tensors = [*vars(transposed).values(), *vars(by_weight).values()]
    assert {t.dtype for t in tensors if isinstance(t, torch.Tensor)} == {torch.int32}


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=20),
    pixels=st.integers(1, 30),
    bins=st.integers(1, 6),
    spare=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_transposes_hold_the_same_entries(
    lengths: list[int], pixels: int, bins: int, spare: int, seed: int
) -> None:
    entries = entries_of(lengths, pixels, bins, seed)
    plan = MatrixPlan.of(entries)
    cell = np.repeat(np.arange(len(lengths)), lengths)
    given_entries = sorted(
        zip(cell, entries.pixel_index.tolist(), entries.depth_index.tolist(), strict=True)
    )

    transposed = plan.transposed(pixels + spare)
    pixel = np.repeat(np.arange(pixels + spare), transposed.offsets.diff().numpy())
    found = zip(
        transposed.row_index.tolist(), pixel, transposed.weight_index.tolist(), strict=True
    )
    assert sorted(found) == given_entries
    by_weight = plan.weight_grad((pixels + spare) * bins)
    weight = np.repeat(np.arange((pixels + spare) * bins), by_weight.offsets.diff().numpy())
    rows = zip(by_weight.cell_index.tolist(), by_weight.row_index.tolist(), weight, strict=True)
    assert sorted(rows) == given_entries


def test_gradient_plans_are_made_once_per_size() -> None:
    plan = MatrixPlan.of(entries_of((3, 4), 10, 2, seed=0))
    assert plan.transposed(10) is plan.transposed(10)
    assert plan.weight_grad(20) is plan.weight_grad(20)
    assert plan.transposed(11).rows == 11 and len(plan.weight_grad(22).offsets) == 23


@pytest.mark.parametrize(
    ('pixels', 'weights', 'offsets', 'message'),
    [
        ((0, 1), (0, 1), (0, 1), r'rise from 0 to 2 entries, got 0 to 1 with a least step of 1'),
        ((0, 1), (0, 1), (1, 2), r'got 1 to 2'),
        ((0, 1), (0, 1), (0, 2, 1, 2), r'least step of -1'),
        ((0, -3), (0, 1), (0, 2), r'negative index, -3'),
        ((0, 1), (-1, 1), (0, 2), r'negative index, -1'),
    ],
)
def test_entries_that_kernels_must_not_see(
    pixels: tuple[int, ...], weights: tuple[int, ...], offsets: tuple[int, ...], message: str
) -> None:
    entries = SparseEntries(int32(*pixels), int32(*weights), int32(*offsets))
    with pytest.raises(ValueError, match=message):
        MatrixPlan.of(entries)


def test_range_is_that_of_the_largest_index() -> None:
    plan = MatrixPlan.of(SparseEntries(int32(3, 6), int32(9, 1), int32(0, 2)))
    plan.check_range(7, 10)
    with pytest.raises(ValueError, match='need 7 feature rows and 10 weights, got 6 and 10'):
        plan.check_range(6, 10)
    with pytest.raises(ValueError, match='got 7 and 9'):
        plan.check_range(7, 9)
    MatrixPlan.of(SparseEntries(int32(), int32(), int32(0, 0))).check_range(0, 0)


def test_plans_follow_the_tensors_of_the_entries() -> None:
    entries = entries_of((3, 4), 10, 2, seed=1)
    plan = plan_of(entries)
    # Moving entries to where they are makes a new object of the same tensors.
    assert plan_of(entries.to('cpu')) is plan is plan_of(entries)

    other = replace(entries, depth_index=entries.depth_index.clone())
    assert plan_of(other) is not plan
    assert plan_of(replace(entries, cell_offsets=entries.cell_offsets.clone())) is not plan


def test_plans_go_with_their_entries() -> None:
    entries = entries_of((3, 4), 10, 2, seed=2)
    plan = plan_of(entries)
    plan.transposed(10), plan.weight_grad(20)
    gone = weakref.ref(plan)
    del plan
    gc.collect()
    assert gone() is not None
    del entries
    gc.collect()
    assert gone() is None


def test_strided_indices() -> None:
    pairs = torch.tensor([[2, 5], [0, 1], [2, 4]], dtype=torch.int32)
    entries = SparseEntries(pairs[:, 0], pairs[:, 1], int32(0, 1, 3))
    plan = plan_of(entries)
    assert plan.pool.row_index.is_contiguous() and plan.pool.row_index.tolist() == [2, 0, 2]
    assert plan.pool.weight_index.tolist() == [5, 1, 4]
    assert plan_of(entries) is plan
