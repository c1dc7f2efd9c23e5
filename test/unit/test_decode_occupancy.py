from __future__ import annotations

import numpy as np

from bev_perception.decode.occupancy import future_occupancy


def test_a_wall_stays_and_a_car_moves_on():
    """Cells: wall, car now, car next, free."""
    occupancy = np.array([[0.9, 0.8, 0.1, 0.0]], dtype=np.float32)
    movable = np.array([[[0.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 0.7, 0.0]]], dtype=np.float32)
    np.testing.assert_allclose(future_occupancy(occupancy, movable), [[[0.9, 0.0, 0.7, 0.0]]])


def test_half_movable_leaves_half():
    occupancy = np.array([[0.8]], dtype=np.float32)
    movable = np.array([[[0.5]], [[0.3]], [[0.6]]], dtype=np.float32)
    np.testing.assert_allclose(future_occupancy(occupancy, movable).ravel(), [0.4, 0.6])
