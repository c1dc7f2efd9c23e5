"""Boxes and semantic bird's-eye views: cells by hand, turned axes, footprints restated."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from bev_trainer.labels.bev import BEV_LAYERS, layers_of, semantic_bev
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import OBJECT_CLASSES, GroundLayer, SemanticClass
from bev_trainer.world.ground_raster import GroundRaster
from hypothesis import given
from hypothesis import strategies as st
from support.boxes import box_array

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, make_pose, pose_from_yaw, transform

EMPTY = GroundRaster(np.zeros((1, 1), np.uint8), 1e6, 1e6, 1.0)
GRID = BevGrid.from_range((-6.0, 6.0), (-4.0, 4.0), 0.5)


def layer(name: str, boxes: BoxArray, grid: BevGrid = GRID) -> np.ndarray:
    return semantic_bev(EMPTY, np.eye(4), boxes, grid)[BEV_LAYERS.index(name)]


def test_layer_names() -> None:
    assert BEV_LAYERS[:4] == ('drivable', 'lane_marking', 'crossing', 'sidewalk')
    assert BEV_LAYERS[4:8] == ('car', 'van', 'truck', 'bus')
    assert BEV_LAYERS[8:] == ('motorcycle', 'bicycle', 'pedestrian')


# Boxes.


def test_corners_by_hand() -> None:
    """A box 4 x 2 x 1 m that looks along +y: its left is -x."""
    boxes = box_array([(10.0, 20.0, np.pi / 2)], size_m=(4.0, 2.0, 1.0))
    corners = boxes.corners()[0]
    # Front left, rear left, rear right, front right.
    np.testing.assert_allclose(corners[:4], [(9, 22, 0), (9, 18, 0), (11, 18, 0), (11, 22, 0)])
    np.testing.assert_allclose(corners[4:], corners[:4] + np.array([0, 0, 1]))
    np.testing.assert_allclose(boxes.footprints()[0], corners[:4, :2])
    assert shapely.Polygon(boxes.footprints()[0]).exterior.is_ccw
    np.testing.assert_allclose(boxes.local_xy([(9.0, 22.0)], np.array([0])), [(2, 1)])


@given(st.integers(0, 10**6))
def test_transformed_boxes_have_transformed_corners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = box_array(
        rng.uniform((-9, -9, -4), (9, 9, 4), (5, 3)), velocity=rng.normal(size=(5, 2))
    )
    pose = pose_from_yaw(rng.uniform(-50, 50), rng.uniform(-50, 50), 0.5, rng.uniform(-7, 7))
    moved = boxes.transformed(pose)
    np.testing.assert_allclose(moved.corners(), transform(pose, boxes.corners()), atol=1e-9)
    assert np.all((moved.yaw_rad >= -np.pi) & (moved.yaw_rad < np.pi))
    velocity = np.column_stack([boxes.velocity_mps, np.zeros(5)])
    np.testing.assert_allclose(moved.velocity_mps, (velocity @ pose[:3, :3].T)[:, :2], atol=1e-9)
    back = moved.transformed(invert(pose))
    np.testing.assert_allclose(back.corners(), boxes.corners(), atol=1e-9)


def test_boxes_do_not_tilt() -> None:
    tilted = make_pose((0, 0, 0), (np.sin(0.05), 0, 0, np.cos(0.05)))
    with pytest.raises(ValueError, match='boxes stay upright'):
        box_array([(0, 0, 0)]).transformed(tilted)


def test_selected_boxes() -> None:
    boxes = box_array([(float(i), 0.0, 0.0) for i in range(4)])
    assert boxes.selected([2, 0]).instance.tolist() == [3, 1]
    assert boxes.selected(boxes.center_m[:, 0] > 1.5).instance.tolist() == [3, 4]
    assert len(boxes.selected([])) == 0 and boxes.selected([]).corners().shape == (0, 8, 3)


# Footprints.


def test_footprint_cells_by_hand() -> None:
    """A car ahead on the left that fills x from 2 to 4, y from 1 to 2; edges are no overlap."""
    boxes = box_array([(3.0, 1.5, 0.0)], size_m=(2.0, 1.0, 1.5))
    expected = np.zeros(GRID.shape, bool)
    expected[10:12, 16:20] = True  # y 1..2 are rows (1 + 4) / 0.5; x 2..4 columns (2 + 6) / 0.5
    np.testing.assert_array_equal(layer('car', boxes), expected)
    # Turned by a right angle about its centre.
    boxes = box_array([(3.0, 1.5, np.pi / 2)], size_m=(2.0, 1.0, 1.5))
    expected = np.zeros(GRID.shape, bool)
    expected[9:13, 17:19] = True
    np.testing.assert_array_equal(layer('car', boxes), expected)


def test_no_axis_is_flipped() -> None:
    """One road user of each class, each in a quadrant of its own or alone on an axis."""
    places = {
        SemanticClass.CAR: (4.25, 2.25),
        SemanticClass.BUS: (4.25, -2.25),
        SemanticClass.BICYCLE: (-4.25, 2.25),
        SemanticClass.PEDESTRIAN: (-4.25, -2.25),
    }
    poses = [(x, y, 0.0) for x, y in places.values()]
    boxes = box_array(poses, size_m=(0.3, 0.3, 1.0), classes=list(places))
    semantic = semantic_bev(EMPTY, np.eye(4), boxes, GRID)
    x, y = GRID.axis_centers()
    for item, (at_x, at_y) in places.items():
        (iy,), (ix,) = np.nonzero(semantic[BEV_LAYERS.index(item.label)])
        assert (x[ix], y[iy]) == (at_x, at_y)
    assert semantic.sum() == len(places)


@given(st.integers(0, 10**6), st.sampled_from([0.1, 0.25, 0.5]))
def test_footprint_restated(seed: int, resolution_m: float) -> None:
    """A cell is in the layer when its square and the footprint have an area in common."""
    rng = np.random.default_rng(seed)
    grid = BevGrid(-3.0, -4.0, resolution_m, round(8 / resolution_m), round(7 / resolution_m))
    pose = rng.uniform((-5, -6, -np.pi), (7, 5, np.pi))
    boxes = box_array([pose], size_m=tuple(rng.uniform((0.4, 0.4, 1), (9, 3, 2))))
    footprint = shapely.Polygon(boxes.footprints()[0])
    shapely.prepare(footprint)
    x, y = np.moveaxis(grid.cell_centers(), -1, 0)
    half = 0.5 * resolution_m
    squares = shapely.box(x - half, y - half, x + half, y + half)
    shared = shapely.area(shapely.intersection(squares, footprint)) / resolution_m**2
    mask = layer('car', boxes, grid)
    assert np.all(mask[shared > 1e-9]) and not np.any(mask[shared == 0])


def test_overlapping_footprints_are_a_union() -> None:
    pair = box_array([(0.0, 0.0, 0.3), (0.5, 0.2, 0.3)], size_m=(4.0, 2.0, 1.5))
    each = [layer('car', pair.selected([row])) for row in (0, 1)]
    np.testing.assert_array_equal(layer('car', pair), each[0] | each[1])


def test_far_boxes_do_not_matter() -> None:
    far = box_array([(1e9, 0.0, 0.0), (0.0, -1e12, 1.0), (60.0, 3.0, 0.0)])
    assert not layer('car', far).any()
    assert not layer('car', box_array([])).any()


# The whole.


def test_ground_goes_on_under_vehicles() -> None:
    ground = GroundRaster(np.full((40, 60), int(GroundLayer.DRIVABLE), 'u1'), 100.0, 50.0, 0.5)
    pose = pose_from_yaw(115.0, 60.0, 0.0, 0.4)
    semantic = semantic_bev(ground, pose, box_array([(0.0, 0.0, 0.0)]), GRID)
    assert semantic.dtype == np.bool_ and semantic.shape == (11, *GRID.shape)
    assert semantic[0].all() and semantic[BEV_LAYERS.index('car')].any()


def test_unions_by_name() -> None:
    boxes = box_array([(i - 3.0, 0.0, 0.0) for i in range(7)], (0.4, 0.4, 1), list(OBJECT_CLASSES))
    semantic = semantic_bev(EMPTY, np.eye(4), boxes, GRID)
    names = ('drivable', 'vehicle', 'two_wheeler', 'pedestrian')
    got = layers_of(semantic, names)
    assert got.shape == (4, *GRID.shape)
    # Car, van, truck and bus stand at -3, -2, -1 and 0 m; two-wheelers at 1 and 2 m.
    for index, places in enumerate(((), (-3, -2, -1, 0), (1, 2), (3,))):
        _, columns = np.nonzero(got[index])
        found = {round(x) for x in GRID.axis_centers()[0][columns]}
        assert found == set(places)
    with pytest.raises(ValueError, match=r"no layer 'trailer'; there are drivable, .*two_wheeler"):
        layers_of(semantic, ['trailer'])
