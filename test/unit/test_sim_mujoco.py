"""Another renderer sees the same: MuJoCo draws the posed meshes with the same cameras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.render.renderer import ScenarioRenderer
from bev_trainer.render.sensor import ideal_sensor
from bev_trainer.world.classes import GROUND_CLASSES, SemanticClass
from support import mujoco_view
from support.crossroads import crossroads
from support.gl import context
from support.level_camera import level_camera
from support.posed_scene import posed_objects

from bev_perception.geometry.camera import Camera

pytest.importorskip('mujoco', reason='MuJoCo is not installed')

TIME_S = 4.5
RANGE_M = 90.0
CAMERAS = (
    level_camera(416, 160, 230.0, pitch_deg=3.0, position_m=(1.2, 0.0, 1.6)),
    level_camera(416, 160, 230.0, yaw_deg=155.0, pitch_deg=5.0, position_m=(-0.8, 0.6, 1.8)),
)


@pytest.mark.parametrize('camera', CAMERAS, ids=lambda camera: camera.name)
def test_objects_and_depth_agree_with_mujoco(camera: Camera, tmp_path: Path) -> None:
    scenario = crossroads()
    with ScenarioRenderer(context(), scenario, [camera], ideal_sensor(1)) as renderer:
        shot = renderer.shoot([TIME_S])[0]
    pose = scenario.world_T_base(TIME_S) @ camera.base_T_camera
    near = [
        each
        for each in posed_objects(scenario, TIME_S)
        if np.linalg.norm(each.points_m - pose[:3, 3], axis=1).min() < RANGE_M
    ]
    np.savez(
        tmp_path / 'scene.npz',
        points=np.concatenate([each.points_m for each in near]),
        object=np.repeat(np.arange(len(near)), [len(each.points_m) // 3 for each in near]),
        width=camera.width,
        height=camera.height,
        focal=camera.K[0, 0],
        world_T_camera=pose,
    )
    command = [sys.executable, mujoco_view.__file__, tmp_path / 'scene.npz', tmp_path / 'view.npz']
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    view = np.load(tmp_path / 'view.npz')

    classes = np.array([each.class_id for each in near] + [SemanticClass.SKY, 0])
    instances = np.array([each.instance for each in near] + [0, 0])
    # What is too far for MuJoCo's scene counts on neither side.
    compared = (shot.depth_m < RANGE_M) & (shot.classes > max(GROUND_CLASSES))
    compared |= (view['object'] >= 0) & (view['depth_m'] < RANGE_M)
    same = (shot.classes == classes[view['object']]) & (
        shot.instances == instances[view['object']]
    )
    assert compared.mean() > 0.15
    assert len(np.unique(shot.classes[compared])) >= 5
    assert same[compared].mean() >= 0.999
    both = compared & same
    difference = np.abs(shot.depth_m[both] - view['depth_m'][both])
    assert np.median(difference) < 1e-3
    assert np.percentile(difference, 99) < 0.02

    ground = np.isin(shot.classes, GROUND_CLASSES) & (view['object'] == mujoco_view.GROUND)
    ground &= shot.depth_m < 60.0
    assert ground.mean() > 0.2
    assert np.median(np.abs(shot.depth_m - view['depth_m'])[ground]) < 1e-3
