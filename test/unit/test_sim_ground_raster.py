"""The ground raster: against polygons asked point by point, and sampled on grids that turn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import shapely
from bev_trainer.errors import SimulationError
from bev_trainer.world.classes import GroundLayer
from bev_trainer.world.ground_raster import SAMPLED_LAYERS, GroundRaster, rasterise_ground
from bev_trainer.world.road_map import RoadMap
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw

D, L, C, S = (int(layer) for layer in SAMPLED_LAYERS)


def multi(*parts: Any) -> MultiPolygon:
    union = shapely.unary_union(parts) if parts else MultiPolygon()
    return union if union.geom_type == 'MultiPolygon' else MultiPolygon([union])


def road_map(**layers: MultiPolygon) -> RoadMap:
    names = ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint')
    return RoadMap(**{name: layers.get(name, multi()) for name in names}, lanes=(), signals=())


def test_layers_have_the_bits_of_ground_layer() -> None:
    assert SAMPLED_LAYERS == (
        GroundLayer.DRIVABLE,
        GroundLayer.LANE_MARKING,
        GroundLayer.CROSSING,
        GroundLayer.SIDEWALK,
    )


def test_cells_by_hand() -> None:
    """A road 3 m wide along x, a crossing on it with stripes, a walk along its left side."""
    made = road_map(
        drivable=multi(box(0, 0, 6, 3)),
        sidewalk=multi(box(0, 3, 6, 4)),
        crossing=multi(box(4, 0, 5, 3)),
        white_paint=multi(box(1, 1, 3, 2), box(4, 1, 5, 2)),
        yellow_paint=multi(box(0, 0, 6, 1)),
    )
    raster = rasterise_ground(made, (-1.0, 6.0), (-1.0, 4.0), 1.0)
    assert (raster.x_min_m, raster.y_min_m, raster.resolution_m) == (-1.0, -1.0, 1.0)
    yellow, white, dl = D | L, D | L, D | C
    assert raster.layers.tolist() == [
        [0, 0, 0, 0, 0, 0, 0],  # y = -0.5: rows go up
        [0, yellow, yellow, yellow, yellow, dl, yellow],
        [0, D, white, white, D, dl, D],  # the crossing's own stripe is no lane marking
        [0, D, D, D, D, dl, D],
        [0, S, S, S, S, S, S],
    ]


def random_polygons(rng: np.random.Generator) -> MultiPolygon:
    """Blobs with holes, islands within holes, and slivers."""
    points = rng.uniform(0, 20, (8, 2))
    discs = [
        shapely.Point(p).buffer(r, 5) for p, r in zip(points, rng.uniform(1, 5, 8), strict=True)
    ]
    holes = [
        shapely.Point(p).buffer(r, 4) for p, r in zip(points, rng.uniform(0.3, 2, 8), strict=True)
    ]
    islands = [shapely.Point(p).buffer(0.2) for p in points]
    lines = [LineString(rng.uniform(-5, 25, (2, 2))).buffer(0.06) for _ in range(4)]
    blob = shapely.unary_union(discs).difference(shapely.unary_union(holes))
    return multi(blob, *islands, *lines)


@given(st.integers(0, 10**6), st.floats(0.05, 1.0))
def test_a_cell_has_the_layers_its_centre_is_in(seed: int, resolution_m: float) -> None:
    rng = np.random.default_rng(seed)
    parts = [random_polygons(rng) for _ in range(5)]
    names = ('drivable', 'sidewalk', 'crossing', 'white_paint', 'yellow_paint')
    # Polygons stick out of the raster on all sides.
    raster = rasterise_ground(
        road_map(**dict(zip(names, parts, strict=True))), (3.1, 16.4), (2.7, 17.3), resolution_m
    )
    rows, columns = raster.layers.shape
    assert columns == int(np.ceil(13.3 / resolution_m - 1e-6))
    iy, ix = rng.integers(0, rows, 300), rng.integers(0, columns, 300)
    x, y = 3.1 + (ix + 0.5) * resolution_m, 2.7 + (iy + 0.5) * resolution_m
    inside = [shapely.contains_xy(part, x, y) for part in parts]
    marking = (inside[3] | inside[4]) & ~inside[2]
    expected = D * inside[0] | S * inside[1] | C * inside[2] | L * marking
    np.testing.assert_array_equal(raster.layers[iy, ix], expected)
    np.testing.assert_array_equal(raster.at(x, y), expected)


def test_neighbours_share_no_cell_and_leave_none_out() -> None:
    """Centres exactly on the border of two areas belong to one of them."""
    made = road_map(drivable=multi(box(0, 0, 2.5, 4)), sidewalk=multi(box(2.5, 0, 5, 4)))
    raster = rasterise_ground(made, (0.0, 5.0), (0.0, 4.0), 1.0)
    assert np.all((raster.layers == D) | (raster.layers == S))
    turned = road_map(drivable=multi(box(0, 0, 4, 2.5)), sidewalk=multi(box(0, 2.5, 4, 5)))
    raster = rasterise_ground(turned, (0.0, 4.0), (0.0, 5.0), 1.0)
    assert np.all((raster.layers == D) | (raster.layers == S))


def test_parts_that_overlap_are_no_hole() -> None:
    overlapping = MultiPolygon([box(0, 0, 3, 3), box(1, 1, 4, 4)])
    raster = rasterise_ground(road_map(drivable=overlapping), (0.0, 4.0), (0.0, 4.0), 1.0)
    assert np.count_nonzero(raster.layers == D) == 9 + 9 - 4


def test_empty_map_and_empty_range() -> None:
    raster = rasterise_ground(road_map(), (0.0, 2.0), (0.0, 1.0), 0.5)
    assert raster.layers.shape == (2, 4) and not raster.layers.any()
    for x_m in ((2.0, 2.0), (2.0, 1.0), (0.0, 1e7)):
        with pytest.raises(SimulationError, match=r'ground raster: x \('):
            rasterise_ground(road_map(), x_m, (0.0, 1e3), 0.5)


def test_points_outside_have_no_layer() -> None:
    raster = GroundRaster(np.full((2, 3), D, np.uint8), 10.0, 20.0, 0.5)
    x, y = [10.0, 11.49, 9.99, 11.51, 10.2, np.nan], [20.0, 20.99, 20.5, 20.5, 21.01, 20.5]
    assert raster.at(x, y).tolist() == [D, D, 0, 0, 0, 0]


# Sampling on a grid of the base frame.


def test_sample_follows_the_base_frame() -> None:
    """Road ahead only, walk to the left only, seen by a base that looks north-west and so on."""
    grid = BevGrid.from_range((-4.0, 4.0), (-3.0, 3.0), 0.5)
    for yaw in np.deg2rad([0.0, 90.0, 137.0, -60.0]):
        pose = pose_from_yaw(200.0, -100.0, 0.0, yaw)

        def put(polygon: Polygon, pose: np.ndarray = pose) -> MultiPolygon:
            turn = [pose[0, 0], pose[0, 1], pose[1, 0], pose[1, 1], pose[0, 3], pose[1, 3]]
            return multi(shapely.affinity.affine_transform(polygon, turn))

        made = road_map(drivable=put(box(1, -9, 9, 9)), sidewalk=put(box(-9, 2, 9, 9)))
        raster = rasterise_ground(made, (180.0, 220.0), (-120.0, -80.0), 0.05)
        layers = raster.sample(pose, grid)
        x, y = grid.axis_centers()
        expected = np.zeros((4, *grid.shape), bool)
        expected[0] = (x > 1)[None, :]
        expected[3] = (y > 2)[:, None]
        np.testing.assert_array_equal(layers, expected)


@given(st.integers(0, 10**6), st.sampled_from([0.25, 0.5, 0.8, 1.0]))
def test_sample_restated_point_by_point(seed: int, resolution_m: float) -> None:
    rng = np.random.default_rng(seed)
    layers = rng.integers(0, 16, (30, 40)).astype(np.uint8)
    raster = GroundRaster(layers, -3.0, 5.0, 0.31)
    pose = pose_from_yaw(rng.uniform(-4, 9), rng.uniform(4, 15), 0.0, rng.uniform(-np.pi, np.pi))
    grid = BevGrid(-3.0, -2.5, resolution_m, 7, 5)
    count = max(4, int(np.ceil(resolution_m / 0.1 - 1e-9)))
    fractions = (np.arange(count) + 0.5) / count - 0.5
    u, v = (f.ravel() * resolution_m for f in np.meshgrid(fractions, fractions))
    got = raster.sample(pose, grid)
    for iy, ix in np.ndindex(*grid.shape):
        x, y = grid.cell_centers()[iy, ix]
        wx = pose[0, 0] * (x + u) + pose[0, 1] * (y + v) + pose[0, 3]
        wy = pose[1, 0] * (x + u) + pose[1, 1] * (y + v) + pose[1, 3]
        bits = raster.at(wx, wy)
        # Sub-samples within 1/500 of a cell's border may fall on either side.
        near = np.zeros(len(u), bool)
        for value, low in ((wx, -3.0), (wy, 5.0)):
            place = (value - low) / 0.31
            near |= np.abs(place - np.rint(place)) < 2e-3
        for index, layer in enumerate(SAMPLED_LAYERS):
            hits = np.count_nonzero(bits & layer)
            needed = count / 2 if layer == GroundLayer.LANE_MARKING else count * count / 2
            if hits - near.sum() >= needed or hits + near.sum() < needed:
                assert got[index, iy, ix] == (hits >= needed)


@pytest.mark.parametrize('degrees', [0, 3, 17, 30, 45, 62, 88, 90])
@pytest.mark.parametrize('shift_m', [0.0, 0.07, 0.26])
def test_thin_lines_do_not_break(degrees: int, shift_m: float) -> None:
    """A line of 12 cm, at any angle to cells of 50 cm, is one connected chain of cells."""
    line = LineString([(-40, 0), (40, 0)]).buffer(0.06)
    made = road_map(white_paint=multi(line))
    raster = rasterise_ground(made, (-30.0, 30.0), (-30.0, 30.0), 0.1)
    grid = BevGrid.from_range((-10.0, 10.0), (-10.0, 10.0), 0.5)
    layers = raster.sample(pose_from_yaw(0.3, shift_m, 0.0, np.deg2rad(degrees)), grid)
    marked = layers[1]
    parts, labels = cv2.connectedComponents(marked.astype(np.uint8), connectivity=8)
    assert parts == 2
    longest = max(np.ptp(axis) for axis in np.nonzero(labels)) + 1
    assert longest == 40  # from border to border


def test_sample_outside_the_raster() -> None:
    raster = GroundRaster(np.full((4, 4), D, np.uint8), 0.0, 0.0, 1.0)
    grid = BevGrid.from_range((-2.0, 2.0), (-2.0, 2.0), 1.0)
    assert not raster.sample(pose_from_yaw(100.0, 0.0, 0.0, 0.0), grid).any()
    assert not raster.sample(pose_from_yaw(-100.0, 2.0, 0.0, 0.0), grid).any()
    layers = raster.sample(pose_from_yaw(4.0, 4.0, 0.0, 0.0), grid)
    assert np.count_nonzero(layers[0]) == 4 and layers[0, :2, :2].all()


def test_a_raster_larger_than_opencv_takes() -> None:
    layers = np.zeros((1, 40_000), np.uint8)
    layers[0, 39_990:] = D
    raster = GroundRaster(layers, 0.0, 0.0, 1.0)
    grid = BevGrid.from_range((-4.0, 4.0), (0.0, 1.0), 1.0)
    sampled = raster.sample(pose_from_yaw(39_990.0, 0.0, 0.0, 0.0), grid)
    assert sampled[0].tolist() == [[False] * 4 + [True] * 4]
