"""What the cameras show of road users, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
from bev_trainer.dataset.object_table import ObjectTable
from bev_trainer.labels.silhouette import silhouette_pixels
from bev_trainer.simulate.object_log import ObjectLog
from bev_trainer.simulate.rigs import load_rigs
from bev_trainer.simulate.scenario_boxes import ScenarioBoxes
from numpy.typing import NDArray
from support.crossroads import crossroads

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert

SCENARIO = crossroads()
FRAME, TIMES_S = 1, (SCENARIO.start_s + 1.0, SCENARIO.start_s + 1.04)


def cameras() -> list[Camera]:
    """Returns a camera that looks ahead, twice: each has an instant of its own."""
    entries = load_rigs(['car_6'], (96, 36))['car_6'].cameras
    camera = next(entry.camera() for entry in entries if entry.name == 'front')
    assert camera is not None
    return [camera, camera]


def alone(camera: Camera, time_s: float, instance: int) -> float:
    """Returns the silhouette of one road user in a camera that fires at a time."""
    boxes = ScenarioBoxes(SCENARIO).at(time_s)
    boxes = boxes.selected(np.flatnonzero(boxes.instance == instance))
    boxes = boxes.transformed(invert(SCENARIO.world_T_base(time_s)))
    return float(silhouette_pixels(camera, boxes, [SCENARIO.others[instance - 1].model])[0])


def logged(*images: NDArray[np.uint16]) -> ObjectTable:
    log = ObjectLog(SCENARIO, cameras(), 2)
    log.add_views(FRAME, images, TIMES_S)
    return log.table()


def in_view() -> int:
    """Returns a road user of whom both cameras would show something, not equally much."""
    both = zip(cameras(), TIMES_S, strict=True)
    areas = np.array([[alone(*pair, k + 1) for k in range(len(SCENARIO.others))] for pair in both])
    gap = np.where(areas.min(axis=0) > 0, np.abs(areas[1] - areas[0]), 0.0)
    assert gap.max() > 1.0
    return int(gap.argmax()) + 1


def test_whom_one_camera_shows_has_silhouettes_in_all() -> None:
    who = in_view()
    front, other = (np.zeros((camera.height, camera.width), np.uint16) for camera in cameras())
    front[3, 4:6] = who
    table = logged(front, other)
    assert table.visible_pixels[who - 1].tolist() == [[0, 0], [2, 0]]
    wanted = [alone(*pair, who) for pair in zip(cameras(), TIMES_S, strict=True)]
    assert wanted[1] > 0
    got = table.silhouette_pixels[who - 1]
    assert got[FRAME].tolist() == pytest.approx([max(wanted[0], 2.0), wanted[1]], rel=1e-6)
    assert not got[0].any()


def test_whom_no_camera_shows_has_none() -> None:
    table = logged(*(np.zeros((camera.height, camera.width), np.uint16) for camera in cameras()))
    assert not table.visible_pixels.any() and not table.silhouette_pixels.any()


def test_a_silhouette_is_never_less_than_what_was_seen() -> None:
    who = in_view()
    front, other = (np.full((camera.height, camera.width), who, np.uint16) for camera in cameras())
    table = logged(front, other)
    assert table.silhouette_pixels[who - 1, FRAME].tolist() == [front.size, other.size]
