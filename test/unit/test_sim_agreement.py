"""Measures of agreement, on a street whose labels are cast by rays."""

from __future__ import annotations

import dataclasses
import math
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.bev import BEV_LAYERS
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.look.agreement import (
    Agreement,
    Share,
    agreement,
    drivable_in_cells,
    ground_at_zero,
    masks_in_boxes,
    points_in_boxes,
    vehicles_in_cells,
)
from bev_trainer.look.camera_truth import CameraTruth, back_project, pixel_spans_m, read_truth
from bev_trainer.world.classes import SemanticClass
from support.drives import rig_of_lenses
from support.junction import Junction

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert

GRID = BevGrid.from_range((-40.0, 40.0), (-40.0, 40.0), 0.5)
FRAME = 5


@pytest.fixture(scope='module')
def drive_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = Junction(rig=rig_of_lenses(192, 144), label_frames=(0, 5))
    return small.write(tmp_path_factory.mktemp('look') / 'drives')


@pytest.fixture(scope='module')
def truths(drive_file: Path) -> list[CameraTruth]:
    with Drive(drive_file) as drive:
        return read_truth(drive, FRAME, GRID)


def measured(truths: list[CameraTruth]) -> Agreement:
    return reduce(add, (agreement(truth) for truth in truths), Agreement())


def test_a_street_cast_by_rays_agrees_with_its_labels(truths: list[CameraTruth]) -> None:
    found = measured(truths)
    assert found.masks.hits == found.masks.total > 1000
    assert found.points.hits == found.points.total == found.masks.total
    assert found.ground.hits == found.ground.total > 10000
    assert found.vehicles.value > 0.9995
    assert found.vehicles.total > 1000
    assert found.drivable.value > 0.975
    assert found.failures() == ()


def test_every_lens_agrees_on_its_own(truths: list[CameraTruth]) -> None:
    assert len({truth.camera.distortion.model for truth in truths}) == 3
    for truth in truths:
        found = agreement(truth)
        assert found.masks.value == 1.0
        assert found.ground.value == 1.0


def mirrored(boxes: BoxArray) -> BoxArray:
    center = boxes.center_m * (1.0, -1.0, 1.0)
    return dataclasses.replace(boxes, center_m=center, yaw_rad=-boxes.yaw_rad)


def test_boxes_with_a_flipped_axis_do_not_agree(truths: list[CameraTruth]) -> None:
    flipped = [dataclasses.replace(t, boxes=mirrored(t.boxes)) for t in truths]
    found = measured(flipped)
    assert found.masks.value < 0.6
    assert found.points.value < 0.6


@pytest.mark.parametrize('axis', ['x', 'y', 'both exchanged'])
def test_cells_with_a_flipped_axis_do_not_agree(truths: list[CameraTruth], axis: str) -> None:
    changed = {
        'x': [t.layers[:, :, ::-1] for t in truths],
        'y': [t.layers[:, ::-1] for t in truths],
        'both exchanged': [t.layers.swapaxes(1, 2) for t in truths],
    }[axis]
    pairs = zip(truths, changed, strict=True)
    found = measured([dataclasses.replace(t, layers=layers) for t, layers in pairs])
    assert found.vehicles.value < 0.6
    assert found.drivable.value < 0.92


@pytest.mark.parametrize('turn', ['yaw', 'pitch'])
def test_a_camera_turned_by_two_degrees_does_not_agree(
    truths: list[CameraTruth], turn: str
) -> None:
    cos, sin = math.cos(math.radians(2.0)), math.sin(math.radians(2.0))
    # About the camera's y axis, which points down, or its x axis, which points right.
    yaw = np.array([[cos, 0, sin, 0], [0, 1, 0, 0], [-sin, 0, cos, 0], [0, 0, 0, 1]])
    pitch = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    rotation = yaw if turn == 'yaw' else pitch
    turned = [
        dataclasses.replace(t, camera=t.camera.with_pose(t.camera.base_T_camera @ rotation))
        for t in truths
    ]
    found = measured(turned)
    assert 'masks' in found.failures()
    assert found.masks.value < 0.97
    assert found.points.value < 0.95
    if turn == 'pitch':
        assert found.ground.value < 0.3


