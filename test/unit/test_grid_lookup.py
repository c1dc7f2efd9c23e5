"""Maps of one grid read on another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.grid_lookup import looked_up


@given(st.integers(0, 10**6))
def test_restated_cell_by_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = (
        BevGrid(
            float(rng.uniform(-9, 3)), float(rng.uniform(-9, 3)), float(rng.uniform(0.2, 1.5)),
            int(rng.integers(1, 9)), int(rng.integers(1, 9)),
        )
        for _ in range(2)
    )  # fmt: skip
    values = rng.normal(size=(2, *source.shape)).astype(np.float32)
    found = looked_up(values, source, target)
    for iy, ix in np.ndindex(*target.shape):
        x, y = target.cell_centers()[iy, ix]
        jy, jx, inside = source.to_cell(x, y)
        expected = values[:, jy, jx] if inside else np.zeros(2, np.float32)
        np.testing.assert_array_equal(found[:, iy, ix], expected)


def test_equal_grids_share_the_array() -> None:
    grid = BevGrid(0.0, 0.0, 1.0, 3, 2)
    values = np.ones(grid.shape, np.float32)
    assert looked_up(values, grid, BevGrid(0.0, 0.0, 1.0, 3, 2)) is values
