"""Warps of BEV maps against a float64 restatement, exact shifts and edges by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.memory.warp import bilinear_taps, inside_share, known_taps, sample, warp

GRID = BevGrid(-3.0, -1.0, 0.5, 12, 7)


def motion(x_m: float, y_m: float, yaw_rad: float = 0.0) -> Tensor:
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return torch.tensor([[[cos, -sin, x_m], [sin, cos, y_m]]], dtype=torch.float64).float()


def random_map(grid: BevGrid, channels: int = 3, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, *grid.shape, generator=generator)


def warp_by_hand(
    features: NDArray[np.float64], matrix: NDArray[np.float64], grid: BevGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the warped map [C, Y, X] and the share inside, cell by cell from the definition."""
    out = np.zeros_like(features)
    share = np.zeros(grid.shape)
    for iy, ix in np.ndindex(*grid.shape):
        x, y = matrix[:, :2] @ grid.cell_centers()[iy, ix] + matrix[:, 2]
        u = (x - grid.x_min_m) / grid.resolution_m - 0.5
        v = (y - grid.y_min_m) / grid.resolution_m - 0.5
        for row in range(math.floor(v), math.floor(v) + 2):
            for column in range(math.floor(u), math.floor(u) + 2):
                if 0 <= row < grid.size_y and 0 <= column < grid.size_x:
                    weight = (1 - abs(v - row)) * (1 - abs(u - column))
                    out[:, iy, ix] += weight * features[:, row, column]
                    share[iy, ix] += weight
    return out, share


def shifted_by_hand(features: Tensor, cells_x: int, cells_y: int) -> Tensor:
    """Returns the map whose cell (iy, ix) is (iy + cells_y, ix + cells_x) of `features`."""
    out = torch.zeros_like(features)
    size_y, size_x = features.shape[-2:]
    for iy in range(size_y):
        for ix in range(size_x):
            if 0 <= iy + cells_y < size_y and 0 <= ix + cells_x < size_x:
                out[..., iy, ix] = features[..., iy + cells_y, ix + cells_x]
    return out


grids = st.builds(
    BevGrid,
    x_min_m=st.floats(-300.0, 300.0),
    y_min_m=st.floats(-300.0, 300.0),
    resolution_m=st.floats(0.05, 3.0),
    size_x=st.integers(1, 14),
    size_y=st.integers(1, 11),
)


@settings(max_examples=60, deadline=None)
@given(grids, st.floats(-6, 6), st.floats(-6, 6), st.floats(-4, 4))
def test_any_motion_on_any_grid_is_the_definition(
    grid: BevGrid, cells_x: float, cells_y: float, yaw_rad: float
) -> None:
    """Turns are about the grid's middle, so that something of the map stays in view."""
    middle = np.array([grid.x_min_m + grid.x_max_m, grid.y_min_m + grid.y_max_m]) / 2
    matrix = motion(0.0, 0.0, yaw_rad)[0].double().numpy()
    moved = np.array([cells_x, cells_y]) * grid.resolution_m
    matrix[:, 2] = middle - matrix[:, :2] @ middle + moved
    features = random_map(grid)
    transform = torch.from_numpy(matrix).float()[None]
    exact = transform[0].double().numpy()

    expected, share = warp_by_hand(features[0].double().numpy(), exact, grid)
    # A place of 300 m is rounded by up to 1.6e-5 m in each of four operations in float32; a map
    # changes by at most its range within a cell, along each axis.
    spread = float(features.max() - features.min())
    tolerance = 1e-4 + 2 * spread * 4 * 1.6e-5 / grid.resolution_m
    np.testing.assert_allclose(warp(features, transform, grid)[0], expected, atol=tolerance)
    np.testing.assert_allclose(inside_share(transform, grid)[0, 0], share, atol=tolerance)


def test_forward_motion_brings_what_was_ahead_nearer() -> None:
    """1 m forwards and 0.5 m to the left: what was in cell (4, 6) is now in (3, 4)."""
    features = torch.zeros(1, 1, *GRID.shape)
    features[0, 0, 4, 6] = 1.0
    found = warp(features, motion(1.0, 0.5), GRID)
    assert found.nonzero().tolist() == [[0, 0, 3, 4]]


def test_a_quarter_turn_by_hand() -> None:
    """Facing left, what was to the left, (0.25, 1.75), is ahead at (1.75, -0.25)."""
    features = torch.zeros(1, 1, *GRID.shape)
    features[0, 0, 5, 6] = 1.0
    found = warp(features, motion(0.0, 0.0, math.pi / 2), GRID)
    assert found[0, 0, 1, 9] == pytest.approx(1.0, abs=1e-5)
    assert found.sum() == pytest.approx(1.0, abs=1e-5)


def test_parts_of_cells_by_hand() -> None:
    """A quarter of a cell to the right in the source: three quarters and one quarter."""
    features = torch.zeros(1, 1, *GRID.shape)
    features[0, 0, 3, 5] = 8.0
    found = warp(features, motion(0.125, 0.0), GRID)[0, 0]
    assert found[3, 5] == 6.0 and found[3, 4] == 2.0 and found.sum() == 8.0
    share = inside_share(motion(0.125, -0.25), GRID)[0, 0]
    assert share[0, 11] == 0.5 * 0.75 and share[0, 0] == 0.5
    assert (share[1:, 11] == 0.75).all() and (share[1:, :11] == 1.0).all()


