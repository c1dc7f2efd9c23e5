"""The grid sampler against loops in float64, numbers by hand, and what it promises on layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.grid_sampler import GridSampler

SOURCE = BevGrid(-4.0, -3.0, 1.0, 9, 5)


def features(grid: BevGrid, channels: int = 3, batch: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    bev = torch.randn(batch, channels, *grid.shape, generator=generator)
    return bev.contiguous(memory_format=torch.channels_last)


def mean_by_hand(bev: np.ndarray, source: BevGrid, target: BevGrid) -> np.ndarray:
    """Returns [C, Y', X']: mean over a window of the source cells, each with its overlap."""
    window_m = max(source.resolution_m, target.resolution_m)
    out = np.zeros((bev.shape[0], *target.shape))
    inner, outer = source.cell_centers().tolist(), target.cell_centers().tolist()
    for iy, ix in np.ndindex(target.shape):
        x, y = outer[iy][ix]
        if not (source.x_min_m <= x < source.x_max_m and source.y_min_m <= y < source.y_max_m):
            continue
        area = 0.0
        for jy, jx in np.ndindex(source.shape):
            cx, cy = inner[jy][jx]
            reach = (window_m + source.resolution_m) / 2
            most = min(window_m, source.resolution_m)
            wide = min(most, max(0.0, reach - abs(x - cx)))
            high = min(most, max(0.0, reach - abs(y - cy)))
            if wide * high > 0:
                out[:, iy, ix] += wide * high * bev[:, jy, jx]
                area += wide * high
        out[:, iy, ix] /= area
    return out


def bilinear_by_hand(bev: np.ndarray, source: BevGrid, x_m: float, y_m: float) -> np.ndarray:
    """Returns [C]: four taps, the outermost cells going on to the rim of the source."""
    u = (x_m - source.x_min_m) / source.resolution_m - 0.5
    v = (y_m - source.y_min_m) / source.resolution_m - 0.5
    u, v = np.clip(u, 0, source.size_x - 1), np.clip(v, 0, source.size_y - 1)
    x0, y0 = int(u), int(v)
    x1, y1 = min(x0 + 1, source.size_x - 1), min(y0 + 1, source.size_y - 1)
    a, b = u - x0, v - y0
    low = (1 - a) * bev[:, y0, x0] + a * bev[:, y0, x1]
    return (1 - b) * low + b * ((1 - a) * bev[:, y1, x0] + a * bev[:, y1, x1])


GRIDS = st.builds(
    BevGrid,
    st.floats(-8.0, 2.0),
    st.floats(-8.0, 2.0),
    st.floats(0.3, 3.0),
    st.integers(1, 9),
    st.integers(1, 9),
)


@given(source=GRIDS, target=GRIDS)
@settings(max_examples=100, deadline=None)
def test_any_two_grids_agree_with_the_loops(source: BevGrid, target: BevGrid) -> None:
    bev = features(source)
    try:
        found = GridSampler(source, target)(bev)
    except ConfigError:
        assert not mean_by_hand(np.ones((1, *source.shape)), source, target).any()
        return
    for sample, expected in zip(found, bev.double().numpy(), strict=True):
        by_hand = mean_by_hand(expected, source, target)
        np.testing.assert_allclose(sample.numpy(), by_hand, rtol=0, atol=1e-5)


@given(source=GRIDS, share=st.floats(0.2, 1.0), left=st.floats(0, 0.9), low=st.floats(0, 0.9))
@settings(max_examples=50, deadline=None)
def test_finer_heads_interpolate_bilinearly(
    source: BevGrid, share: float, left: float, low: float
) -> None:
    x_min_m = source.x_min_m + left * (source.x_max_m - source.x_min_m)
    y_min_m = source.y_min_m + low * (source.y_max_m - source.y_min_m)
    target = BevGrid(x_min_m, y_min_m, share * source.resolution_m, 3, 2)
    bev = features(source, batch=1)
    try:
        found = GridSampler(source, target)(bev)[0].numpy()
    except ConfigError:
        return
    for iy, ix in np.ndindex(target.shape):
        x, y = target.cell_centers()[iy, ix]
        if source.to_cell(x, y)[2]:
            expected = bilinear_by_hand(bev[0].double().numpy(), source, x, y)
            np.testing.assert_allclose(found[:, iy, ix], expected, rtol=0, atol=1e-5)


def test_numbers_by_hand() -> None:
    source = BevGrid(0.0, 0.0, 1.0, 4, 1)
    bev = torch.tensor([[[[1.0, 2.0, 4.0, 8.0]]]])
    halves = GridSampler(source, BevGrid(0.0, -0.5, 2.0, 2, 1))(bev)
    assert halves.flatten().tolist() == [1.5, 6.0]
    # Twice as fine: centres at 0.25, 0.75, ... m; the first lies before the first cell's centre.
    finer = GridSampler(source, BevGrid(0.0, 0.0, 0.5, 4, 2))(bev)
    assert finer[0, 0, 0].tolist() == [1.0, 1.25, 1.75, 2.5]
    assert torch.equal(finer[0, 0, 0], finer[0, 0, 1])
    # Cells of 3 m: the second, from 3 to 6 m, has its centre outside.
    thirds = GridSampler(source, BevGrid(0.0, -1.0, 3.0, 2, 1))(bev)
    torch.testing.assert_close(thirds.flatten(), torch.tensor([7.0 / 3.0, 0.0]))
    # Half of the cell from 2 to 6 m is known, and its mean is that half's.
    rim = GridSampler(source, BevGrid(1.0, -1.5, 4.0, 1, 1))(bev)
    torch.testing.assert_close(rim.flatten(), torch.tensor([14.0 / 3.0]))


def test_same_grid_is_the_same_tensor() -> None:
    bev = features(SOURCE)
    assert GridSampler(SOURCE, BevGrid(-4.0, -3.0, 1.0, 9, 5))(bev) is bev


def test_whole_cells_are_a_view() -> None:
    bev = features(SOURCE)
    found = GridSampler(SOURCE, BevGrid(-2.0, -1.0, 1.0, 4, 2))(bev)
    assert torch.equal(found, bev[:, :, 2:4, 2:6])
    assert found.untyped_storage().data_ptr() == bev.untyped_storage().data_ptr()


def test_decimal_ranges_are_whole_cells_all_the_same() -> None:
    source = BevGrid.from_range((-51.2, 51.2), (-51.2, 51.2), 0.8)
    target = BevGrid.from_range((-30.4, 40.0), (-20.8, 20.0), 0.8)
    bev = features(source, channels=2, batch=1)
    found = GridSampler(source, target)(bev)
    assert torch.equal(found, bev[:, :, 38:89, 26:114])


def test_whole_cells_that_reach_outside_are_zero_there() -> None:
    bev = features(SOURCE)
    found = GridSampler(SOURCE, BevGrid(-6.0, 0.0, 1.0, 5, 4))(bev)
    assert torch.equal(found[:, :, :2, 2:], bev[:, :, 3:, :3])
    assert not found[:, :, 2:].any() and not found[:, :, :, :2].any()


def test_a_constant_stays_constant_up_to_the_rim() -> None:
    for resolution_m in (0.3, 0.7, 1.3, 2.6):
        target = BevGrid(-4.0, -3.0, resolution_m, math.floor(8.9 / resolution_m), 2)
        found = GridSampler(SOURCE, target)(torch.ones(1, 1, *SOURCE.shape))
        torch.testing.assert_close(found, torch.ones_like(found))


def test_coarser_heads_do_not_alias() -> None:
    """Stripes as fine as the grid average out instead of turning into others."""
    source = BevGrid(0.0, 0.0, 0.5, 24, 24)
    stripes = torch.tensor([1.0, -1.0]).repeat(12).expand(1, 1, 24, 24)
    found = GridSampler(source, BevGrid(0.0, 0.0, 1.5, 8, 8))(stripes)
    assert float(found.abs().max()) <= 1.0 / 3.0 + 1e-6
    assert not GridSampler(source, BevGrid(0.0, 0.0, 1.0, 12, 12))(stripes).any()


def test_layout_dtype_gradient_and_state() -> None:
    target = BevGrid(-3.1, -2.2, 0.7, 6, 4)
    sampler = GridSampler(SOURCE, target)
    bev = features(SOURCE)
    found = sampler(bev)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(sampler(bev.contiguous()), found)
    assert sampler(bev.bfloat16()).dtype == torch.bfloat16
    assert not sampler.state_dict()
    small = torch.randn(1, 1, *SOURCE.shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(sampler.double(), small)


def test_batch_equals_its_samples() -> None:
    sampler = GridSampler(SOURCE, BevGrid(-3.1, -2.2, 1.7, 4, 2))
    bev = features(SOURCE, batch=3)
    for index, expected in enumerate(sampler(bev)):
        torch.testing.assert_close(sampler(bev[index : index + 1])[0], expected)


def test_grid_outside_of_the_model_is_told() -> None:
    with pytest.raises(ConfigError, match=r'\[20, 24\) x \[-3, 0\) m lies outside.*\[-4, 5\)'):
        GridSampler(SOURCE, BevGrid(20.0, -3.0, 1.0, 4, 3))
