"""Bad input to whole programs: one line that says what and where, exit code 2, nothing left."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from support.sample_drive.bag import SampleDrive
from support.sample_drive.rig import SampleCamera, camera_ring

pytestmark = pytest.mark.system

NODE = 'bev_perception.ros.node'
PLAYER = 'bev_perception.ros.bag_player'
RECORDER = 'bev_perception.ros.bag_recorder'
DEMO = 'bev_perception.ros.demo'
CLI = 'bev_perception.cli.main'


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    bag = tmp_path_factory.mktemp('bags') / 'drive'
    cameras = tuple(SampleCamera(c) for c in camera_ring(2, 64, 48))
    SampleDrive(cameras, duration_s=1.0, rate_hz=2.0).write(bag)
    return bag


@pytest.fixture(scope='module')
def corrupt(bag, tmp_path_factory):
    """A bag whose file is cut in the middle."""
    copy = tmp_path_factory.mktemp('corrupt') / 'drive'
    shutil.copytree(bag, copy)
    (file,) = copy.glob('*.mcap')
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return copy


def run(module, *arguments):
    return subprocess.run(
        [sys.executable, '-m', module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(result, *words):
    """Exit code 2, one line on stderr, which holds all the words."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1, result.stderr
    assert 'Traceback' not in result.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        (['-p', 'modle:=nano'], ["'modle'", "'model'"]),
        (['-p', 'sync.deadline_s:=later'], ['sync.deadline_s', 'later', 'float']),
        (['-p', 'cameras:=[front]'], ['camera.front.image_topic', 'required']),
        ([], ['no cameras', 'rig_file']),
    ],
)
def test_node_parameters(built, parameters, words):
    arguments = ['--ros-args', *parameters] if parameters else []
    assert_refused(run(NODE, *arguments), *words)


def test_node_unknown_parameter_in_a_file(built, tmp_path):
    file = tmp_path / 'p.yaml'
    file.write_text('/**:\n  ros__parameters:\n    cameraz: [front]\n')
    assert_refused(run(NODE, '--ros-args', '--params-file', file), "'cameraz'", "'cameras'")


@pytest.mark.parametrize('program', [[NODE], [PLAYER, 'bag'], [RECORDER, '-o', 'out', '/topic']])
@pytest.mark.parametrize('content', [None, 'a: [\n'])
def test_parameter_file_that_cannot_be_read(built, tmp_path, program, content):
    """rcl logs a line of its own before ours."""
    file = tmp_path / 'parameters.yaml'
    if content is not None:
        file.write_text(content)
    result = run(*program, '--ros-args', '--params-file', file)
    assert result.returncode == 2
    assert 'Traceback' not in result.stderr
    (ours,) = [line for line in result.stderr.splitlines() if not line.startswith('[ERROR]')]
    assert 'ROS arguments' in ours and str(file) in ours
    assert not (tmp_path / 'out').exists()


def test_missing_bag(built, tmp_path, tiny_model):
    nowhere = tmp_path / 'nowhere'
    assert_refused(run(PLAYER, nowhere), str(nowhere), 'no such bag')
    out = tmp_path / 'out'
    assert_refused(run(DEMO, nowhere, '-o', out), str(nowhere), 'no such bag')
    assert not out.exists()
    assert_refused(run(CLI, 'replay', nowhere, '-o', out), str(nowhere), 'no such bag')
    assert not out.exists()


def test_corrupt_bag(built, corrupt, tmp_path, tiny_model):
    out = tmp_path / 'out'
    assert_refused(run(PLAYER, corrupt), str(corrupt))
    assert_refused(run(DEMO, corrupt, '-o', out, '--model', tiny_model), str(corrupt))
    assert not out.exists()
    result = run(CLI, 'replay', corrupt, '-o', out, '--model', tiny_model)
    assert_refused(result, str(corrupt))
    assert not out.exists()
    rig = tmp_path / 'rig.yaml'
    assert_refused(run(CLI, 'rig', 'from-bag', corrupt, '-o', rig), str(corrupt))
    assert not rig.exists()


def test_missing_and_corrupt_model(built, bag, tiny_model, tmp_path):
    out = tmp_path / 'out'
    assert_refused(run(DEMO, bag, '-o', out, '--model', 'mega'), 'mega')
    broken = tmp_path / 'broken'
    shutil.copytree(tiny_model, broken)
    weights = broken / 'weights.safetensors'
    weights.write_bytes(weights.read_bytes()[:1000])
    for program in ([DEMO, bag, '-o', out], [CLI, 'replay', bag, '-o', out]):
        assert_refused(run(*program, '--model', broken), str(weights), 'corrupt')
    assert not out.exists()


def test_corrupt_rig(built, bag, tiny_model, tmp_path):
    rig = tmp_path / 'rig.yaml'
    rig.write_text('format: 1\nbase_frame: base_link\ncamera: []\n')
    result = run(CLI, 'replay', bag, '--rig', rig, '--model', tiny_model)
    assert_refused(result, str(rig), 'camera', "did you mean 'cameras'")


def test_wrong_base_frame_names_the_frames_there_are(built, bag, tmp_path):
    result = run(CLI, 'rig', 'from-bag', bag, '-o', tmp_path / 'r', '--base-frame', 'chassis')
    assert_refused(result, "'chassis'", 'base_link', '--base-frame')


def test_recorder_does_not_overwrite(built, tmp_path):
    out = tmp_path / 'bag'
    out.mkdir()
    assert_refused(run(RECORDER, '-o', out, '/chatter'), str(out), 'exists')
    assert list(tmp_path.iterdir()) == [out]
