"""Labels, cameras and ego poses in a turned frame, against turned arrays and brute force."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from bev_trainer.augment.turn import (
    turn_pose,
    turned_camera,
    turned_ego,
    turned_lookup,
    turned_objects,
)
from bev_trainer.data.drive_labels import DriveFrame
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.bev import BEV_LAYERS, SAMPLED_LAYERS
from bev_trainer.targets.occupancy import occupancy_target
from bev_trainer.world.classes import SemanticClass
from numpy.typing import NDArray
from support.drives import SmallDrive
from support.tiny_model import tiny_config

from bev_perception.geometry.footprints import footprint_cells
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.model_input import input_camera
from bev_perception.geometry.pose import pose_from_yaw, transform
from bev_perception.model.memory import MemoryFrames
from bev_perception.model.parts import create_view_transform

GRID = BevGrid(-10.0, -10.0, 0.5, 40, 40)
FRAME, PIXELS = 5, 3
TIMES_S = (0.0, 0.25, 0.5)


@pytest.fixture(scope='module')
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    path = SmallDrive().write(tmp_path_factory.mktemp('drive'))
    with Drive(path) as found:
        yield found


@pytest.fixture
def walled(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> Drive:
    """The drive with something that stands, more on the left, where its pictures show nothing."""
    rng = np.random.default_rng(6)
    pictures = []
    for camera, most in zip(drive.cameras, (300, 600, 100), strict=True):
        classes = np.zeros((camera.height, camera.width), np.uint8)
        depth_m = np.zeros(classes.shape, np.float32)
        chosen = rng.choice(classes.size, most, replace=False)
        classes.ravel()[chosen] = SemanticClass.BUILDING
        depth_m.ravel()[chosen] = rng.uniform(2.0, 14.0, most)
        pictures.append((classes, depth_m))
    monkeypatch.setattr(drive, 'classes', lambda frame, camera: pictures[camera][0])
    monkeypatch.setattr(drive, 'depth_m', lambda frame, camera: pictures[camera][1])
    return drive


def quarter(values: NDArray) -> NDArray:
    """Returns [..., y, x] turned counter-clockwise by 90 degrees: what was ahead is on the left.

    The value at (x, y) goes to (-y, x).
    """
    turned = np.zeros_like(values)
    rows, columns = values.shape[-2:]
    for iy, ix in np.ndindex(rows, columns):
        turned[..., ix, rows - 1 - iy] = values[..., iy, ix]
    return turned


@pytest.mark.parametrize('quarters', [1, 2, 3])
def test_quarter_turns_are_turned_arrays(walled: Drive, quarters: int) -> None:
    drive = walled
    straight = DriveFrame(drive, FRAME, PIXELS)
    turned = DriveFrame(drive, FRAME, PIXELS, turn_rad=quarters * np.pi / 2)

    def expected(values: NDArray) -> NDArray:
        for _ in range(quarters):
            values = quarter(values)
        return values

    shown = 0
    for name in (*BEV_LAYERS, 'vehicle', 'two_wheeler'):
        layer, other = straight.layer(name, GRID), turned.layer(name, GRID)
        assert layer is not None and other is not None
        np.testing.assert_array_equal(other, expected(layer), err_msg=name)
        shown += bool(layer.any())
    assert shown >= 6
    assert straight.layer('moon', GRID) is None and turned.layer('moon', GRID) is None
    np.testing.assert_array_equal(turned.observed(GRID), expected(straight.observed(GRID)))
    np.testing.assert_array_equal(turned.obstacles(GRID), expected(straight.obstacles(GRID)))
    targets = [
        occupancy_target(labels, labels.objects((0.0,)), GRID) for labels in (straight, turned)
    ]
    np.testing.assert_array_equal(targets[1], expected(targets[0]))
    assert len(np.unique(targets[0])) == 3


def test_any_turn_of_the_ground_and_the_road_users(drive: Drive) -> None:
    turn_rad = 0.7
    turned, straight = (DriveFrame(drive, FRAME, PIXELS, turn) for turn in (turn_rad, 0.0))
    # Where a cell's centre is in the world, worked out from scratch.
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    x, y = np.moveaxis(GRID.cell_centers(), -1, 0)
    ahead, left = cos * x + sin * y, cos * y - sin * x
    world = transform(drive.world_T_base[FRAME], np.stack([ahead, left, 0.0 * x], axis=-1))
    bits = drive.ground.at(world[..., 0], world[..., 1])
    for layer in SAMPLED_LAYERS:
        found = turned.layer(str(layer.name).lower(), GRID)
        assert found is not None
        wanted = (bits & int(layer)) > 0
        # They may differ where an edge passes through the cell.
        assert (found != wanted).mean() < (0.12 if layer.name == 'LANE_MARKING' else 0.04)
        assert layer.name != 'DRIVABLE' or 0.2 < wanted.mean() < 0.9
    objects = turned.objects((0.0,))
    trucks = [row for row, name in enumerate(objects.class_name) if name == 'truck']
    drawn = np.zeros(GRID.shape, bool)
    for _, window, mask in footprint_cells(
        objects.center_m[trucks], objects.size_m[trucks], objects.yaw_rad[trucks], GRID
    ):
        drawn[window] |= mask
    np.testing.assert_array_equal(turned.layer('truck', GRID), drawn)
    before = straight.layer('truck', GRID)
    assert before is not None and drawn.any() and not np.array_equal(before, drawn)


def test_any_turn_of_what_stands(walled: Drive) -> None:
    fine = BevGrid(-16.0, -16.0, 0.05, 640, 640)
    turn_rad = -0.4
    straight = DriveFrame(walled, FRAME, PIXELS).obstacles(fine)
    turned = DriveFrame(walled, FRAME, PIXELS, turn_rad).obstacles(GRID)
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    x, y = fine.cell_centers()[straight == 1].T
    points = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    wanted = np.zeros(GRID.shape, bool)
    iy, ix, inside = GRID.to_cell(points[:, 0], points[:, 1])
    wanted[iy[inside], ix[inside]] = True
    # Fine cells are as good as points: only those on edges may come to lie beyond them.
    assert wanted.sum() > 100
    assert (turned & wanted).sum() / (turned | wanted).sum() > 0.9


def test_lookup_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    source, target = BevGrid(-7.0, -5.0, 0.4, 30, 25), BevGrid(-6.0, -8.0, 0.5, 28, 32)
    values = rng.integers(1, 100, (2, *source.shape))
    for turn_rad in (0.0, 0.3, -1.9, np.pi):
        found = turned_lookup(values, source, target, turn_rad)
        assert found.dtype == values.dtype and found.shape == (2, *target.shape)
        for iy, ix in np.ndindex(*target.shape):
            x, y = target.cell_centers()[iy, ix]
            angle = np.arctan2(y, x) - turn_rad
            reach = np.hypot(x, y)
            row, column, inside = source.to_cell(reach * np.cos(angle), reach * np.sin(angle))
            wanted = values[:, row, column] if inside else np.zeros(2, int)
            np.testing.assert_array_equal(found[:, iy, ix], wanted)


def test_turned_road_users_are_seen_by_turned_cameras_as_before(drive: Drive) -> None:
    labels = DriveFrame(drive, FRAME, PIXELS).objects(TIMES_S)
    turned = DriveFrame(drive, FRAME, PIXELS, turn_rad=2.5).objects(TIMES_S)
    seen = 0
    for camera in drive.cameras:
        uv, inside = camera.project_base(labels.center_m)
        found, also = turned_camera(camera, 2.5).project_base(turned.center_m)
        np.testing.assert_allclose(found, uv, atol=1e-6)
        np.testing.assert_array_equal(inside, also)
        seen += int(inside.sum())
    assert seen > 3
    # Headings, velocities and paths agree with each other as before.
    for one in (labels, turned):
        step = one.path_m[1] - one.path_m[0]
        moving = np.linalg.norm(step, axis=-1) > 0.2
        heading = np.arctan2(step[moving, 1], step[moving, 0])
        turn = np.angle(np.exp(1j * (heading - one.yaw_rad[moving])))
        assert moving.sum() >= 2 and np.abs(turn).max() < 0.2
        speed = np.arctan2(one.velocity_mps[moving, 1], one.velocity_mps[moving, 0])
        assert np.abs(np.angle(np.exp(1j * (speed - one.yaw_rad[moving])))).max() < 0.1
        np.testing.assert_allclose(one.path_m[0], one.center_m[:, :2], atol=1e-9)
        np.testing.assert_allclose(
            np.exp(1j * one.path_yaw_rad[0]), np.exp(1j * one.yaw_rad), atol=1e-9
        )
    np.testing.assert_array_equal(turned.visible, labels.visible)
    assert (turned.yaw_rad >= -np.pi).all() and (turned.yaw_rad < np.pi).all()
    np.testing.assert_allclose(turned.center_m[:, 2], labels.center_m[:, 2])


def test_no_turn_changes_nothing_at_all(drive: Drive) -> None:
    labels = DriveFrame(drive, FRAME, PIXELS).objects(TIMES_S)
    assert turned_objects(labels, 0.0) is labels
    assert turned_camera(drive.cameras[0], 0.0) is drive.cameras[0]
    np.testing.assert_array_equal(turned_ego(drive.world_T_base[2], 0.0), drive.world_T_base[2])


def test_motion_of_the_memory_in_the_turned_frame() -> None:
    grid, turn_rad = tiny_config().bev_grid(), 0.8
    tracks = [MemoryFrames('ring', 2, grid, 2.0) for _ in range(2)]
    pose, rng = np.eye(4), np.random.default_rng(3)
    base_T_turned = turn_pose(-turn_rad)
    for step in range(6):
        pose = pose @ pose_from_yaw(rng.uniform(0, 3), 0.1, 0.0, rng.uniform(-0.2, 0.2))
        motions = [
            track.step(step * 400_000_000, odom)
            for track, odom in zip(tracks, (pose, turned_ego(pose, turn_rad)), strict=True)
        ]
        for slot in range(2):
            straight, turned = np.eye(4), np.eye(4)
            for full, motion in ((straight, motions[0]), (turned, motions[1])):
                full[:2, [0, 1, 3]] = motion.read[0, slot].numpy()
            if motions[0].keep[0, slot]:
                expected = np.linalg.inv(base_T_turned) @ straight @ base_T_turned
                np.testing.assert_allclose(turned, expected, atol=1e-5)


def test_features_are_lifted_to_the_turned_place(drive: Drive) -> None:
    data = tiny_config().model_dump()
    data['grid'] = {'x_m': (-16.0, 16.0), 'y_m': (-16.0, 16.0), 'resolution_m': 2.0}
    config = type(tiny_config()).model_validate(data)
    view = create_view_transform(config)
    size = config.input.width, config.input.height
    cameras = [input_camera(camera, *size, 0.4) for camera in drive.cameras]
    height, width = config.feature_size()
    assert config.depth is not None
    context = torch.rand(1, 3, view.context_channels, height, width)
    depth = torch.rand(1, 3, config.depth.bins, height, width).softmax(dim=2)
    mask = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        straight, turned = (
            view(context, depth, mask, view.build([turned_camera(c, turn) for c in cameras]))
            for turn in (0.0, np.pi / 2)
        )
    np.testing.assert_allclose(turned.numpy(), quarter(straight.numpy()), atol=1e-4)


def test_only_the_view_of_cameras_that_are_there_counts(walled: Drive) -> None:
    drive = walled
    here = np.array([True, False, True])
    some, everything = (
        DriveFrame(drive, FRAME, PIXELS, cameras=here),
        DriveFrame(drive, FRAME, PIXELS),
    )
    grid = drive.label_grid
    observed = drive.observed(FRAME)
    np.testing.assert_array_equal(some.observed(grid), observed[0] | observed[2])
    np.testing.assert_array_equal(everything.observed(grid), observed.any(axis=0))
    labels = some.objects((0.0,))
    pixels = drive.objects.visible_pixels[labels.label - 1, FRAME]
    np.testing.assert_array_equal(labels.visible, pixels[:, [0, 2]].max(axis=1) >= PIXELS)
    assert labels.visible.sum() < everything.objects((0.0,)).visible.sum()
    blind = DriveFrame(drive, FRAME, PIXELS, cameras=np.zeros(3, bool))
    assert not blind.observed(grid).any() and not blind.objects((0.0,)).visible.any()
    assert not blind.obstacles(grid).any()
    left = DriveFrame(drive, FRAME, PIXELS, cameras=np.array([False, True, False]))
    together = some.obstacles(grid) | left.obstacles(grid)
    np.testing.assert_array_equal(together, everything.obstacles(grid))
    assert (some.obstacles(grid) != everything.obstacles(grid)).any()
