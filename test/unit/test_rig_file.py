"""Rig files: what they say, what they refuse and how, and that saving is stable and atomic."""

from __future__ import annotations

import os

import numpy as np
import pytest
import yaml

from bev_perception.errors import ConfigError
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.rig_file import RigFile, load_rig_file, save_rig_file

TEXT = """\
format: 1
base_frame: base_link
odometry_topic: /odom
cameras:
- name: front
  image_topic: /front/image/compressed
  transport: compressed
  frame_id: front_optical
  trigger_offset_s: 0.004
  rectified: false
  intrinsics:
    width: 1600
    height: 900
    distortion_model: plumb_bob
    k: [1266.5, 0.0, 800.0, 0.0, 1266.5, 450.0, 0.0, 0.0, 1.0]
    d: [-0.3, 0.1, 0.0, 0.0, 1.0e-08]
  base_T_camera:
    translation_m: [1.5, 0.0, 1.7]
    quaternion_xyzw: [-0.5, 0.5, -0.5, 0.5]
- name: rear
  image_topic: /rear/image_raw
  transport: raw
  camera_info_topic: /rear/camera_info
  frame_id: rear_optical
  trigger_offset_s: 0.0
  rectified: true
"""


def write(folder, text):
    path = folder / 'rig.yaml'
    path.write_text(text)
    return path


def test_fields(tmp_path):
    rig = load_rig_file(write(tmp_path, TEXT))
    assert (rig.base_frame, rig.odometry_topic) == ('base_link', '/odom')
    front, rear = rig.cameras
    assert (front.name, front.transport, front.trigger_offset_s) == ('front', 'compressed', 0.004)
    assert (rear.camera_info_topic, rear.rectified, rear.intrinsics) == (
        '/rear/camera_info',
        True,
        None,
    )
    assert rear.camera() is None


def test_camera_of_a_complete_entry(tmp_path):
    camera = load_rig_file(write(tmp_path, TEXT)).cameras[0].camera()
    assert camera is not None
    assert (camera.name, camera.frame_id, camera.width, camera.height) == (
        'front',
        'front_optical',
        1600,
        900,
    )
    assert camera.K[0].tolist() == [1266.5, 0.0, 800.0]
    assert camera.distortion == Distortion('plumb_bob', (-0.3, 0.1, 0.0, 0.0, 1e-8))
    # (-0.5, 0.5, -0.5, 0.5) turns an optical frame to look forward.
    uv, valid = camera.project_base([11.5, 0.0, 1.7])
    assert valid
    np.testing.assert_allclose(uv, [800.0, 450.0], atol=1e-9)
    assert camera.project_base([11.5, 1.0, 1.7])[0][0] < 800.0


def test_defaults_and_short_forms(tmp_path):
    rig = load_rig_file(
        write(
            tmp_path,
            'format: 1\nbase_frame: base\ncameras:\n'
            '- {name: a, image_topic: /a, transport: raw, camera_info_topic: /b}\n',
        )
    )
    camera = rig.cameras[0]
    assert rig.odometry_topic is None
    assert (camera.frame_id, camera.trigger_offset_s, camera.rectified) == ('', 0.0, False)


def test_saved_text_is_stable(tmp_path):
    path = write(tmp_path, TEXT)
    save_rig_file(load_rig_file(path), tmp_path / 'again.yaml')
    assert (tmp_path / 'again.yaml').read_text() == TEXT
    assert sorted(os.listdir(tmp_path)) == ['again.yaml', 'rig.yaml']


