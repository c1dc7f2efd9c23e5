"""The grid: cell centres, indices and the lay-out of nav_msgs/OccupancyGrid."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid


def test_cells_by_hand():
    grid = BevGrid(x_min_m=-1.0, y_min_m=10.0, resolution_m=0.5, size_x=4, size_y=2)
    x, y = grid.axis_centers()
    np.testing.assert_allclose(x, [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(y, [10.25, 10.75])
    assert grid.shape == (2, 4)
    assert (grid.x_max_m, grid.y_max_m) == (1.0, 11.0)
    centers = grid.cell_centers()
    assert centers.shape == (2, 4, 2)
    np.testing.assert_allclose(centers[1, 0], [-0.75, 10.75])
    np.testing.assert_allclose(centers[0, 3], [0.75, 10.25])


def test_ravelled_arrays_are_occupancy_grid_data():
    """nav_msgs: cell (x, y) is data[y * width + x], x first; origin is the lower left corner."""
    grid = BevGrid.from_range((-2.0, 4.0), (-1.0, 2.0), 0.5)
    iy, ix, inside = grid.to_cell(3.2, -0.9)
    values = np.zeros(grid.shape)
    values[iy, ix] = 1.0
    column, row = int((3.2 - -2.0) / 0.5), int((-0.9 - -1.0) / 0.5)
    assert inside
    assert np.flatnonzero(values.ravel()).tolist() == [row * grid.size_x + column]


def test_every_cell_centre_maps_to_its_own_index_on_random_grids():
    rng = np.random.default_rng(0)
    for _ in range(30):
        size_x, size_y = (int(size) for size in rng.integers(1, 40, 2))
        x_min, y_min, resolution = rng.uniform([-60, -60, 0.05], [60, 60, 2.0])
        grid = BevGrid(x_min, y_min, resolution, size_x, size_y)
        centers = grid.cell_centers()
        iy, ix, inside = grid.to_cell(centers[..., 0], centers[..., 1])
        expected_y, expected_x = np.mgrid[: grid.size_y, : grid.size_x]
        np.testing.assert_array_equal(iy, expected_y)
        np.testing.assert_array_equal(ix, expected_x)
        assert inside.all()


def test_lower_edges_are_inside_upper_edges_are_not():
    grid = BevGrid.from_range((-1.0, 1.0), (0.0, 3.0), 0.5)
    _, ix, inside = grid.to_cell([-1.0, 1.0, -1.001, 0.0], [0.0, 1.0, 1.0, 3.0])
    assert inside.tolist() == [True, False, False, False]
    assert ix.tolist() == [0, 4, -1, 2]


@pytest.mark.filterwarnings('error')
def test_points_without_a_position_are_outside():
    grid = BevGrid.from_range((-1.0, 1.0), (0.0, 3.0), 0.5)
    inside = grid.to_cell([np.nan, 0.0, np.inf, -np.inf], [1.0, np.nan, 1.0, 1.0])[2]
    assert not inside.any()


def test_range_must_be_whole_cells():
    grid = BevGrid.from_range((-51.2, 51.2), (-25.6, 25.6), 0.4)
    assert grid.shape == (128, 256)
    with pytest.raises(ConfigError, match=r'x range \[0, 1.0\) is not a whole number of cells'):
        BevGrid.from_range((0, 1.0), (0, 3.0), 0.3)
    with pytest.raises(ConfigError, match='y range'):
        BevGrid.from_range((0, 3.0), (3.0, 0.0), 0.3)


@pytest.mark.parametrize('resolution', [0.0, -1.0, float('nan'), float('inf')])
def test_impossible_resolutions_are_refused(resolution):
    with pytest.raises(ConfigError, match='resolution_m must be > 0'):
        BevGrid.from_range((0, 1), (0, 1), resolution)
    with pytest.raises(ConfigError, match='resolution_m must be > 0'):
        BevGrid(0.0, 0.0, resolution, 1, 1)


def test_impossible_grids_are_refused():
    with pytest.raises(ConfigError, match='at least one cell'):
        BevGrid(0.0, 0.0, 1.0, 0, 5)
    with pytest.raises(ConfigError, match='must be finite'):
        BevGrid(float('nan'), 0.0, 1.0, 5, 5)
    with pytest.raises(ConfigError, match='x range'):
        BevGrid.from_range((0.0, float('inf')), (0.0, 1.0), 0.5)
