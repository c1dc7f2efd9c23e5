"""Targets of a hand-made frame: what counts, what does not, and that decoding gives it back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from bev_trainer.targets.frame import FrameTargets, frame_targets
from bev_trainer.targets.images import depth_bins_of
from bev_trainer.targets.labels import ObjectLabels
from bev_trainer.targets.motion import motion_targets, unasked_cells
from bev_trainer.targets.objects import object_targets, path_targets
from bev_trainer.targets.occupancy import occupancy_target, semantic_target
from numpy.typing import NDArray
from support.truth import truth_objects

from bev_perception.decode.instances import decode_instances
from bev_perception.decode.objects import decode_objects
from bev_perception.evaluation.metrics.iou_cells import truth_of_objects
from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config import load_model_config, own_family
from bev_perception.model.view_transform import DepthBins

NANO = Path(__file__).resolve().parents[2] / 'models' / 'nano' / 'model.yaml'
GRID = BevGrid(-10.0, -8.0, 0.5, 50, 40)
CLASSES = ('car', 'pedestrian')
STEPS = 3


def road_users() -> ObjectLabels:
    """A van that drives ahead at 4 m/s, a hidden car that stands, a pedestrian, a dog."""
    center = np.array([[5.0, 2.0, 1.0], [12.0, -4.0, 0.8], [-3.25, 0.25, 0.9], [0.0, 6.0, 0.3]])
    velocity = np.array([[4.0, 0.0], [0.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    path = center[None, :, :2] + 0.5 * np.arange(STEPS)[:, None, None] * velocity[None]
    path[2, 2] = np.nan  # the pedestrian is not known at the last step
    return ObjectLabels(
        label=np.array([11, 12, 13, 14]),
        class_name=('van', 'car', 'pedestrian', 'dog'),
        center_m=center,
        size_m=np.array([[4.0, 2.0, 2.0], [4.0, 2.0, 1.6], [0.5, 0.5, 1.8], [0.5, 0.3, 0.6]]),
        yaw_rad=np.array([0.0, 0.0, -np.pi / 2, 0.0]),
        velocity_mps=velocity,
        path_m=path,
        path_yaw_rad=np.zeros((STEPS, 4)) + np.array([0.0, 0.0, -np.pi / 2, 0.0]),
        visible=np.array([True, False, True, True]),
    )


class HandMade:
    """Cameras see x < 8; a wall stands along y = 7; nobody has been at x < -8."""

    def objects(self, times_s: tuple[float, ...]) -> ObjectLabels:
        users = road_users()
        rows = [round(2 * time_s) for time_s in times_s]
        path = np.full((len(rows), len(users), 2), np.nan)
        inside = [row for row in range(len(rows)) if rows[row] < STEPS]
        path[inside] = users.path_m[[rows[row] for row in inside]]
        yaw = np.repeat(users.path_yaw_rad[:1], len(rows), axis=0)
        return ObjectLabels(**{**users.__dict__, 'path_m': path, 'path_yaw_rad': yaw})

    def layer(self, name: str, grid: BevGrid) -> NDArray[np.int8] | None:
        x, y = np.moveaxis(grid.cell_centers(), -1, 0)
        found = np.where(x < -8.0, -1, y < 3.0).astype(np.int8)
        return None if name == 'crossing' else found

    def obstacles(self, grid: BevGrid) -> NDArray[np.int8] | None:
        x, y = np.moveaxis(grid.cell_centers(), -1, 0)
        return np.where(x < -8.0, -1, np.abs(y - 7.0) < 0.5).astype(np.int8)

    def observed(self, grid: BevGrid) -> NDArray[np.bool_]:
        return grid.cell_centers()[..., 0] < 8.0

    def depth_m(self, camera: int) -> NDArray[np.float32] | None:
        return None


def at(plane: NDArray, x_m: float, y_m: float) -> float:
    iy, ix, _ = GRID.to_cell(x_m, y_m)
    return float(plane[iy, ix])


def test_occupancy_by_hand() -> None:
    target = occupancy_target(HandMade(), road_users(), GRID)
    assert at(target, 5.0, 2.0) == 1  # the van
    assert at(target, 7.2, 2.0) == 0  # 20 cm ahead of it
    assert at(target, 0.2, 7.0) == 1  # the wall
    assert at(target, 9.0, 0.0) == -1  # nobody looks there
    assert at(target, -9.0, 0.0) == -1 and at(target, -9.0, 7.0) == -1  # nor knows it
    assert at(target, 12.0, -4.0) == -1  # a car that nobody sees is no mistake either way
    # The dog lies on the corner of four cells.
    wall = HandMade().obstacles(GRID)
    assert wall is not None and (target == 1).sum() == 8 * 4 + 1 + 4 + (wall == 1).sum()


def test_without_free_ground_nothing_is_known() -> None:
    """Else all that is told would be that everything is occupied."""
    labels = HandMade()
    labels.obstacles = lambda grid: None  # type: ignore[method-assign,assignment,return-value]
    target = occupancy_target(labels, road_users(), GRID)
    assert target.dtype == np.int8 and (target == -1).all()


def test_semantics_by_hand() -> None:
    target = semantic_target(HandMade(), road_users(), GRID, ('drivable', 'crossing'))
    assert at(target[0], 0.0, 0.0) == 1 and at(target[0], 0.0, 4.0) == 0
    assert at(target[0], 9.0, 0.0) == -1
    assert (target[1] == -1).all()
    # What the data set does not know does not count as absent, though cameras look there.
    assert (target[0][GRID.cell_centers()[..., 0] < -8.0] == -1).all()
    # Not even under a road user that a camera shows.
    users = road_users()
    moved = dataclasses.replace(users, center_m=users.center_m - [14.0, 0.0, 0.0])
    assert at(semantic_target(HandMade(), moved, GRID, ('drivable',))[0], -9.0, 2.0) == -1


def test_road_users_are_nowhere_else_even_where_nobody_looks() -> None:
    """Else a model could claim vehicles behind every house: evaluations count them as wrong."""

    class Vehicles(HandMade):
        def layer(self, name: str, grid: BevGrid) -> NDArray[np.int8] | None:
            users = road_users()
            found = np.zeros(grid.shape, np.int8)
            for _, window, mask in footprint_cells(
                users.center_m[:2], users.size_m[:2], users.yaw_rad[:2], grid
            ):
                found[window] |= mask
            return found

    vehicle, wall = semantic_target(Vehicles(), road_users(), GRID, ('vehicle', 'wall'))
    assert at(vehicle, 5.0, 2.0) == 1 and at(vehicle, 0.0, 0.0) == 0
    assert at(vehicle, 9.0, 0.0) == 0 and at(wall, 9.0, 0.0) == -1
    assert at(vehicle, 12.0, -4.0) == -1  # a car that nobody sees is no mistake either way
    assert (vehicle == 1).sum() == 8 * 4
    assert (vehicle == -1).sum() == 8 * 4
    # As evaluations have it, cell by cell.
    users = road_users()
    boxes = np.column_stack([users.center_m[:, :2], users.size_m[:, :2], users.yaw_rad])[:2]
    objects = truth_objects(boxes.tolist(), users.class_name[:2])
    truth = truth_of_objects(objects, ~users.visible[:2], 'ignore', GRID)
    np.testing.assert_array_equal(truth.counts, vehicle >= 0)
    np.testing.assert_array_equal(truth.there & truth.counts, vehicle == 1)


def test_objects_decode_to_what_they_were() -> None:
    users = road_users()
    maps = object_targets(users, GRID, CLASSES)
    found = decode_objects(maps, GRID, CLASSES, 0.5, 10, 0.1)
    assert [item.classes[0].name for item in found] == ['car', 'pedestrian']
    van = found[0]
    np.testing.assert_allclose(van.center_m, (5.0, 2.0, 1.0), atol=1e-5)
    np.testing.assert_allclose(van.size_m, (4.0, 2.0, 2.0), rtol=1e-5)
    assert van.velocity_mps is not None
    np.testing.assert_allclose(van.velocity_mps, (4.0, 0.0), atol=1e-6)


def test_motion_decodes_and_hidden_cars_are_not_asked() -> None:
    users = road_users()
    maps, instances = motion_targets(users, GRID, CLASSES)
    decoded = decode_instances(maps, GRID, 0.5, min_cells=1)
    for step in range(STEPS):
        for label in (11, 13):
            cells = instances[step] == label
            if cells.any():
                assert len(np.unique(decoded[step][cells])) == 1
    assert not (instances == 12).any() and not (instances == 14).any()
    # A van cell at step 1 points to where the van was: 2 m behind its centre now.
    iy, ix, _ = GRID.to_cell(7.25, 2.25)
    np.testing.assert_allclose(maps.flow_m[1, :, iy, ix], (5.0 - 7.25, 2.0 - 2.25), atol=1e-6)
    hidden = unasked_cells(users, GRID)
    assert at(hidden[0], 12.0, -4.0) and hidden[0].sum() == 8 * 4


def test_paths_by_hand() -> None:
    paths = path_targets(road_users(), GRID, CLASSES)
    np.testing.assert_allclose(paths.places[0], (5.0, 2.0, 0.0, 1.0), atol=1e-6)
    np.testing.assert_allclose(paths.offsets_m[0], [(2.0, 0.0), (4.0, 0.0)], atol=1e-6)
    np.testing.assert_array_equal(paths.valid, [[True, True], [True, False]])
    np.testing.assert_allclose(paths.offsets_m[1], [(0.0, -0.5), (0.0, 0.0)], atol=1e-6)


def test_depth_bins_take_the_nearest_that_is_known() -> None:
    depth = np.zeros((4, 8), np.float32)
    depth[0, 0], depth[1, 2] = 9.0, 3.2
    depth[2, 5] = 100.0
    bins = depth_bins_of(depth, DepthBins(1.0, 11.0, 10), 4)
    np.testing.assert_array_equal(bins, [[2, -1]])
    depth[0, 0] = 2.99
    np.testing.assert_array_equal(depth_bins_of(depth, DepthBins(1.0, 11.0, 10), 4), [[1, -1]])


def test_all_targets_of_a_model_and_their_batch() -> None:
    config = own_family(load_model_config(NANO))
    one = frame_targets(HandMade(), config)
    assert one.occupancy is not None and tuple(one.occupancy.shape) == (1, 1, 200, 200)
    assert one.motion is not None and bool(torch.isnan(one.motion).any())
    nobody = HandMade()
    nobody.objects = lambda times_s: _none(len(times_s))  # type: ignore[method-assign]
    both = FrameTargets.collate([one, frame_targets(nobody, config)])
    assert both.path_valid is not None and both.places is not None
    assert tuple(both.places.shape) == (2, 2, 4)
    assert both.path_valid[0].any() and not both.path_valid[1].any()
    assert both.depth_bin is None
    assert both.boxes is not None and not bool(torch.isfinite(both.boxes[1]).any())


def _none(steps: int) -> ObjectLabels:
    return ObjectLabels(
        label=np.zeros(0, np.int64),
        class_name=(),
        center_m=np.zeros((0, 3)),
        size_m=np.zeros((0, 3)),
        yaw_rad=np.zeros(0),
        velocity_mps=np.zeros((0, 2)),
        path_m=np.zeros((steps, 0, 2)),
        path_yaw_rad=np.zeros((steps, 0)),
        visible=np.zeros(0, bool),
    )