@pytest.mark.parametrize('late_ns', [-100_000_000, 100_000_000])
def test_boxes_of_another_moment_do_not_agree(drive_file: Path, late_ns: int) -> None:
    masks = points = Share()
    with Drive(drive_file) as drive:
        for index, truth in enumerate(read_truth(drive, FRAME, GRID)):
            boxes = drive.boxes_at(drive.camera_stamp_ns(FRAME, index) + late_ns)
            boxes = boxes.transformed(invert(drive.camera_world_T_base[FRAME, index]))
            moving = boxes.instance[np.linalg.norm(boxes.velocity_mps, axis=-1) > 1.0]
            instances = np.where(np.isin(truth.instances, moving), truth.instances, 0)
            points_m = back_project(truth.camera, truth.depth_m)
            masks += masks_in_boxes(truth.camera, instances, boxes)
            points += points_in_boxes(truth.camera, instances, points_m, boxes)
    assert points.total > 500
    assert masks.value < 0.99
    assert points.value < 0.75


def test_scaled_depth_does_not_agree(truths: list[CameraTruth]) -> None:
    scaled = [dataclasses.replace(t, depth_m=t.depth_m * np.float32(0.95)) for t in truths]
    found = measured(scaled)
    assert found.ground.value < 0.05
    assert found.points.value < 0.2
    assert found.vehicles.value < 0.9
    assert found.masks.value == 1.0  # needs no depth


def test_classes_of_other_pixels_do_not_agree(truths: list[CameraTruth]) -> None:
    swapped = [dataclasses.replace(t, classes=t.classes[:, ::-1]) for t in truths]
    found = measured(swapped)
    assert found.vehicles.value < 0.7
    assert found.drivable.value < 0.9


def test_what_is_not_drivable_lies_at_the_edges_of_cells(drive_file: Path) -> None:
    """The share of wrong pixels falls with the width of the cells: nothing is out of place."""
    wrong = []
    for resolution_m in (0.8, 0.4, 0.2):
        grid = BevGrid.from_range((-12.0, 12.0), (-12.0, 12.0), resolution_m)
        share = Share()
        with Drive(drive_file) as drive:
            for truth in read_truth(drive, FRAME, grid):
                points_m = back_project(truth.camera, truth.depth_m)
                share += drivable_in_cells(truth, points_m)
        wrong.append(1.0 - share.value)
    assert wrong[0] > 0.01
    assert wrong[1] < 0.7 * wrong[0]
    assert wrong[2] < 0.7 * wrong[1]


def test_a_pixel_spans_more_the_farther_it_shows() -> None:
    # Focal length 50: a pixel spans 0.2 m at a depth of 10 m, in the direction that its viewing
    # ray does not lean to.
    depth_m = np.full((100, 100), 10.0, np.float32)
    depth_m[0, 0], depth_m[49, 10] = 0.0, 30.0
    spans = pixel_spans_m(level_camera(), back_project(level_camera(), depth_m))
    assert spans[49, 49] == pytest.approx(0.2, rel=0.01)
    assert spans[49, 99] == pytest.approx(0.2, rel=0.01)
    assert spans[49, 10] == pytest.approx(0.6, rel=0.01)
    assert np.isnan(spans[0, 0])


def level_camera() -> Camera:
    """100 x 100 pixels, focal length 50, looks ahead from 1.5 m above the origin."""
    pose = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    K = np.array([[50.0, 0, 49.5], [0, 50.0, 49.5], [0, 0, 1]])
    return Camera('c', 'c', 100, 100, K, Distortion('none'), pose)


def one_box(**changes: object) -> BoxArray:
    """A cube of 2 m, instance 7, whose near face is 10 m ahead of the camera."""
    boxes = BoxArray(
        np.array([7], np.uint16),
        np.array([SemanticClass.CAR], np.uint8),
        np.array([[11.0, 0.0, 1.5]]),
        np.array([[2.0, 2.0, 2.0]]),
        np.zeros(1),
        np.zeros((1, 2)),
        np.zeros((1, 2)),
    )
    return dataclasses.replace(boxes, **changes)  # type: ignore[arg-type]


