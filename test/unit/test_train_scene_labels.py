"""Labels of hand-made ground truth: who is visible, what is where, what is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bev_trainer.data.scene_labels import SceneFrame, Sight, track_numbers
from bev_trainer.data.scene_places import LabelPlace
from bev_trainer.data.scene_view import RigView
from bev_trainer.targets.occupancy import occupancy_target, semantic_target
from support.sample_drive.rig import make_camera
from support.truth import truth_objects

from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer, TruthObjects
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw, transform
from bev_perception.geometry.visibility import cell_visibility

S = 1_000_000_000
GRID = BevGrid(-10.0, -8.0, 0.5, 60, 32)
FRONT = make_camera('front', 160, 120, 'none', 90.0, (1.0, 0.0, 1.5), 0.0, 5.0)
LEFT = make_camera('left', 160, 120, 'none', 90.0, (0.0, 0.5, 1.5), 90.0, 5.0)
RIG = (FRONT, LEFT)
ONLY_FRONT = np.array([True, False])


def cars(step: int) -> TruthObjects:
    """Ahead one that goes left at 2 m/s, to the left one that stands, behind one that stands."""
    boxes = [
        (12.0, -2.0 + 2.0 * step, 4.0, 2.0, np.pi / 2),
        (0.0, 6.0, 4.0, 2.0, 0.0),
        (-9.0, 0.0, 4.0, 2.0, 0.0),
    ]
    return truth_objects(boxes, ['car', 'vehicle.bus.rigid', 'pedestrian'], ['b', 'a', 'c'])


def scene(layers: Mapping[str, TruthLayer] | None = None, **changes: Any) -> SceneTruth:
    """Three frames a second apart, of a vehicle that goes ahead at 1 m/s."""
    frames = []
    for step in range(3):
        pose = pose_from_yaw(float(step), 0.0, 0.0, 0.0)
        objects = replace(cars(step).transformed(invert(pose)), **changes)
        frames.append(TruthFrame((step + 1) * S, objects, pose, layers or {}))
    return SceneTruth(frames)


def frame_of(truth: SceneTruth, place: LabelPlace | None = None, **options: Any) -> SceneFrame:
    first = truth.frames[0].stamp_ns
    return SceneFrame(truth, place or LabelPlace(0, 0, first), RigView(RIG), **options)


def layer(cells: np.ndarray, grid: BevGrid = GRID) -> TruthLayer:
    return TruthLayer(grid, cells.astype(np.int8))


# Road users.


def test_ways_by_hand() -> None:
    labels = frame_of(scene()).objects((0.0, 0.5, 1.0, 3.0))
    assert labels.class_name == ('car', 'vehicle.bus.rigid', 'pedestrian')
    assert labels.label.tolist() == [1, 2, 3]
    np.testing.assert_allclose(labels.path_m[:3, 0], [(12, -2), (12, -1), (12, 0)], atol=1e-9)
    np.testing.assert_allclose(labels.path_m[:3, 1], [(0, 6)] * 3, atol=1e-9)
    assert np.isnan(labels.path_m[3]).all()  # beyond the end
    np.testing.assert_allclose(labels.path_yaw_rad[:3, 0], np.pi / 2)
    np.testing.assert_allclose(labels.center_m[0], (12.0, -2.0, 1.0))


def test_numbers_go_with_the_tracks() -> None:
    truth = scene()
    one = truth.frames[1].objects
    assert one is not None
    frames = [truth.frames[0], replace(truth.frames[1], objects=one.selected([2, 1, 0]))]
    changed = SceneTruth(frames)
    later = LabelPlace(1, 1, 2 * S)
    assert frame_of(changed, later).objects((0.0,)).label.tolist() == [3, 2, 1]
    assert track_numbers(changed) == {'b': 1, 'a': 2, 'c': 3}
    # Those without a name have numbers of their own, and no future.
    nameless = frame_of(scene(track=('', 'a', ''))).objects((0.0, 1.0))
    assert len(set(nameless.label.tolist())) == 3 and min(nameless.label) >= 1
    assert np.isfinite(nameless.path_m[1]).all(axis=-1).tolist() == [False, True, False]


def test_who_is_far_away_is_left_out() -> None:
    truth = scene(center_m=np.array([[149.0, 0, 1], [151.0, 0, 1], [-9, 0, 1]]))
    labels = frame_of(truth).objects((0.0, 1.0))
    assert labels.class_name == ('car', 'pedestrian')
    assert labels.path_m.shape == (2, 2, 2)


def test_visible_by_share_and_points() -> None:
    def visible(**changes: Any) -> list[bool]:
        sight = changes.pop('sight', None)
        labels = frame_of(scene(**changes), sight=sight).objects((0.0,))
        return labels.visible.tolist()

    # Nothing is told: it is what lies in the pictures.
    assert visible() == [True, True, False]
    # What is told counts, whatever the pictures.
    assert visible(visibility=np.array([0.09, 0.1, 1.0])) == [False, True, True]
    assert visible(visibility=np.array([0.05, np.nan, np.nan])) == [False, True, False]
    assert visible(visibility=np.ones(3), points=np.array([0, 1, -1])) == [False, True, True]
    low = Sight(min_share=0.05, min_points=3)
    told = {'visibility': np.full(3, 0.07), 'points': np.array([3, 2, -1])}
    assert visible(sight=low, **told) == [True, False, True]


def test_a_box_is_in_the_picture_by_its_share() -> None:
    """Of a long box across the edge of the picture as much as is inside of it."""
    view, ones = RigView((FRONT, None)), np.ones(2, np.bool_)
    # The edge of the picture is at 45 degrees from (1, 0).
    places = [(11.0, 9.0), (11.0, 13.0), (11.0, 15.0), (11.0, 0.0), (-5.0, 0.0)]
    boxes = truth_objects([(x, y, 0.1, 8.0, 0.0) for x, y in places])
    shares = view.box_shares(boxes, ones)
    # Two of three columns of points, one, none.
    np.testing.assert_allclose(shares, [2 / 3, 1 / 3, 0.0, 1.0, 0.0], atol=1e-9)
    assert view.box_shares(boxes, np.array([False, True])).tolist() == [0.0] * 5
    assert view.box_shares(TruthObjects.none(), ones).shape == (0,)


def test_only_cameras_that_take_part_make_visible() -> None:
    told = scene(visibility=np.array([1.0, 1.0, 1.0]))
    labels = frame_of(told, cameras=ONLY_FRONT).objects((0.0,))
    assert labels.visible.tolist() == [True, False, False]
    nobody = frame_of(told, cameras=np.zeros(2, np.bool_)).objects((0.0,))
    assert not nobody.visible.any()


def test_labels_at_the_instant_of_the_frame() -> None:
    """The truth of 1 s for a frame of 1.1 s: road users went on, and so did the vehicle."""
    truth = scene()
    moved = invert(pose_from_yaw(0.1, 0.0, 0.0, 0.0))
    frame = frame_of(truth, LabelPlace(0, 0, S + S // 10, moved))
    labels = frame.objects((0.0, 0.9))
    np.testing.assert_allclose(labels.center_m[0, :2], (11.9, -1.8), atol=1e-9)
    np.testing.assert_allclose(labels.path_m[1, 0], (11.9, 0.0), atol=1e-9)
    np.testing.assert_allclose(labels.center_m[1, :2], (-0.1, 6.0), atol=1e-9)


@pytest.mark.parametrize('turn_rad', [0.3, -2.0])
def test_turned_labels(turn_rad: float) -> None:
    truth = scene(visibility=np.ones(3), velocity_mps=np.array([[1.0, 2.0]] * 3))
    moved = pose_from_yaw(0.4, -0.1, 0.0, 0.05)
    place = LabelPlace(0, 0, S + S // 4, moved)
    straight = frame_of(truth, place).objects((0.0, 1.0))
    turned = frame_of(truth, place, turn_rad=turn_rad).objects((0.0, 1.0))
    turn = pose_from_yaw(0.0, 0.0, 0.0, turn_rad)
    np.testing.assert_allclose(turned.center_m, transform(turn, straight.center_m), atol=1e-9)
    path = np.dstack([straight.path_m, np.zeros(straight.path_m.shape[:2])])
    np.testing.assert_allclose(turned.path_m, transform(turn, path)[..., :2], atol=1e-9)
    np.testing.assert_allclose(turned.velocity_mps, straight.velocity_mps @ turn[:2, :2].T)


# Maps.


def test_layers_by_their_other_names() -> None:
    cells = np.random.default_rng(0).integers(-1, 2, GRID.shape)
    frame = frame_of(scene({'ped_crossing': layer(cells), 'Drivable Area': layer(-cells)}))
    found = frame.layer('crossing', GRID)
    assert found is not None and found.dtype == np.int8
    np.testing.assert_array_equal(found, cells)
    np.testing.assert_array_equal(frame.layer('drivable', GRID), -cells)
    assert frame.layer('sidewalk', GRID) is None


def test_layers_of_what_moves_are_its_footprints() -> None:
    kinds = ('car', 'motorcycle', 'human.pedestrian.adult')
    truth = scene({'vehicle': layer(np.ones(GRID.shape))}, class_name=kinds)
    objects = truth.frames[0].objects
    assert objects is not None
    frame = frame_of(truth, layers=('vehicle', 'two_wheeler', 'pedestrian'))
    for name, rows in (('vehicle', [0]), ('two_wheeler', [1]), ('pedestrian', [2])):
        expected = object_mask(objects.selected(rows), GRID)
        assert expected.any()
        np.testing.assert_array_equal(frame.layer(name, GRID), expected)
    # As in evaluations: without a layer of their own, two-wheelers are vehicles.
    alone = frame_of(truth, layers=('vehicle',)).layer('vehicle', GRID)
    np.testing.assert_array_equal(alone, object_mask(objects.selected([0, 1]), GRID))
    # Hidden ones, too: their cells do not count.
    assert not frame.objects((0.0,)).visible.all()
    # Where nothing is said about road users, the source's own map counts.
    unknown = SceneTruth([replace(f, objects=None) for f in truth.frames])
    assert np.all(frame_of(unknown).layer('vehicle', GRID))
    assert frame_of(unknown).layer('pedestrian', GRID) is None
    assert len(frame_of(unknown).objects((0.0, 1.0))) == 0


@pytest.mark.parametrize('turn_rad', [0.4, 2.0])
def test_footprints_turn_with_the_frame(turn_rad: float) -> None:
    objects = scene().frames[0].objects
    assert objects is not None
    expected = object_mask(objects.transformed(pose_from_yaw(0, 0, 0, turn_rad)), GRID)
    layers = ('vehicle', 'pedestrian')
    frame = frame_of(scene(), layers=layers, turn_rad=turn_rad)
    vehicles, pedestrians = (frame.layer(name, GRID) for name in layers)
    assert vehicles is not None and pedestrians is not None
    np.testing.assert_array_equal(vehicles | pedestrians, expected)
    assert expected.any() and not np.array_equal(expected, object_mask(objects, GRID))


def test_obstacles_are_what_stands_and_is_no_road_user() -> None:
    truth = scene()
    objects = truth.frames[0].objects
    assert objects is not None
    users = object_mask(objects, GRID)
    wall = GRID.cell_centers()[..., 1] > 5.0  # it touches the bus
    cells = np.where(users | wall, 1, 0)
    cells[:, :10] = -1
    frame = frame_of(scene({'occupancy': layer(cells)}))
    found = frame.obstacles(GRID)
    assert found is not None and (wall & users).any()
    np.testing.assert_array_equal(found, np.where(users & (cells == 1), 0, cells))
    assert frame_of(truth).obstacles(GRID) is None
    target = occupancy_target(frame, frame.objects((0.0,)), GRID)
    hidden = object_mask(objects.selected([2]), GRID)
    np.testing.assert_array_equal(target[~hidden] == 1, (cells == 1)[~hidden])
    assert (target[hidden] == -1).all()


@pytest.mark.parametrize('turn_rad', [0.0, 0.7])
@pytest.mark.parametrize('moved', [None, pose_from_yaw(0.6, -0.3, 0.0, 0.1)])
def test_maps_are_looked_up_at_the_place_of_each_cell(
    turn_rad: float, moved: np.ndarray | None
) -> None:
    source = BevGrid(-7.0, -9.0, 0.4, 50, 45)
    cells = np.random.default_rng(1).integers(-1, 2, source.shape)
    truth = scene({'drivable': layer(cells, source), 'occupancy': layer(cells, source)})
    frame = frame_of(truth, LabelPlace(0, 0, S, moved), layers=('drivable',), turn_rad=turn_rad)
    turned_T_truth = pose_from_yaw(0, 0, 0, turn_rad) @ (np.eye(4) if moved is None else moved)
    truth_T_turned = np.linalg.inv(turned_T_truth)
    expected = np.full(GRID.shape, -1)  # beyond the map nothing is known
    for iy, ix in np.ndindex(*GRID.shape):
        center = np.array([*GRID.cell_centers()[iy, ix], 0.0, 1.0])
        x, y = (truth_T_turned @ center)[:2]
        column, row = int((x + 7.0) // 0.4), int((y + 9.0) // 0.4)
        if 0 <= column < 50 and 0 <= row < 45:
            expected[iy, ix] = cells[row, column]
    np.testing.assert_array_equal(frame.layer('drivable', GRID), expected)
    np.testing.assert_array_equal(frame.observed(GRID), expected >= 0)


# What is seen.


def test_seen_is_what_all_maps_of_the_model_know() -> None:
    rng = np.random.default_rng(2)
    drivable, crossing = rng.integers(-1, 2, (2, *GRID.shape))
    truth = scene({'drivable': layer(drivable), 'crossing': layer(crossing)})
    both = frame_of(truth, layers=('drivable', 'crossing', 'sidewalk')).observed(GRID)
    np.testing.assert_array_equal(both, (drivable >= 0) & (crossing >= 0))
    one = frame_of(truth, layers=('drivable',)).observed(GRID)
    np.testing.assert_array_equal(one, drivable >= 0)
    frame = frame_of(truth, layers=('drivable', 'crossing'))
    target = semantic_target(frame, frame.objects((0.0,)), GRID, ('drivable', 'sidewalk'))
    assert (target[1] == -1).all() and (target[0] >= 0).any()


def test_without_maps_it_is_what_lies_in_the_pictures() -> None:
    wanted = cell_visibility(RIG, GRID)
    np.testing.assert_array_equal(frame_of(scene()).observed(GRID), wanted.any(axis=0))
    seen = frame_of(scene(), cameras=ONLY_FRONT).observed(GRID)
    np.testing.assert_array_equal(seen, wanted[0])
    assert 0 < seen.sum() < wanted.any(axis=0).sum() < seen.size
    blind = frame_of(scene(), cameras=np.zeros(2, np.bool_)).observed(GRID)
    assert not blind.any()


def test_maps_that_know_everything_do_not_say_what_is_seen() -> None:
    everything = scene({'drivable': layer(np.ones(GRID.shape))})
    wanted = cell_visibility(RIG, GRID).any(axis=0)
    seen = frame_of(everything, layers=('drivable',)).observed(GRID)
    np.testing.assert_array_equal(seen, wanted)
    some = np.ones(GRID.shape)
    some[3, 5] = -1
    partly = frame_of(scene({'drivable': layer(some)}), layers=('drivable',)).observed(GRID)
    assert partly.sum() == GRID.size_x * GRID.size_y - 1
    # But with cameras missing, the rest of them sees no more than lies in their pictures.
    less = frame_of(scene({'drivable': layer(some)}), layers=('drivable',), cameras=ONLY_FRONT)
    np.testing.assert_array_equal(less.observed(GRID), cell_visibility((FRONT,), GRID)[0])


@pytest.mark.parametrize('quarters', [1, 2, 3])
def test_pictures_turn_with_the_frame(quarters: int) -> None:
    square = BevGrid(-8.0, -8.0, 0.5, 32, 32)
    view, ones = RigView(RIG), np.ones(2, np.bool_)
    straight = view.cells(square, 0.0, ones)
    turned = view.cells(square, quarters * np.pi / 2, ones)
    # A quarter turn to the left takes x to y: rows and columns as in `np.rot90` of [x, y].
    np.testing.assert_array_equal(turned.T, np.rot90(straight.T, quarters))
    aside = BevGrid(4.0, -3.0, 0.5, 20, 10)  # wholly elsewhere after the turn
    np.testing.assert_array_equal(
        view.cells(aside, 0.0, ones), cell_visibility(RIG, aside).any(axis=0)
    )
    turn = pose_from_yaw(0, 0, 0, quarters * np.pi / 2)
    rig = [camera.with_pose(turn @ camera.base_T_camera) for camera in RIG]
    expected = cell_visibility(rig, aside).any(axis=0)
    assert (view.cells(aside, quarters * np.pi / 2, ones) != expected).mean() < 0.03


def test_depth_is_asked_where_it_is_known() -> None:
    assert frame_of(scene()).depth_m(0) is None
    known = np.ones((2, 3), np.float32)
    assert frame_of(scene(), depth=lambda camera: known * camera).depth_m(1) is not None
