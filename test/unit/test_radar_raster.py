"""Radar points as a raster, and the layer that takes it in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform.radar import RadarInput, rasterise_radar


def test_numbers_by_hand() -> None:
    grid = BevGrid(-2.0, -1.0, 1.0, 4, 2)
    points = [
        [1.5, 0.5, 10.0, -3.0],  # cell (y, x) = (1, 3)
        [1.1, 0.9, 20.0, 4.0],  # the same
        [-2.0, -1.0, 7.0, 0.0],  # (0, 0), on the edges that belong to it
        [2.0, 0.0, 1.0, 1.0],  # on the far edge, which does not
        [-2.1, 0.0, 1.0, 1.0],  # behind the grid
    ]
    expected = np.zeros((3, 2, 4), np.float32)
    expected[:, 1, 3] = 1.0, 15.0, 0.5
    expected[:, 0, 0] = 1.0, 7.0, 0.0

    raster = rasterise_radar(points, grid)
    assert raster.dtype == np.float32
    assert np.array_equal(raster, expected)


def rasterise_by_hand(points: np.ndarray, grid: BevGrid) -> np.ndarray:
    features = points.shape[1] - 2
    raster = np.zeros((1 + features, *grid.shape))
    for iy, ix in np.ndindex(*grid.shape):
        x_m = grid.x_min_m + ix * grid.resolution_m
        y_m = grid.y_min_m + iy * grid.resolution_m
        mine = [
            p[2:]
            for p in points
            if x_m <= p[0] < x_m + grid.resolution_m and y_m <= p[1] < y_m + grid.resolution_m
        ]
        if mine:
            raster[:, iy, ix] = 1.0, *np.mean(mine, axis=0)
    return raster


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    features=st.integers(0, 4),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_random_points(seed: int, count: int, features: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    # Multiples of 1/8 and a resolution of 1/4 keep every cell edge exact.
    grid = BevGrid(-rng.integers(0, 9) / 4, -rng.integers(0, 9) / 4, 0.25, *size)
    points = np.concatenate(
        [rng.integers(-24, 24, (count, 2)) / 8, rng.normal(size=(count, features))], axis=1
    )

    raster = rasterise_radar(points, grid)
    np.testing.assert_allclose(raster, rasterise_by_hand(points, grid), rtol=1e-6, atol=1e-6)
    shuffled = rasterise_radar(rng.permutation(points), grid)
    np.testing.assert_allclose(shuffled, raster, rtol=1e-6, atol=1e-6)


def test_no_points_give_zeros() -> None:
    grid = BevGrid(-2.0, -1.0, 1.0, 4, 2)
    assert np.array_equal(rasterise_radar(np.zeros((0, 5)), grid), np.zeros((4, 2, 4)))
    assert np.array_equal(rasterise_radar([[9.0, 9.0, 1.0]], grid), np.zeros((2, 2, 4)))


@pytest.mark.parametrize('column', range(3))
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.filterwarnings('error')
def test_points_that_are_not_finite_are_left_out(column: int, value: float) -> None:
    grid = BevGrid(-2.0, -1.0, 1.0, 4, 2)
    good = [0.5, 0.5, 3.0]
    bad = [0.5, 0.5, 5.0]
    bad[column] = value
    assert np.array_equal(rasterise_radar([good, bad], grid), rasterise_radar([good], grid))


@pytest.mark.parametrize('points', [[], [1.0, 2.0], [[1.0], [2.0]], np.zeros((1, 2, 3))])
def test_points_of_another_shape(points: ArrayLike) -> None:
    with pytest.raises(ConfigError, match='radar: expected points'):
        rasterise_radar(points, BevGrid(-2.0, -1.0, 1.0, 4, 2))


def test_the_layer_keeps_the_channels_of_the_features() -> None:
    torch.manual_seed(0)
    layer = RadarInput(6, 4).eval()
    bev, raster = torch.randn(2, 6, 5, 7), torch.randn(2, 4, 5, 7)
    found = layer(bev, raster)
    assert found.shape == bev.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(layer.double()(bev.double(), raster), layer(bev.double(), raster.double()))


def test_the_layer_reads_both() -> None:
    torch.manual_seed(0)
    layer = RadarInput(6, 4)
    bev = torch.randn(2, 6, 5, 7, requires_grad=True)
    raster = torch.randn(2, 4, 5, 7, requires_grad=True)
    layer(bev, raster).square().sum().backward()
    assert bev.grad is not None and raster.grad is not None
    assert (bev.grad.abs().amax((0, 2, 3)) > 0).all()
    assert (raster.grad.abs().amax((0, 2, 3)) > 0).all()


def test_a_detection_changes_its_surroundings_only() -> None:
    torch.manual_seed(0)
    layer = RadarInput(6, 3).eval()
    grid = BevGrid(-4.0, -4.0, 1.0, 9, 8)
    bev = torch.randn(1, 6, *grid.shape)
    empty, one = (
        layer(bev, torch.from_numpy(rasterise_radar(points, grid))[None])
        for points in (np.zeros((0, 4)), [[2.5, -1.5, 3.0, 4.0]])
    )
    changed = (empty != one).any(dim=1)[0].nonzero()
    # Cell (y, x) = (2, 6) and its neighbours.
    assert len(changed) and (changed - torch.tensor([2, 6])).abs().max() == 1