@settings(max_examples=60, deadline=None)
@given(grids, st.integers(-12, 12), st.integers(-12, 12))
def test_whole_cells_are_exact(grid: BevGrid, cells_x: int, cells_y: int) -> None:
    features = random_map(grid)
    shift = motion(cells_x * grid.resolution_m, cells_y * grid.resolution_m)
    assert torch.equal(warp(features, shift, grid), shifted_by_hand(features, cells_x, cells_y))


@pytest.mark.parametrize('resolution_m', [0.1, 0.15, 0.3, 0.512, 0.8, 1.7])
@pytest.mark.parametrize('cells', [1, 3, 7, 29, 80])
def test_long_shifts_are_exact(resolution_m: float, cells: int) -> None:
    grid = BevGrid(-171.3, 33.3, resolution_m, 200, 3)
    features = random_map(grid)
    found = warp(features, motion(cells * resolution_m, 0.0), grid)
    assert torch.equal(found[..., :-cells], features[..., cells:])
    assert not found[..., -cells:].any()


def test_the_identity_is_exact_a_hundred_times() -> None:
    grid = BevGrid(-51.2, -30.7, 0.15, 131, 77)
    features = random_map(grid)
    found = features
    for _ in range(100):
        found = warp(found, motion(0.0, 0.0), grid)
    assert torch.equal(found, features)


@pytest.mark.parametrize('metres', [30.0, 1e4, 1e12])
def test_nothing_is_seen_from_afar(metres: float) -> None:
    for transform in (motion(metres, 0.0), motion(0.0, -metres), motion(-metres, metres, 1.0)):
        assert not warp(random_map(GRID), transform, GRID).any()
        assert not inside_share(transform, GRID).any()


def test_every_sample_has_its_own_motion() -> None:
    features = random_map(GRID, batch=3)
    motions = torch.cat([motion(0.3, 0.1, 0.2), motion(0.5, 0.0), motion(-1.2, 0.7, -2.0)])
    found = warp(features, motions, GRID)
    for index in range(3):
        one = slice(index, index + 1)
        alone = warp(features[one], motions[one], GRID)
        torch.testing.assert_close(found[one], alone, rtol=0.0, atol=1e-6)


def test_layout_changes_nothing_and_the_result_is_channels_last() -> None:
    features = random_map(GRID, channels=5, batch=2)
    motions = torch.cat([motion(0.3, 0.1, 0.2), motion(0.5, 0.0)])
    found = warp(features.contiguous(memory_format=torch.channels_last), motions, GRID)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, warp(features, motions, GRID))


def test_narrow_types_do_not_move_the_places() -> None:
    """bfloat16 knows no column 198.25; a quarter of a cell must survive at the far end."""
    grid = BevGrid(-50.0, -50.0, 0.5, 200, 3)
    features = torch.zeros(1, 1, *grid.shape, dtype=torch.bfloat16)
    features[..., 198] = 1.0
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = warp(features, motion(0.125, 0.0), grid)
        wide = warp(features.float(), motion(0.125, 0.0), grid)
    assert found.dtype == torch.bfloat16 and wide.dtype == torch.float32
    assert (found[..., 198] == 0.75).all() and (found[..., 197] == 0.25).all()
    assert torch.equal(wide, found.float())


def test_gradients() -> None:
    features = random_map(GRID).double().requires_grad_()
    transform = motion(0.4, -0.3, 0.3)
    assert torch.autograd.gradcheck(lambda f: warp(f, transform, GRID), (features,))


def test_recorded_graphs_sum_the_same_taps() -> None:
    features = random_map(GRID, batch=2)
    motions = torch.cat([motion(0.3, 0.1, 0.2), motion(0.5, 0.0)])
    traced = torch.jit.trace(lambda f, m: warp(f, m, GRID), (features, motions))
    assert 'embedding_bag' not in str(traced.graph)
    for inputs in ((features, motions), (features * 2.0, motions.flip(0))):
        torch.testing.assert_close(traced(*inputs), warp(*inputs, GRID), rtol=0.0, atol=1e-6)


def test_unknown_source_cells_neither_count_nor_fade() -> None:
    """Columns from 6 on hold 5.0, the rest is unknown; then the map is seen half a cell off."""
    known = torch.zeros(1, 1, *GRID.shape)
    known[..., 6:] = 1.0
    half, target = known_taps(bilinear_taps(motion(0.25, 0.0), GRID), known)
    found = sample(known * 5.0, half)[0, 0]
    assert (found[:, 5:] == 5.0).all() and not found[:, :5].any()
    assert torch.equal(target[0, 0], (found > 0).float())

    third, target = known_taps(bilinear_taps(motion(0.15, 0.0), GRID), known)
    assert (target[0, 0, :, 6:] == 1.0).all() and not target[0, 0, :, :6].any()
    assert not sample(known * 5.0, third)[0, 0, :, :6].any()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_samples_the_same_taps() -> None:
    features = random_map(GRID, batch=2, channels=8)
    motions = torch.cat([motion(0.3, 0.1, 0.2), motion(0.5, 0.0)])
    found = warp(features.cuda(), motions.cuda(), GRID)
    torch.testing.assert_close(found.cpu(), warp(features, motions, GRID), rtol=0.0, atol=1e-5)
