"""Rendered drives of every rig agree with their labels: masks, points, ground and cells."""

from __future__ import annotations

import dataclasses
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.look.agreement import (
    GRID,
    Agreement,
    Share,
    agreement,
    points_in_boxes,
)
from bev_trainer.look.camera_truth import CameraTruth, back_project, read_truth
from bev_trainer.simulate.job import DriveJob
from bev_trainer.simulate.make_drive import make_drive
from bev_trainer.simulate.rigs import load_rigs
from bev_trainer.world.weather import WeatherName
from support.crossroads import crossroads_world
from support.simulator import need_graphics

from bev_perception.geometry.pose import invert

WEATHER: dict[str, WeatherName] = {
    'car_6': 'clear',
    'shuttle_4_fisheye': 'night',
    'truck_5': 'rain',
    'robot_3': 'fog',
}
SIZE = (192, 108)


@pytest.fixture(scope='module', autouse=True)
def _graphics() -> None:
    need_graphics()


def drive_job(rig_name: str) -> DriveJob:
    """A drive of three frames, all with dense labels, over the crossroads."""
    return DriveJob(
        index=0, name='drive_000000', network='hand', network_seed=0, drive=0, seed=11,
        rig_name=rig_name, rig=load_rigs([rig_name], SIZE)[rig_name], split='train',
        weather=WEATHER[rig_name], seconds=3.0, image_hz=1, label_hz=1, supersample=1,
    )  # fmt: skip


@pytest.fixture(scope='module')
def drives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    world, files = crossroads_world(), {}
    # At the crossing, between those who wait and those who are parked; a little aslant, because
    # what stands exactly along the edges of cells falls on either side of them.
    drive = world.ego_drives[0]
    ego = dataclasses.replace(drive.track, yaw_rad=drive.track.yaw_rad + 0.1)
    drive = dataclasses.replace(drive, track=ego, start_s=9.0)
    world = dataclasses.replace(world, ego_drives=(drive,))
    for rig_name in WEATHER:
        folder = tmp_path_factory.mktemp(rig_name)
        make_drive(drive_job(rig_name), world, folder)
        files[rig_name] = folder / 'drive_000000.zip'
    return files


def truths_of(path: Path) -> list[CameraTruth]:
    with Drive(path) as drive:
        frames = drive.description.label_frames
        assert len(frames) == 3
        return [truth for frame in frames for truth in read_truth(drive, frame, GRID)]


@pytest.mark.parametrize('rig_name', WEATHER)
def test_a_rendered_drive_agrees_with_its_labels(drives: dict[str, Path], rig_name: str) -> None:
    truths = truths_of(drives[rig_name])
    found = reduce(add, (agreement(truth) for truth in truths), Agreement())
    assert found.masks.hits == found.masks.total > 1000
    assert found.points.hits == found.points.total
    assert found.ground.hits == found.ground.total > 20000
    assert found.drivable.value >= 0.97
    assert found.vehicles.value >= 0.995
    assert found.vehicles.total > 300
    assert found.failures() == ()


def test_boxes_fit_at_the_time_a_camera_fires_and_not_at_the_frame(
    drives: dict[str, Path],
) -> None:
    right, wrong = Share(), Share()
    with Drive(drives['car_6']) as drive:
        offsets_ns = drive.description.camera_offsets_ns
        late = int(np.argmax(np.abs(offsets_ns)))
        assert abs(offsets_ns[late]) > 30_000_000
        for frame in drive.description.label_frames:
            truth = read_truth(drive, frame, GRID)[late]
            base_T_world = invert(drive.camera_world_T_base[frame, late])
            stamp_ns = drive.camera_stamp_ns(frame, late)
            for offset_ns in (0, -offsets_ns[late]):
                boxes = drive.boxes_at(stamp_ns + offset_ns).transformed(base_T_world)
                share = moving_points(truth, boxes)
                right, wrong = (right + share, wrong) if offset_ns == 0 else (right, wrong + share)
    assert right.hits == right.total > 100
    assert wrong.value < 0.95


def moving_points(truth: CameraTruth, boxes: BoxArray) -> Share:
    """Returns the share of pixels of what moves whose points are in the boxes."""
    fast = boxes.instance[np.linalg.norm(boxes.velocity_mps, axis=-1) > 3.0]
    instances = np.where(np.isin(truth.instances, fast), truth.instances, 0).astype(np.uint16)
    points_m = back_project(truth.camera, truth.depth_m)
    return points_in_boxes(truth.camera, instances, points_m, boxes)


def test_a_turned_camera_of_a_rendered_drive_does_not_agree(drives: dict[str, Path]) -> None:
    """Half a degree is ten centimetres at ten metres: seen with every lens."""
    cos, sin = np.cos(np.radians(0.5)), np.sin(np.radians(0.5))
    pitch = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    for path in drives.values():
        for truth in truths_of(path):
            camera = truth.camera.with_pose(truth.camera.base_T_camera @ pitch)
            ground = agreement(dataclasses.replace(truth, camera=camera)).ground
            assert ground.total == 0 or ground.value < 0.9
