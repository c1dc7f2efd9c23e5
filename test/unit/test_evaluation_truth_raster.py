"""Ground-truth objects drawn on grids: by hand, and restated cell by cell."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity
from support.truth import truth_objects

from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.raster import instance_maps, object_mask
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw

GRID = BevGrid(-4.0, -3.0, 0.5, 16, 12)
S = 1_000_000_000


def test_mask_by_hand() -> None:
    """A car that fills x from 0 to 2, y from 1 to 2; a common edge is no overlap."""
    expected = np.zeros(GRID.shape, bool)
    expected[8:10, 8:12] = True
    car = truth_objects([(1.0, 1.5, 2.0, 1.0, 0.0)])
    np.testing.assert_array_equal(object_mask(car, GRID), expected)
    nothing = object_mask(truth_objects([]), GRID)
    assert nothing.shape == GRID.shape and not nothing.any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_mask_restated(seed: int) -> None:
    """A cell is covered when its square and a footprint have an area in common."""
    rng = np.random.default_rng(seed)
    boxes = rng.uniform((-5, -4, 0.4, 0.4, -np.pi), (5, 4, 5, 3, np.pi), (3, 5))
    x, y = np.moveaxis(GRID.cell_centers(), -1, 0)
    squares = shapely.box(x - 0.25, y - 0.25, x + 0.25, y + 0.25)
    shared = np.zeros(GRID.shape)
    for at_x, at_y, length, width, yaw in boxes.tolist():
        shape = affinity.rotate(
            shapely.box(-length / 2, -width / 2, length / 2, width / 2), yaw, use_radians=True
        )
        shape = affinity.translate(shape, at_x, at_y)
        shared = np.maximum(shared, shapely.area(shapely.intersection(squares, shape)))
    mask = object_mask(truth_objects(boxes.tolist()), GRID)
    assert np.all(mask[shared > 1e-9]) and not np.any(mask[shared == 0])


def moving_scene() -> SceneTruth:
    """A car that goes ahead at 2 m/s, seen from a vehicle that goes ahead at 1 m/s; 1 Hz."""
    frames = []
    for step in range(3):
        car = truth_objects([(-1.0 + step, 0.25, 1.0, 0.5, 0.0)], track=['car'])
        frames.append(TruthFrame(step * S, car, pose_from_yaw(float(step), 0.0, 0.0, 0.0)))
    return SceneTruth(frames)


def test_instances_stay_in_the_present_base_frame() -> None:
    scene = moving_scene()
    maps, known = instance_maps(scene, scene.frames[0], (0.0, 0.5, 1.0, 2.0, 2.5), GRID)
    assert known.tolist() == [True, True, True, True, False]
    assert maps.dtype == np.int32 and set(np.unique(maps)) == {0, 1}
    for plane, center_m in zip(maps, (-1.0, 0.0, 1.0, 3.0), strict=False):
        iy, ix = np.nonzero(plane)
        x, _ = GRID.axis_centers()
        assert set(iy) == {6} and x[ix].tolist() == [center_m - 0.25, center_m + 0.25]
    assert not maps[-1].any()


def test_smaller_objects_lie_on_top_and_labels_last() -> None:
    first = truth_objects([(0, 0, 4, 2, 0), (0, 0, 1, 1, 0)], ['truck', 'pedestrian'])
    later = first.selected([1, 0])
    scene = SceneTruth([TruthFrame(0, first, np.eye(4)), TruthFrame(S, later, np.eye(4))])
    maps, known = instance_maps(scene, scene.frames[0], (0.0, 1.0), GRID)
    assert known.all()
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.bincount(maps[0].ravel()).tolist() == [12 * 16 - 32, 28, 4]


def test_only_what_is_kept_is_drawn() -> None:
    objects = truth_objects([(-2, 0, 1, 1, 0), (2, 0, 1, 1, 0)], ['car', 'pedestrian'])
    scene = SceneTruth([TruthFrame(0, objects, np.eye(4))])
    maps, _ = instance_maps(
        scene,
        scene.frames[0],
        (0.0,),
        GRID,
        lambda found: np.array([name == 'car' for name in found.class_name]),
    )
    np.testing.assert_array_equal(maps[0] > 0, object_mask(objects.selected([0]), GRID))


def test_objects_without_a_track_cannot_be_followed() -> None:
    objects = truth_objects([(-2, 0, 1, 1, 0)], track=[''])
    scene = SceneTruth([TruthFrame(0, objects, np.eye(4)), TruthFrame(S, objects, np.eye(4))])
    maps, known = instance_maps(scene, scene.frames[0], (0.0, 0.5, 1.0), GRID)
    assert known.tolist() == [True, False, True]
    assert [int(plane.max()) for plane in maps] == [1, 0, 2]


def test_no_objects_are_not_no_truth() -> None:
    scene = SceneTruth([TruthFrame(0, None, np.eye(4)), TruthFrame(S, truth_objects([]))])
    assert instance_maps(scene, scene.frames[0], (0.0,), GRID)[1].tolist() == [False]
    # Without ego poses the later frame cannot be brought here.
    assert instance_maps(scene, scene.frames[0], (1.0,), GRID)[1].tolist() == [False]
    assert instance_maps(scene, scene.frames[1], (0.0,), GRID)[1].tolist() == [True]
