"""Published ranges: their cells, which models cover them, and how predictions get there."""

from __future__ import annotations

import numpy as np
import pytest

from bev_perception.evaluation.ranges import RANGES, on_grid, range_grid
from bev_perception.geometry.grid import BevGrid

LSS = BevGrid.from_range((-50.0, 50.0), (-50.0, 50.0), 0.5)
FINE = BevGrid.from_range((-15.0, 15.0), (-15.0, 15.0), 0.15)


def test_published_grids() -> None:
    shapes = {name: grid.shape for name in RANGES if (grid := range_grid(name, LSS)) is not None}
    assert shapes == {
        'long': (200, 200),
        'short': (60, 60),
        'short_fine': (200, 200),
        'model': (200, 200),
    }


def test_short_is_the_middle_of_long() -> None:
    """FIERY's program cuts cells 70 to 130 out of the same map."""
    values = np.random.default_rng(0).random(LSS.shape).astype(np.float32)
    short = range_grid('short', LSS)
    assert short is not None
    np.testing.assert_array_equal(on_grid(values, LSS, short), values[70:130, 70:130])
    assert on_grid(values, LSS, LSS) is values


@pytest.mark.parametrize(
    ('grid', 'covered'),
    [
        (FINE, {'short', 'short_fine', 'model'}),
        (BevGrid.from_range((-51.2, 51.2), (-51.2, 51.2), 0.4), set(RANGES)),
        # Simple-BEV's grid is off by 1.6 cm: it holds the centres of all cells.
        (BevGrid.from_range((-50.0, 50.0), (-49.984, 50.016), 0.5), set(RANGES)),
        (BevGrid.from_range((-20.0, 80.0), (-50.0, 50.0), 0.5), {'short', 'short_fine', 'model'}),
        (BevGrid.from_range((0.0, 30.0), (-15.0, 15.0), 0.5), {'model'}),
    ],
)
def test_ranges_that_a_model_covers(grid: BevGrid, covered: set[str]) -> None:
    assert {name for name in RANGES if range_grid(name, grid) is not None} == covered


def test_lookup_between_resolutions() -> None:
    source = BevGrid(0.0, 0.0, 1.0, 2, 2)
    target = BevGrid(0.0, 0.0, 0.5, 5, 4)
    labels = np.array([[1, 2], [3, 4]], np.int32)
    found = on_grid(labels, source, target)
    assert found.dtype == np.int32
    assert found.tolist() == [[1, 1, 2, 2, 0], [1, 1, 2, 2, 0], [3, 3, 4, 4, 0], [3, 3, 4, 4, 0]]


def test_lookup_keeps_axes() -> None:
    """Cells ahead on the left of a grid that is longer than wide, at twice the resolution."""
    source, target = BevGrid(0.0, 0.0, 1.0, 4, 3), BevGrid(2.0, 1.0, 0.5, 4, 2)
    values = np.arange(12).reshape(3, 4)
    assert on_grid(values, source, target).tolist() == [[6, 6, 7, 7], [6, 6, 7, 7]]
    stack = on_grid(np.stack([values, -values]), source, target)
    assert stack[1].tolist() == [[-6, -6, -7, -7], [-6, -6, -7, -7]]