def test_there_and_back_on_random_rigs(tmp_path):
    rng = np.random.default_rng(0)
    models = {'none': 0, 'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}
    for _ in range(8):
        cameras = []
        for index in range(rng.integers(1, 9)):
            model = str(rng.choice(list(models)))
            quaternion = rng.normal(size=4)
            cameras.append(
                {
                    'name': f'camera {index}: ä',
                    'image_topic': f'/c{index}',
                    'transport': str(rng.choice(['raw', 'compressed'])),
                    'frame_id': f'frame_{index}',
                    'trigger_offset_s': float(rng.normal()) * 1e-6,
                    'intrinsics': {
                        'width': int(rng.integers(1, 4000)),
                        'height': int(rng.integers(1, 4000)),
                        'distortion_model': model,
                        'k': [*rng.uniform(1, 2000, 1), 0, 3.5, 0, *rng.uniform(1, 2, 2), 0, 0, 1],
                        'd': rng.normal(size=models[model]).tolist(),
                    },
                    'base_T_camera': {
                        'translation_m': rng.normal(size=3).tolist(),
                        'quaternion_xyzw': (quaternion / np.linalg.norm(quaternion)).tolist(),
                    },
                }
            )
        rig = RigFile.model_validate({'format': 1, 'base_frame': 'base', 'cameras': cameras})
        path = tmp_path / 'rig.yaml'
        save_rig_file(rig, path)
        assert load_rig_file(path) == rig
        assert [c.camera() for c in load_rig_file(path).cameras] == [
            c.camera() for c in rig.cameras
        ]
        assert all(c.camera() is not None for c in rig.cameras)
        assert all(len(line) < 400 for line in path.read_text().splitlines())
        assert yaml.safe_load(path.read_text())['cameras'][0]['name'] == 'camera 0: ä'


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('transport: raw', 'trasport: raw', "cameras[1] 'rear' trasport|did you mean 'transport'"),
        ('base_frame:', 'base_fram:', "base_fram is not a known key; did you mean 'base_frame'"),
        ('    width:', '    widht:', "cameras[0] 'front' intrinsics.widht|did you mean 'width'"),
        ('translation_m', 'xyz', 'base_T_camera.xyz|use translation_m, quaternion_xyzw'),
        ('base_frame: base_link\n', '', 'base_frame is missing'),
        ('  transport: raw\n', '', "cameras[1] 'rear' transport is missing"),
        ('format: 1', 'format: 2', 'format: input should be 1, got 2'),
        ('transport: raw', 'transport: jpeg', "transport: input should be 'raw' or 'compressed'"),
        ('width: 1600', 'width: 0', 'intrinsics.width|greater than or equal to 1, got 0'),
        ('width: 1600', 'width: wide', 'intrinsics.width|valid integer'),
        (', 0.0, 0.0, 1.0]', ', 0.0, 1.0]', 'intrinsics.k must have 9 entries or more, has 8'),
        ('[1.5, 0.0, 1.7]', '[1.5, 0.0]', 'translation_m|missing'),
        ('k: [1266.5', 'k: [-1266.5', "'front': camera 'front': K must have positive focal"),
        ('[-0.3, 0.1', '[-0.3, .nan', 'intrinsics.d[1]|finite number'),
        ('[-0.3, 0.1, 0.0', '[-0.3', "model 'plumb_bob' takes 5 coefficients, got 3"),
        ('plumb_bob', 'plumbob', "distortion model 'plumbob' is not known; use one of none"),
        ('[-0.5, 0.5, -0.5, 0.5]', '[0, 0, 0, 0.5]', 'quaternion_xyzw: quaternion|norm 0.5'),
        ('name: rear', 'name: front', "cameras: name 'front' is used by two cameras"),
        ('/rear/image_raw', '/front/image/compressed', 'image_topic|is used by two cameras'),
        (
            '  camera_info_topic: /rear/camera_info\n',
            '',
            "'rear': needs camera_info_topic",
        ),
        ('rectified: false', 'rectified: true', "'front': says rectified: true"),
        ('name: rear', 'name: on', 'cameras[1] name must be text; put it in quotes'),
        ('name: rear', "name: ''", 'cameras[1] name|at least 1 character'),
        ('- name: rear', '- 5\n- name: rear', 'cameras[1] must be a mapping'),
        ('name: rear', 'name: rear\n  name: back', "key 'name' is given twice|line 21"),
        ('name: rear', 'name: [', 'not valid YAML in line 2'),
        ('name: rear', 'name: rear: x', 'not valid YAML in line 20, column 13'),
        ('format: 1', '\tformat: 1', 'not valid YAML in line 1'),
        ('/odom', '!!python/name:os.system', 'not valid YAML in line 3|python/name'),
        ('/odom', '"\\x01\x02"', 'not valid YAML'),
    ],
)
def test_one_line_names_file_and_field(tmp_path, old, new, words):
    assert old in TEXT
    path = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_rig_file(path)
    message = str(error.value)
    assert message.startswith(f'rig file {path}: ')
    assert '\n' not in message and len(message) < 400
    for word in words.split('|'):
        assert word in message


def test_several_problems_are_counted(tmp_path):
    path = write(
        tmp_path, TEXT.replace('width: 1600', 'width: 0').replace('format: 1', 'format: 3')
    )
    with pytest.raises(ConfigError, match=r'format: .*\(and 1 more\)$'):
        load_rig_file(path)


@pytest.mark.parametrize('text', ['', '[1, 2]', 'hello', '5', 'null'])
def test_text_that_is_no_rig_at_all(tmp_path, text):
    with pytest.raises(ConfigError, match='must be a mapping with the keys format, base_frame'):
        load_rig_file(write(tmp_path, text))


@pytest.mark.parametrize('cameras', ['cameras: []', 'cameras: 5', 'cameras:'])
def test_rig_without_cameras(tmp_path, cameras):
    with pytest.raises(ConfigError, match='cameras must '):
        load_rig_file(write(tmp_path, f'format: 1\nbase_frame: base_link\n{cameras}\n'))


def test_intrinsics_need_a_frame_or_a_pose(tmp_path):
    text = TEXT.replace('  frame_id: front_optical\n', '')
    camera = load_rig_file(write(tmp_path, text)).cameras[0].camera()
    assert camera is not None and camera.frame_id == ''
    pose = text[text.index('  base_T_camera') : text.index('- name: rear')]
    with pytest.raises(ConfigError, match="'front': needs frame_id"):
        load_rig_file(write(tmp_path, text.replace(pose, '')))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read: No such file'):
        load_rig_file(tmp_path / 'none.yaml')
    with pytest.raises(ConfigError, match='cannot be read: Is a directory'):
        load_rig_file(tmp_path)
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00\x80')
    with pytest.raises(ConfigError, match='not UTF-8'):
        load_rig_file(tmp_path / 'binary.yaml')


def test_failed_saving_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = write(tmp_path, TEXT)
    rig = load_rig_file(path).model_copy(update={'base_frame': 'other'})
    with pytest.raises(ConfigError, match='cannot be written: No such file'):
        save_rig_file(rig, tmp_path / 'missing' / 'rig.yaml')

    def full(source, target):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(ConfigError, match='cannot be written: No space left'):
        save_rig_file(rig, path)
    assert os.listdir(tmp_path) == ['rig.yaml']
    assert path.read_text() == TEXT
    monkeypatch.undo()
    save_rig_file(rig, path)
    assert load_rig_file(path).base_frame == 'other'
