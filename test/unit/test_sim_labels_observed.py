"""Observed cells: shadows by geometry, a restatement point by point, cameras that fire late."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.labels.observed import ObservedCells
from bev_trainer.world.classes import GROUND_CLASSES, SemanticClass
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.boxes import box_array
from support.level_camera import level_camera
from support.ray_scene import RayShot, ray_shot

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw, transform

GRID = BevGrid.from_range((0.0, 40.0), (-10.0, 10.0), 0.5)


def observe(camera: Camera, shot: RayShot, boxes: BoxArray, grid: BevGrid, motion=None):
    cells = ObservedCells([camera], grid)
    motions = None if motion is None else [motion]
    return cells.observe([shot.classes], [shot.instances], boxes, motions)[0]


def scenery(*rows: int, boxes: BoxArray) -> BoxArray:
    """Makes some boxes part of the scenery."""
    boxes.instance[list(rows)] = 0
    return boxes


def road_users(boxes: BoxArray) -> BoxArray:
    return boxes.selected(boxes.instance > 0)


def test_a_wall_hides_exactly_what_lies_behind_it() -> None:
    """A wall 2 m high at x = 10, seen from 3 m: ground is hidden from there to x = 30.

    The ray over its edge meets the ground where 3 - (3 - 2) x / 10 = 0. To the sides the shadow
    is a wedge: |y| < 0.3 x for a wall of |y| < 3.
    """
    camera = level_camera(1200, 900, 500.0, pitch_deg=20.0, position_m=(0.0, 0.0, 3.0))
    wall = scenery(0, boxes=box_array([(10.005, 0.0, 0.0)], size_m=(0.01, 6.0, 2.0)))
    observed = observe(camera, ray_shot(camera, wall), road_users(wall), GRID)
    x, y = np.moveaxis(GRID.cell_centers(), -1, 0)

    def hidden(x: np.ndarray, y: np.ndarray, slack: float) -> np.ndarray:
        wedge = np.abs(y) < 0.3 * x - slack
        return wedge & (x > 10.0 + slack) & (x < 30.0 - 3 * slack)

    # Cells all of whose corners are behind the wall, and those none of whose are.
    corners = [(x + dx, y + dy) for dx in (-0.25, 0.25) for dy in (-0.25, 0.25)]
    behind = np.all([hidden(*corner, 0.02) for corner in corners], axis=0)
    open_ground = ~np.any([hidden(*corner, -0.02) for corner in corners], axis=0)
    # The picture is wide enough for all y from x = 9 on, and low enough.
    open_ground &= x > 9.5
    assert behind.sum() > 300 and open_ground.sum() > 500
    assert not observed[behind].any()
    assert observed[open_ground].all()


def test_a_vehicle_is_observed_where_it_stands() -> None:
    """Its whole footprint counts, far side included; the ground in its shadow does not."""
    camera = level_camera(1200, 900, 500.0, pitch_deg=15.0, position_m=(0.0, 0.0, 1.5))
    boxes = box_array([(12.0, 0.0, 0.0)], size_m=(4.0, 2.0, 1.5))
    observed = observe(camera, ray_shot(camera, boxes), boxes, GRID)
    x, y = np.moveaxis(GRID.cell_centers(), -1, 0)
    under = (np.abs(x - 12.0) < 2.0) & (np.abs(y) < 1.0)
    assert under.sum() == 8 * 4 and observed[under].all()
    # As high as the camera: nothing behind it is seen, in the wedge of its front face.
    behind = (x > 14.25) & (np.abs(y) < 0.1 * x - 0.3)
    assert behind.sum() > 100 and not observed[behind].any()
    # The same picture with the box said to be elsewhere: now its place is just hidden ground.
    elsewhere = box_array([(30.0, 8.0, 0.0)], size_m=(4.0, 2.0, 1.5))
    moved = observe(camera, ray_shot(camera, boxes), elsewhere, GRID)
    assert not moved[under].any()
    np.testing.assert_array_equal(moved[~under], observed[~under])


def test_one_vehicle_hides_another() -> None:
    camera = level_camera(800, 600, 400.0, pitch_deg=10.0, position_m=(0.0, 0.0, 1.5))
    boxes = box_array([(8.0, 0.0, 0.0), (16.0, 0.5, 0.0)], size_m=(3.0, 3.0, 2.5))
    observed = observe(camera, ray_shot(camera, boxes), boxes, GRID)
    x, y = np.moveaxis(GRID.cell_centers(), -1, 0)
    assert observed[(np.abs(x - 8.0) < 1.5) & (np.abs(y) < 1.5)].all()
    assert not observed[(np.abs(x - 16.0) < 1.5) & (np.abs(y - 0.5) < 1.5)].any()


def test_no_axis_is_flipped() -> None:
    """A camera that looks to the left rear sees cells there only."""
    grid = BevGrid.from_range((-20.0, 20.0), (-20.0, 20.0), 0.5)
    camera = level_camera(400, 300, 400.0, 135.0, 20.0, position_m=(-1.0, 0.5, 2.0))
    shot = ray_shot(camera, box_array([]))
    observed = observe(camera, shot, box_array([]), grid)
    x, y = np.moveaxis(grid.cell_centers(), -1, 0)
    assert observed.sum() > 100
    bearing = np.rad2deg(np.arctan2(y[observed] - 0.5, x[observed] + 1.0))
    # Half the field of view is atan(200 / 400 / cos(pitch)) or a little more low in the picture.
    assert bearing.min() > 135 - 40 and bearing.max() < 135 + 40


CAMERAS = [
    level_camera(96, 64, 60.0, 10.0, 15.0, 2.0, (1.0, 0.3, 1.6)),
    level_camera(96, 64, 30.0, -60.0, 40.0, 0.0, (1.0, -0.5, 2.0), wide=True),
]


def random_scene(seed: int) -> BoxArray:
    rng = np.random.default_rng(seed)
    poses = rng.uniform((2, -12, -np.pi), (25, 12, np.pi), (6, 3))
    return scenery(5, boxes=box_array(poses, size_m=tuple(rng.uniform((1, 1, 1), (5, 2, 3)))))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 1]))
def test_restated_point_by_point(seed: int, which: int) -> None:
    """One, two or four points a cell, each projected and asked for itself."""
    camera, scene = CAMERAS[which], random_scene(seed)
    boxes, shot = road_users(scene), ray_shot(CAMERAS[which], scene)
    grid = BevGrid(1.0, -9.0, 0.8, 12, 22)
    observed = observe(camera, shot, boxes, grid)
    camera_T_base = invert(camera.base_T_camera)
    expected = np.zeros(grid.shape, bool)
    sixths = ((1, 5), (3,))
    for iy, ix in np.ndindex(*grid.shape):
        for x, y in product(sixths[ix % 2], sixths[iy % 2]):
            place = grid.cell_centers()[iy, ix] + 0.8 * (np.array([x, y]) / 6.0 - 0.5)
            point = np.append(place, 0.0)
            (u, v), seen = camera.project(transform(camera_T_base, point))
            if not seen:
                continue
            pixel = round(v), round(u)
            standing = False
            for row in np.flatnonzero(boxes.instance == shot.instances[pixel]):
                ((ahead, left),) = boxes.local_xy(point[None, :2], np.array([row]))
                length, width = boxes.size_m[row, :2]
                standing = abs(ahead) <= length / 2 and abs(left) <= width / 2
            expected[iy, ix] |= standing or shot.classes[pixel] in GROUND_CLASSES
    np.testing.assert_array_equal(observed, expected)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 1]))
def test_a_camera_that_fires_when_the_base_is_elsewhere(seed: int, which: int) -> None:
    """As the same camera on a base that has not moved, but mounted where it was then."""
    rng, camera = np.random.default_rng(seed), CAMERAS[which]
    motion = pose_from_yaw(rng.uniform(-2, 2), rng.uniform(-0.5, 0.5), 0.0, rng.uniform(-0.1, 0.1))
    mounted = camera.with_pose(motion @ camera.base_T_camera)
    scene = random_scene(seed)
    boxes, shot = road_users(scene), ray_shot(mounted, scene)
    grid = BevGrid(-2.0, -9.0, 0.8, 20, 22)
    observed = observe(camera, shot, boxes, grid, motion)
    # Whatever points a cell has: seen if all of many are seen, not seen if none of them is.
    fine = BevGrid(-2.0, -9.0, 0.8 / 16, 320, 352)
    many = observe(mounted, shot, boxes, fine).reshape(22, 16, 20, 16)
    assume(many.any())
    assert observed[many.all(axis=(1, 3))].all()
    # What the many miss may be a corner of a pixel: ask there more closely.
    for iy, ix in np.argwhere(observed & ~many.any(axis=(1, 3))):
        corner = BevGrid(grid.x_min_m + 0.8 * ix, grid.y_min_m + 0.8 * iy, 0.8 / 400, 400, 400)
        assert observe(mounted, shot, boxes, corner).any()


@given(st.floats(-2.5, 2.5), st.floats(-2.5, 2.5), st.floats(-0.1, 0.1))
def test_no_cell_is_without_a_point(x_m: float, y_m: float, yaw: float) -> None:
    """From far above all cells are seen, however the base moves."""
    grid = BevGrid(-5.0, -5.0, 0.4, 25, 25)
    above = level_camera(64, 64, 64.0, pitch_deg=90.0, position_m=(0.0, 0.0, 30.0))
    road = np.full((64, 64), int(SemanticClass.ROAD), np.uint8)
    shot = RayShot(road, np.zeros((64, 64), np.uint16), np.zeros((64, 64), np.float32))
    assert observe(above, shot, box_array([]), grid, pose_from_yaw(x_m, y_m, 0.0, yaw)).all()


def test_every_class_of_ground_and_no_other() -> None:
    above = level_camera(64, 64, 64.0, pitch_deg=90.0, position_m=(0.0, 0.0, 30.0))
    grid = BevGrid(-5.0, -5.0, 1.0, 10, 10)
    for item in SemanticClass:
        image = np.full((64, 64), int(item), np.uint8)
        shot = RayShot(image, np.zeros((64, 64), np.uint16), np.zeros((64, 64), np.float32))
        seen = observe(above, shot, box_array([]), grid)
        assert seen.all() if item in GROUND_CLASSES else not seen.any()


def test_every_camera_has_its_own_map() -> None:
    left = level_camera(64, 48, 50.0, 60.0, 20.0, position_m=(0.0, 0.0, 1.5))
    right = level_camera(80, 40, 50.0, -60.0, 20.0, position_m=(0.0, 0.0, 1.5))
    shots = [ray_shot(camera, box_array([])) for camera in (left, right)]
    both = ObservedCells([left, right], GRID).observe(
        [shot.classes for shot in shots], [shot.instances for shot in shots], box_array([])
    )
    assert both.dtype == np.bool_ and both.shape == (2, *GRID.shape)
    for camera, shot, cells in zip((left, right), shots, both, strict=True):
        np.testing.assert_array_equal(observe(camera, shot, box_array([]), GRID), cells)
    y = GRID.axis_centers()[1]
    assert y[both[0].any(axis=1)].min() > 0 > y[both[1].any(axis=1)].max()


def test_misuse() -> None:
    camera = CAMERAS[0]
    shot = ray_shot(camera, box_array([]))
    cells = ObservedCells([camera], GRID)
    with pytest.raises(ValueError, match="images of camera 'yaw_10' do not have its size"):
        cells.observe([shot.classes[:-1]], [shot.instances], box_array([]))


@pytest.mark.parametrize('turn_deg', [6.0, -30.0, 180.0])
def test_motion_of_any_size(turn_deg: float) -> None:
    """A base that has turned a lot sees what a camera mounted there sees."""
    grid = BevGrid(-10.0, -10.0, 0.5, 40, 40)
    camera = level_camera(160, 120, 40.0, pitch_deg=70.0, position_m=(0.0, 0.0, 2.0), wide=True)
    motion = pose_from_yaw(3.0, -7.0, 0.0, np.deg2rad(turn_deg))
    mounted = camera.with_pose(motion @ camera.base_T_camera)
    shot, cells = ray_shot(mounted, box_array([])), ObservedCells([camera], grid)
    for _ in range(2):
        seen = cells.observe([shot.classes], [shot.instances], box_array([]), [motion])[0]
        wanted = observe(mounted, shot, box_array([]), grid)
        # Other points of the same cells: only cells along the border of the view differ.
        assert np.count_nonzero(seen != wanted) < 0.12 * np.count_nonzero(wanted)
        assert np.count_nonzero(wanted) > 100