def test_masks_may_stand_out_by_one_pixel_and_no_more() -> None:
    # The face at 10 m spans 49.5 -+ 50 * 1 / 10: 44.5 to 54.5, pixel centres 45 to 54.
    instances = np.zeros((100, 100), np.uint16)
    instances[45:55, 45:55] = 7
    assert masks_in_boxes(level_camera(), instances, one_box()) == Share(100, 100)
    instances[:] = 0
    instances[44:56, 44:56] = 7  # a rim of one pixel
    assert masks_in_boxes(level_camera(), instances, one_box()) == Share(144, 144)
    instances[:] = 0
    instances[43:57, 43:57] = 7  # a rim of two: 14 * 14 - 12 * 12 = 52 too far out
    assert masks_in_boxes(level_camera(), instances, one_box()) == Share(144, 196)


def test_masks_without_a_box_are_wrong() -> None:
    instances = np.zeros((100, 100), np.uint16)
    instances[50, 48:52] = 8
    assert masks_in_boxes(level_camera(), instances, one_box()) == Share(0, 4)
    behind = one_box(center_m=np.array([[-11.0, 0.0, 1.5]]), instance=np.array([8], np.uint16))
    assert masks_in_boxes(level_camera(), instances, behind) == Share(0, 4)


def test_ground_counts_ground_pixels_with_depth_alone() -> None:
    classes = np.array([[SemanticClass.ROAD, SemanticClass.SIDEWALK, SemanticClass.CAR,
                         SemanticClass.TERRAIN, SemanticClass.ROAD]], np.uint8)  # fmt: skip
    z = np.array([[0.02, -0.02, 1.0, 0.04, np.nan]])
    points = np.stack([np.ones_like(z), np.ones_like(z), z], axis=-1)
    assert ground_at_zero(classes, points) == Share(2, 3)


def test_pixels_are_projected_back_to_where_they_show() -> None:
    depth = np.zeros((100, 100), np.float32)
    depth[99, 49] = 3.0  # 49.5 pixels down: 2.97 m at 3 m; half a pixel left: 0.03 m
    points = back_project(level_camera(), depth)
    assert points[99, 49] == pytest.approx([3.0, 0.03, 1.5 - 2.97])
    assert np.isnan(points).all(axis=-1).sum() == 100 * 100 - 1


def test_vehicles_may_stand_out_of_their_cells_by_three_centimetres() -> None:
    """Cells from x = 10 to 12 belong to cars; two pixels show a car around their edges."""
    grid = BevGrid.from_range((0.0, 20.0), (-4.0, 4.0), 0.25)
    layers = np.zeros((len(BEV_LAYERS), *grid.shape), bool)
    layers[BEV_LAYERS.index('car'), :, 40:48] = True
    classes = np.zeros((100, 100), np.uint8)
    classes[50, [48, 51]] = SemanticClass.CAR
    none = np.zeros((100, 100))
    truth = CameraTruth(
        level_camera(), classes, none.astype(np.uint16), none.astype(np.float32), one_box(), grid,
        layers,
    )  # fmt: skip
    points_m = np.full((100, 100, 3), np.nan)
    for x_m, hits in (((9.98, 12.02), 2), ((9.96, 12.02), 1), ((9.96, 12.04), 0), ((25.0, 11), 1)):
        points_m[50, [48, 51]] = [(x_m[0], 0.1, 1.0), (x_m[1], 0.1, 1.0)]
        fine = dataclasses.replace(truth, camera=sharp_camera())
        assert vehicles_in_cells(fine, points_m) == Share(hits, 2 if x_m[0] < 20.0 else 1)
        # With a focal length of 50 pixels a pixel spans 0.2 m at 10 m: more than half a cell.
        assert vehicles_in_cells(truth, points_m) == Share()


def sharp_camera() -> Camera:
    """The level camera with ten times its focal length."""
    camera = level_camera()
    K = np.array([[500.0, 0, 49.5], [0, 500.0, 49.5], [0, 0, 1]])
    return dataclasses.replace(camera, K=K)


def test_shares() -> None:
    assert (Share(1, 4) + Share(2, 4)).value == 0.375
    assert Share().value == 1.0
    assert Agreement(vehicles=Share(99, 100)).failures() == ('vehicles',)
