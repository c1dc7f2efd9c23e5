"""nuScenes tables as scenes: hand-made tables, what `bev-trainer convert` writes, wrong input."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive
from bev_trainer.world.classes import SemanticClass
from scipy.spatial.transform import Rotation
from support.bags import assert_one_line
from support.drives import SmallDrive

from bev_perception.errors import BevError
from bev_perception.evaluation.scenes.nuscenes.rows import rows
from bev_perception.evaluation.scenes.nuscenes.scene import NuScenesScene, OpenNuScenesScene
from bev_perception.evaluation.scenes.nuscenes.tables import (
    Version,
    find_version,
    read_scenes,
    scene_names,
)
from bev_perception.frame import CameraState, FrameSet
from bev_perception.geometry.pose import invert
from bev_perception.inputs.image import decode

Row = dict[str, Any]
Tables = dict[str, list[Row]]

START_US = 1_532_402_927_647_951
SAMPLES = ('s0', 's1', 's2')
# Half a second, and then three: too long for a velocity.
SAMPLE_US = (START_US, START_US + 500_000, START_US + 3_500_000)
OFFSETS_US = {'CAM_FRONT': 20_000, 'CAM_BACK': -30_000}
HALF = math.sqrt(0.5)


def ego(stamp_us: int) -> tuple[list[float], list[float]]:
    """Translation, rotation (w, x, y, z): along the global y axis at 4 m/s, pitched and rolled."""
    passed_s = (stamp_us - START_US) / 1e6
    x, y, z, w = Rotation.from_euler('ZYX', [math.pi / 2, 0.02, -0.03]).as_quat()
    return [1000.0, 2000.0 + 4.0 * passed_s, 1.0], [w, x, y, z]


def sensor_rows() -> Tables:
    optical = {'CAM_FRONT': [0.5, -0.5, 0.5, -0.5], 'CAM_BACK': [0.5, -0.5, -0.5, 0.5]}
    sensors, calibrated = [], []
    for channel in (*OFFSETS_US, 'LIDAR_TOP', 'RADAR_FRONT'):
        kind = channel.partition('_')[0].lower().replace('cam', 'camera')
        sensors.append({'token': channel.lower(), 'channel': channel, 'modality': kind})
        calibrated.append(
            {
                'token': f'cal {channel}',
                'sensor_token': channel.lower(),
                'translation': [1.7 if channel == 'CAM_FRONT' else -0.5, 0.1, 1.5],
                'rotation': optical.get(channel, [1.0, 0.0, 0.0, 0.0]),
                'camera_intrinsic': [[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]]
                if kind == 'camera'
                else [],
            }
        )
    return {'sensor': sensors, 'calibrated_sensor': calibrated}


def reading_rows() -> Tables:
    data, poses = [], []
    for sample, stamp_us in zip(SAMPLES, SAMPLE_US, strict=True):
        offsets = {**OFFSETS_US, 'LIDAR_TOP': 0, 'RADAR_FRONT': 7_000}
        for channel, offset_us in offsets.items():
            for sweep in (0, 1) if channel.startswith('CAM') and sample == 's0' else (0,):
                own_us = stamp_us + offset_us + sweep * 250_000
                name = f'{sample} {channel} {sweep}'
                translation, rotation = ego(own_us)
                poses.append(
                    {'token': f'ego {name}', 'timestamp': own_us, 'translation': translation,
                     'rotation': rotation}
                )  # fmt: skip
                data.append(
                    {
                        'token': name,
                        # A sweep belongs to the sample after it.
                        'sample_token': 's1' if sweep else sample,
                        'ego_pose_token': f'ego {name}',
                        'calibrated_sensor_token': f'cal {channel}',
                        'timestamp': own_us,
                        'is_key_frame': not sweep,
                        'fileformat': 'jpg',
                        'width': 64 if channel.startswith('CAM') else 0,
                        'height': 48 if channel.startswith('CAM') else 0,
                        'filename': f'samples/{channel}/{own_us}.jpg',
                        'prev': '',
                        'next': '',
                    }
                )
    return {'sample_data': data, 'ego_pose': poses}


def box(sample: str, instance: str, xyz: list[float], **changes: Any) -> Row:
    row = {
        'token': f'{instance} {sample}',
        'sample_token': sample,
        'instance_token': instance,
        'visibility_token': '2',
        'attribute_tokens': [],
        'translation': xyz,
        'size': [1.9, 4.5, 1.6],
        'rotation': [1.0, 0.0, 0.0, 0.0],
        'prev': '',
        'next': '',
        'num_lidar_pts': 5,
        'num_radar_pts': 2,
    }
    return {**row, **changes}


def box_rows() -> list[Row]:
    return [
        # Ahead of the vehicle along global y, 3 m to its right, moving at (2, -6) m/s.
        box('s0', 'car', [1003.0, 2010.0, 1.5], next='car s1'),
        box('s1', 'car', [1004.0, 2007.0, 1.5], prev='car s0', next='car s2'),
        box('s2', 'car', [1010.0, 1989.0, 1.5], prev='car s1', visibility_token=''),
        box('s0', 'child', [998.0, 2001.0, 1.0], size=[0.5, 0.4, 1.2], num_lidar_pts=0,
            num_radar_pts=0, visibility_token='1', rotation=[HALF, 0.0, 0.0, HALF]),
    ]  # fmt: skip


def tables() -> Tables:
    scene = {
        'token': 'scene 0', 'name': 'scene-0000', 'log_token': '', 'nbr_samples': 3,
        'first_sample_token': 's0', 'last_sample_token': 's2', 'description': '',
    }  # fmt: skip
    samples = [
        {'token': name, 'timestamp': us, 'scene_token': 'scene 0', 'prev': '', 'next': ''}
        for name, us in zip(SAMPLES, SAMPLE_US, strict=True)
    ]
    levels = {'1': 'v0-40', '2': 'v40-60', '3': 'v60-80', '4': 'v80-100'}
    return {
        'scene': [scene],
        'sample': samples,
        **sensor_rows(),
        **reading_rows(),
        'category': [
            {'token': 'c1', 'name': 'vehicle.car', 'description': ''},
            {'token': 'c2', 'name': 'human.pedestrian.child', 'description': ''},
        ],
        'instance': [
            {'token': 'car', 'category_token': 'c1'},
            {'token': 'child', 'category_token': 'c2'},
        ],
        'visibility': [{'token': t, 'level': v, 'description': ''} for t, v in levels.items()],
        'sample_annotation': box_rows(),
    }


def write(root: Path, content: Tables, indent: int | None = 0) -> Path:
    """Writes tables (one column a line, as nuScenes has them) and pictures."""
    folder = root / 'v1.0-mini'
    folder.mkdir(parents=True)
    for name, content_rows in content.items():
        (folder / f'{name}.json').write_text(json.dumps(content_rows, indent=indent))
    for row in content['sample_data']:
        if isinstance(row.get('width'), int) and row['width'] and isinstance(row['filename'], str):
            path = root / row['filename']
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = np.full((48, 64, 3), row['timestamp'] // 1000 % 200, np.uint8)
            path.write_bytes(cv2.imencode('.jpg', shade)[1].tobytes())
    return root


def scene_of(root: Path, sweeps: bool = False) -> NuScenesScene:
    version = find_version(root)
    assert version is not None
    (record,) = read_scenes(version, {'scene-0000'}, sweeps=sweeps)
    return pickle.loads(pickle.dumps(NuScenesScene('scene-0000', root, record)))


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp('nuscenes'), tables())


def test_boxes_in_the_ego_frame(root: Path) -> None:
    with scene_of(root).open() as found:
        truth = found.truth
        assert found.problems == ()
    assert [f.token for f in truth.frames] == list(SAMPLES)
    assert truth.stamps_ns.tolist() == [us * 1000 for us in SAMPLE_US]
    first = truth.frames[0]
    assert first.odom_T_base is not None and first.objects is not None
    np.testing.assert_allclose(first.odom_T_base[:3, 3], [1000.0, 2000.0, 1.0])
    objects = first.objects
    assert objects.track == ('car', 'child')
    assert objects.class_name == ('vehicle.car', 'human.pedestrian.child')
    assert objects.points.tolist() == [7, 0]
    np.testing.assert_allclose(objects.visibility, [0.5, 0.2])
    # (width, length, height) there, (length, width, height) here.
    np.testing.assert_array_equal(objects.size_m, [[4.5, 1.9, 1.6], [0.4, 0.5, 1.2]])
    # The vehicle looks along global y: the car is 10 m ahead and 3 m to the right of it, the child
    # 1 m ahead and 2 m to the left; it is tilted by less than 2 degrees.
    np.testing.assert_allclose(objects.center_m[:, :2], [[10.0, -3.0], [1.0, 2.0]], atol=0.1)
    # A car that looks along global x looks to the right; the child looks ahead.
    np.testing.assert_allclose(objects.yaw_rad, [-math.pi / 2, 0.0], atol=2e-3)
    # 2 m/s along global x are to the right, -6 along global y are backwards.
    np.testing.assert_allclose(objects.velocity_mps[0], [-6.0, -2.0], atol=5e-3)
    # And exactly, the long way round.
    base_R_global = Rotation.from_euler('ZYX', [math.pi / 2, 0.02, -0.03]).as_matrix().T
    np.testing.assert_allclose(objects.center_m[0], base_R_global @ [3.0, 10.0, 0.5])
    np.testing.assert_allclose(objects.velocity_mps[0], (base_R_global @ [2.0, -6.0, 0.0])[:2])
    ahead = base_R_global @ [1.0, 0.0, 0.0]
    np.testing.assert_allclose(objects.yaw_rad[0], math.atan2(ahead[1], ahead[0]))


def test_velocities_are_those_of_the_development_kit(root: Path) -> None:
    """`box_velocity`: across both neighbours, or to one; not over more than 1.5 s for each."""
    (record,) = read_scenes(Version(root, 'v1.0-mini'), {'scene-0000'})
    first, second, third = (sample.annotations.velocity_mps for sample in record.samples)
    np.testing.assert_allclose(first[0], [2.0, -6.0, 0.0])
    assert np.isnan(first[1]).all()  # the child is there once
    assert np.isnan(second).all()  # 3.5 s from before to after
    assert np.isnan(third).all()  # 3 s from before
    content = tables()
    content['sample'][2]['timestamp'] = START_US + 1_600_000
    near = write(root.parent / f'{root.name}_near', content)
    (record,) = read_scenes(Version(near, 'v1.0-mini'), {'scene-0000'})
    np.testing.assert_allclose(
        record.samples[1].annotations.velocity_mps, [[7.0 / 1.6, -21.0 / 1.6, 0.0]]
    )
    np.testing.assert_allclose(
        record.samples[2].annotations.velocity_mps, [[6.0 / 1.1, -18.0 / 1.1, 0.0]]
    )
    assert np.isnan(record.samples[2].annotations.visibility).all()


def test_key_frames(root: Path) -> None:
    with scene_of(root).open() as found:
        sets = list(found.frame_sets())
        again = list(found.frame_sets())
        assert found.info.cameras == ('CAM_BACK', 'CAM_FRONT')
        assert (found.info.source, found.info.duration_s) == ('nuscenes', 3.5)
    assert [f.stamp_ns for f in sets] == [us * 1000 for us in SAMPLE_US]
    assert [f.stamp_ns for f in again] == [f.stamp_ns for f in sets]
    for frames, stamp_us in zip(sets, SAMPLE_US, strict=True):
        assert frames.base_frame == 'base_link' and frames.odom_T_base is not None
        np.testing.assert_allclose(frames.odom_T_base[:3, 3], ego(stamp_us)[0])
        for sample in frames.samples:
            own_us = stamp_us + OFFSETS_US[sample.name]
            assert sample.state is CameraState.USED and sample.stamp_ns == own_us * 1000
            assert sample.camera is not None and sample.image is not None
            pixels = decode(sample.image, sample.camera, 1)
            assert pixels.shape == (48, 64, 3)
            assert abs(int(pixels.mean()) - own_us // 1000 % 200) <= 2
    back, front = (sample.camera for sample in sets[0].samples)
    assert back is not None and front is not None
    # Placed where the calibration has them; ahead is in the middle of the front image.
    np.testing.assert_allclose(front.base_T_camera[:3, 3], [1.7, 0.1, 1.5])
    uv, valid = front.project_base([11.7, 0.1, 1.5])
    assert valid and uv.tolist() == pytest.approx([31.5, 23.5])
    uv, _ = front.project_base([11.7, 2.1, 2.5])  # left and up
    assert uv.tolist() == pytest.approx([31.5 - 10.0, 23.5 - 5.0])
    assert back.project_base([-10.5, 0.1, 1.5])[1] and not back.project_base([11.7, 0.1, 1.5])[1]


def test_sweeps_are_frame_sets_between_key_frames(root: Path) -> None:
    with scene_of(root, sweeps=True).open() as found:
        sets = list(found.frame_sets())
    stamps = [(f.stamp_ns // 1000 - START_US) for f in sets]
    assert stamps == [0, 250_000, 500_000, 3_500_000]
    middle = sets[1]
    assert [s.state for s in middle.samples] == [CameraState.USED] * 2
    assert [s.stamp_ns for s in middle.samples] == [
        (START_US + 250_000 + OFFSETS_US[s.name]) * 1000 for s in middle.samples
    ]
    assert middle.odom_T_base is not None
    np.testing.assert_allclose(middle.odom_T_base[:3, 3], [1000.0, 2001.0, 1.0], atol=1e-6)


def test_samples_without_lidar_get_their_pose_from_between_the_images(tmp_path: Path) -> None:
    content = tables()
    content['sample_data'] = [r for r in content['sample_data'] if 'LIDAR' not in r['token']]
    with scene_of(write(tmp_path, content)).open() as found:
        for frame, stamp_us in zip(found.truth.frames, SAMPLE_US, strict=True):
            assert frame.odom_T_base is not None
            np.testing.assert_allclose(frame.odom_T_base[:3, 3], ego(stamp_us)[0], atol=1e-6)


def test_missing_images_cost_their_camera_alone(tmp_path: Path) -> None:
    folder = write(tmp_path, tables())
    lost = f'samples/CAM_BACK/{SAMPLE_US[1] - 30_000}.jpg'
    (folder / lost).unlink()
    with scene_of(folder).open() as found:
        sets = list(found.frame_sets())
        assert found.problems == (f'1 of 6 images are not there, the first is {lost}',)
    assert [s.state for s in sets[1].samples] == [CameraState.MISSING, CameraState.USED]
    assert lost in sets[1].samples[0].detail
    shutil.rmtree(folder / 'samples')
    with pytest.raises(BevError) as error, scene_of(folder).open():
        pass
    assert_one_line(error.value, folder, 'scene-0000', 'not there', 'unpack')


def test_a_camera_without_an_image_of_a_sample_is_missing_there(tmp_path: Path) -> None:
    content = tables()
    content['sample_data'] = [r for r in content['sample_data'] if r['token'] != 's1 CAM_FRONT 0']
    with scene_of(write(tmp_path, content)).open() as found:
        states = [[s.state for s in f.samples] for f in found.frame_sets()]
    used, missing = CameraState.USED, CameraState.MISSING
    assert states == [[used, used], [used, missing], [used, used]]


# Tables that are wrong.


def without(table: str, row: int, column: str) -> Callable[[Tables], Any]:
    return lambda content: content[table][row].pop(column)


def put(table: str, row: int, column: str, value: Any) -> Callable[[Tables], Any]:
    return lambda content: content[table][row].__setitem__(column, value)


WRONG: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    'no table': (lambda c: c.pop('ego_pose'), ('ego_pose.json', 'no such table')),
    'no category table': (lambda c: c.pop('category'), ('category.json', 'no such table')),
    'no column': (
        without('sample_annotation', 1, 'size'), ('sample_annotation.json', 'row 1', "'size'"),
    ),
    'size of two': (
        put('sample_annotation', 2, 'size', [1.0, 2.0]), ('row 2', "'size'", '3 finite numbers'),
    ),
    'text as number': (
        put('sample_annotation', 2, 'translation', ['a', 1, 2]), ('row 2', "'translation'"),
    ),
    'no rotation': (
        put('calibrated_sensor', 0, 'rotation', [1.0, 1.0, 0.0, 0.0]),
        ('calibrated_sensor.json', 'row 0', 'norm'),
    ),
    'no intrinsics': (
        put('calibrated_sensor', 0, 'camera_intrinsic', []), ('row 0', "'camera_intrinsic'"),
    ),
    'impossible intrinsics': (
        put('calibrated_sensor', 0, 'camera_intrinsic', np.zeros((3, 3)).tolist()),
        ('calibrated_sensor.json', 'row 0', 'CAM_FRONT'),
    ),
    'unknown lens': (
        put('calibrated_sensor', 1, 'distortion_model', 'mei'), ('row 1', 'CAM_BACK', 'mei'),
    ),
    'time as text': (put('sample', 1, 'timestamp', '1'), ('sample.json', 'row 1', "'timestamp'")),
    'time twice': (put('sample', 1, 'timestamp', START_US), ('sample.json', 'scene-0000', 'two')),
    'key as number': (put('sample_data', 0, 'is_key_frame', 1), ('row 0', "'is_key_frame'")),
    'lost pose': (
        put('sample_data', 0, 'ego_pose_token', 'x'), ('ego_pose.json', "'x'"),
    ),
    'lost sensor': (
        put('calibrated_sensor', 2, 'sensor_token', 'x'), ('calibrated_sensor.json', 'row 2'),
    ),
    'lost instance': (
        put('sample_annotation', 0, 'instance_token', 'x'), ('instance.json', "'x'"),
    ),
    'lost category': (
        put('instance', 1, 'category_token', 'x'), ('instance.json', 'row 1', "'x'"),
    ),
    'lost neighbour': (
        put('sample_annotation', 0, 'next', 'x'), ('sample_annotation.json', 'car s0', "'x'"),
    ),
    'no annotation at all': (
        lambda c: c['sample_annotation'].clear(), ('sample_annotation.json', 'no ground truth'),
    ),
    'no sample': (lambda c: c['sample'].clear(), ('sample.json', 'scene-0000', 'no sample')),
    'no reading': (
        lambda c: c['sample_data'].clear(), ("'s0'", 'no image or lidar scan'),
    ),
    'a row is a list': (lambda c: c['sample'].append([1]), ('sample.json', 'row 3')),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG)
def test_wrong_tables(name: str, tmp_path: Path) -> None:
    change, words = WRONG[name]
    content = tables()
    change(content)
    write(tmp_path, content)
    with pytest.raises(BevError) as error:
        read_scenes(Version(tmp_path, 'v1.0-mini'), {'scene-0000'})
    assert_one_line(error.value, tmp_path, *words)


def test_tables_are_streamed(tmp_path: Path) -> None:
    """Rows on any borders of what is read at a time, in all lay-outs."""
    content = [
        {'token': f'ä{k}', 'text': 'x' * (k * 37 % 4001), 'list': [k, [k]]} for k in range(900)
    ]
    path = tmp_path / 'table.json'
    for indent in (None, 0, 2):
        path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding='utf-8')
        assert path.stat().st_size > 1.5 * 2**20
        assert [row.values for row in rows(path)] == content
    path.write_text(' [ ] ')
    assert list(rows(path)) == []
    text = json.dumps(content)
    for broken, words in (
        (text[:-1], 'after row 899'),
        (text[: len(text) // 2], 'is cut off'),
        ('{"a": 1}', 'must be a JSON list'),
        ('', 'must be a JSON list'),
        ('[{"a": 1}, {"b" 2}]', 'after row 0'),
    ):
        path.write_text(broken)
        with pytest.raises(BevError) as error:
            list(rows(path))
        assert_one_line(error.value, path, words)
    path.write_bytes(b'[{"a": "\xff"}]')
    with pytest.raises(BevError) as error:
        list(rows(path))
    assert_one_line(error.value, path, 'UTF-8')


# Versions and splits.


def test_versions(root: Path, tmp_path: Path) -> None:
    assert find_version(root) == Version(root, 'v1.0-mini')
    assert find_version(root / 'v1.0-mini') == Version(root, 'v1.0-mini')
    assert find_version(root, 'v1.0-mini') == Version(root, 'v1.0-mini')
    assert find_version(tmp_path) is None and find_version(tmp_path / 'none') is None
    with pytest.raises(BevError) as error:
        find_version(root, 'v1.0-trainval')
    assert_one_line(error.value, root, "'v1.0-trainval'", 'v1.0-mini')
    shutil.copytree(root / 'v1.0-mini', tmp_path / 'v1.0-mini')
    shutil.copytree(root / 'v1.0-mini', tmp_path / 'v1.0-test')
    with pytest.raises(BevError) as error:
        find_version(tmp_path)
    assert_one_line(error.value, tmp_path, 'several versions', 'v1.0-mini, v1.0-test', 'name one')
    assert find_version(tmp_path, 'v1.0-test') == Version(tmp_path, 'v1.0-test')


def test_splits(root: Path, tmp_path: Path) -> None:
    version = Version(tmp_path, 'v1')
    shutil.copytree(root / 'v1.0-mini', tmp_path / 'v1')
    assert scene_names(version) == ('scene-0000',)
    splits = tmp_path / 'v1' / 'splits.json'

    def refused(*words: object) -> None:
        with pytest.raises(BevError) as error:
            scene_names(version, 'val')
        assert_one_line(error.value, splits.parent, *words)

    refused('splits.json', 'no such file', "'val'", 'name the scenes')
    splits.write_text('{"synth_val": ["scene-0000"], "synth_train": []}')
    assert scene_names(version, 'val') == scene_names(version, 'synth_val') == ('scene-0000',)
    assert scene_names(version, 'train') == ()
    splits.write_text('{"a_val": [], "b_val": []}')
    refused('several splits', 'a_val, b_val')
    splits.write_text('{"a_val": [], "val": ["scene-0000"], "b_val": []}')
    assert scene_names(version, 'val') == ('scene-0000',)
    splits.write_text('{"train": []}')
    refused("no split 'val'", 'train')
    splits.write_text('{"val": ["scene-0007"]}')
    refused("'scene-0007'", 'not there')
    for wrong in ('[]', '{"val": "scene-0000"}', '{"val": [1]}', '{'):
        splits.write_text(wrong)
        refused('splits.json')


# What `bev-trainer convert` writes.


@pytest.fixture(scope='module')
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drive, Path]:
    folder = tmp_path_factory.mktemp('converted')
    path = SmallDrive(frames=17, label_frames=(1, 6, 11, 16)).write(folder)
    write_nuscenes([path], folder / 'nuscenes')
    return Drive(path), folder / 'nuscenes'


def frames_of(root: Path, sweeps: bool) -> tuple[OpenNuScenesScene, list[FrameSet]]:
    version = find_version(root)
    assert version is not None and version.name == 'v1.0-synth'
    (record,) = read_scenes(version, set(scene_names(version, 'train')), sweeps=sweeps)
    with NuScenesScene('name', root, record).open() as found:
        return found, list(found.frame_sets())


def test_a_converted_drive_is_the_drive(converted: tuple[Drive, Path]) -> None:
    drive, root = converted
    found, sets = frames_of(root, sweeps=False)
    keys = (1, 6, 11, 16)
    assert len(sets) == len(found.truth.frames) == 4
    names = {'vehicle.bus.rigid': 'bus', 'human.pedestrian.adult': 'pedestrian',
             'human.pedestrian.child': 'pedestrian'}  # fmt: skip
    for key, frames, truth in zip(keys, sets, found.truth.frames, strict=True):
        assert truth.stamp_ns == frames.stamp_ns == drive.stamp_ns(key)
        assert truth.odom_T_base is not None and frames.odom_T_base is not None
        np.testing.assert_allclose(truth.odom_T_base, drive.world_T_base[key], atol=1e-9)
        np.testing.assert_allclose(frames.odom_T_base, drive.world_T_base[key], atol=1e-9)
        boxes, objects = drive.boxes(key), truth.objects
        assert objects is not None and len(objects) == len(boxes)
        order = [np.lexsort(c.T) for c in (objects.center_m.round(6), boxes.center_m.round(6))]
        ours, theirs = objects.selected(order[0]), boxes.selected(order[1])
        for name in ('center_m', 'size_m', 'yaw_rad'):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-9)
        for name, class_id in zip(ours.class_name, theirs.class_id.tolist(), strict=True):
            label = names.get(name, name.rpartition('.')[2])
            assert SemanticClass(class_id).label.replace('van', 'car') == label
        shares = drive.objects.visibility()[theirs.instance.astype(int) - 1, key]
        for share, middle in zip(shares.tolist(), ours.visibility.tolist(), strict=True):
            assert middle == pytest.approx(
                0.2 if share <= 0.4 else 0.5 if share <= 0.6 else 0.7 if share <= 0.8 else 0.9
            )


def test_images_and_lenses_of_a_converted_drive(converted: tuple[Drive, Path]) -> None:
    drive, root = converted
    _, sets = frames_of(root, sweeps=True)
    assert [f.stamp_ns for f in sets] == [drive.stamp_ns(frame) for frame in range(1, 17)]
    order = sorted(range(3), key=lambda k: drive.cameras[k].name)
    for frame, frames in zip(range(1, 17), sets, strict=True):
        assert frames.odom_T_base is not None
        np.testing.assert_allclose(frames.odom_T_base, drive.world_T_base[frame], atol=1e-3)
        for index, sample in zip(order, frames.samples, strict=True):
            expected = drive.cameras[index]
            assert sample.name == f'CAM_{expected.name.upper()}'
            assert sample.stamp_ns == drive.camera_stamp_ns(frame, index)
            assert sample.image is not None and sample.camera is not None
            assert sample.image.data.tobytes() == drive.jpeg(frame, index)
            assert sample.camera.distortion == expected.distortion
            np.testing.assert_allclose(
                sample.camera.base_T_camera, expected.base_T_camera, atol=1e-12
            )
            np.testing.assert_array_equal(sample.camera.K, expected.K)


def test_velocities_of_a_converted_drive_are_those_of_its_world(
    converted: tuple[Drive, Path],
) -> None:
    """Differences of places half a second or a second apart, turned into the ego frame."""
    drive, root = converted
    found, _ = frames_of(root, sweeps=False)
    keys = (1, 6, 11, 16)
    moving = 0
    for index, (key, truth) in enumerate(zip(keys, found.truth.frames, strict=True)):
        assert truth.objects is not None
        around = [k for k in (index - 1, index, index + 1) if 0 <= k < 4]
        here = drive.boxes(key)
        for row, center in enumerate(truth.objects.center_m):
            nearest = int(np.argmin(np.linalg.norm(here.center_m - center, axis=1)))
            instance = int(here.instance[nearest])
            places = {}
            for k in around:
                world = drive.boxes(keys[k], in_base=False)
                rows_of = np.flatnonzero(world.instance == instance)
                if (
                    rows_of.size
                    and drive.objects.present[
                        instance - 1, min(key, keys[k]) : max(key, keys[k]) + 1
                    ].all()
                ):
                    places[keys[k]] = world.center_m[rows_of[0]]
            velocity = truth.objects.velocity_mps[row]
            if len(places) < 2:
                assert np.isnan(velocity).all()
                continue
            first, last = min(places), max(places)
            passed_s = (drive.stamp_ns(last) - drive.stamp_ns(first)) / 1e9
            change = (places[last] - places[first]) / passed_s
            expected = invert(drive.world_T_base[key])[:3, :3] @ change
            np.testing.assert_allclose(velocity, expected[:2], atol=1e-6)
            moving += int(np.linalg.norm(expected) > 1.0)
    assert moving > 5
