"""Converted drives in nuScenes' own development kit, which runs in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive
from support.drives import ACTORS, START_NS, SmallDrive, rig_of_lenses

pytestmark = pytest.mark.slow

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'nuscenes_devkit'
FRAMES, KEYS = 21, (0, 5, 10, 15, 20)
SKETCHES = (
    SmallDrive(frames=FRAMES, label_frames=KEYS),
    SmallDrive(
        name='drive_000001',
        network='net_000001',
        split='val',
        rig=rig_of_lenses(128, 80),
        frames=FRAMES,
        label_frames=KEYS,
        start=(70.0, 58.0, -0.4),
    ),
)


@pytest.fixture(scope='module')
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns a Python with the kit: $NUSCENES_DEVKIT_PYTHON, or that of a new environment."""
    given = os.environ.get('NUSCENES_DEVKIT_PYTHON')
    if given:
        return given
    folder = tmp_path_factory.mktemp('devkit')
    venv.create(folder, with_pip=True)
    path = folder / 'bin' / 'python'
    wanted = [str(path), '-m', 'pip', 'install', '-q', '-r', str(TOOLS / 'requirements.txt')]
    done = subprocess.run(wanted, capture_output=True, text=True, env=clean_environment())
    if done.returncode:
        pytest.skip(f'nuscenes-devkit cannot be installed: {done.stderr.strip()[-300:]}')
    return str(path)


def clean_environment() -> dict[str, str]:
    """Returns the environment without what leads to this project's packages."""
    return {key: value for key, value in os.environ.items() if not key.startswith('PYTHON')}


@pytest.fixture(scope='module')
def drives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [sketch.write(tmp_path_factory.getbasetemp() / 'kit_drives') for sketch in SKETCHES]


@pytest.fixture(scope='module')
def report(
    drives: list[Path], python: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp('nuscenes') / 'data'
    write_nuscenes(drives, folder)
    command = [python, str(TOOLS / 'report.py'), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stderr, file=sys.stderr)
    return json.loads(done.stdout)


def test_counts_and_chains(report: dict[str, Any]) -> None:
    counts = report['counts']
    assert (counts['scene'], counts['sample'], counts['sensor']) == (2, 10, 4)
    assert counts['sample_data'] == counts['ego_pose'] == 2 * (3 * FRAMES + len(KEYS))
    present = sum(
        any(first <= key / 10 <= last for first, last in actor.presence_s)
        for actor in ACTORS
        for key in KEYS
    )
    assert counts['sample_annotation'] == 2 * present
    # The cyclist comes back as somebody else.
    assert counts['instance'] == 2 * (len(ACTORS) + 1)
    cameras = dict.fromkeys(('CAM_FRONT', 'CAM_LEFT', 'CAM_REAR_FISHEYE'), FRAMES)
    expected = {**cameras, 'LIDAR_TOP': len(KEYS)}
    assert report['chains'] == {sketch.name: expected for sketch in SKETCHES}
    assert all(points > 1000 for points in report['lidar_points'].values())


def test_the_vehicle_drives_on_the_map(report: dict[str, Any]) -> None:
    assert report['on_map'] == {sketch.name: [True] * len(KEYS) for sketch in SKETCHES}


def test_boxes_in_the_cameras(report: dict[str, Any], drives: list[Path]) -> None:
    """Corners in each camera's frame and image, against our own boxes, poses and cameras."""
    compared, seen = 0, Counter[bool]()
    for path, sketch in zip(drives, SKETCHES, strict=True):
        with Drive(path) as drive:
            for row in report['boxes']:
                if row['scene'] != sketch.name:
                    continue
                frame = (row['stamp_us'] - START_NS // 1000) // 100_000
                names = ['CAM_' + camera.name.upper() for camera in drive.cameras]
                index = names.index(row['channel'])
                camera = drive.cameras[index]
                world_T_camera = drive.camera_world_T_base[frame, index] @ camera.base_T_camera
                boxes = drive.boxes(frame, in_base=False)
                box = int(np.flatnonzero(boxes.instance == row['instance'])[0])
                corners = boxes.corners()[box]
                local = (corners - world_T_camera[:3, 3]) @ world_T_camera[:3, :3]
                found = np.array(row['corners_m'])
                distance = np.linalg.norm(found[:, None] - local[None], axis=-1)
                assert distance.min(axis=1).max() < 1e-6
                order = distance.argmin(axis=1)
                assert sorted(order.tolist()) == list(range(8))
                if (local[:, 2] < 0.1).any():
                    assert not row['in_image']
                    continue
                uv = local[order] @ camera.K.T
                uv = uv[:, :2] / uv[:, 2:]
                np.testing.assert_allclose(row['uv'], uv, atol=1e-4)
                compared += 1
                # For the kit a box is in an image when a corner is, more than 1 m away.
                inside = ((uv > 0) & (uv < (camera.width, camera.height))).all(axis=1)
                assert row['in_image'] == bool((inside & (local[order, 2] > 1.0)).any())
                seen[row['in_image']] += 1
    assert compared > 50 and seen[True] > 20 and seen[False] > 10


def test_velocities(report: dict[str, Any]) -> None:
    """The kit's differences over a second agree with the exact velocity of even motion."""
    errors = [
        np.hypot(*np.subtract(row['kit_mps'], row['exact_mps']))
        for row in report['velocities']
        if row['neighbours'] == 2
    ]
    assert len(errors) > 20
    assert np.median(errors) < 0.05
    # The van that stops within a second is the worst.
    assert max(errors) < 5.0
    alone = [row for row in report['velocities'] if row['neighbours'] == 0]
    assert alone and all(row['kit_mps'] is None for row in alone)


@pytest.mark.parametrize('split', ['synth_train', 'synth_val'])
def test_detection_benchmark_of_the_truth_itself(report: dict[str, Any], split: str) -> None:
    result = report['detection'][split]
    present = {name for name, count in result['objects'].items() if count}
    assert present == {'car', 'truck', 'bus', 'pedestrian', 'bicycle'}
    for name, ap in result['ap'].items():
        assert ap == pytest.approx(1.0 if name in present else 0.0, abs=1e-9), name
    for name in present:
        errors = {key: value for key, value in result['errors'][name].items() if key != 'vel_err'}
        assert all(value == pytest.approx(0.0, abs=1e-9) for value in errors.values()), name
