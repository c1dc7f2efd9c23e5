"""`bev replay` and `bev rig`: the same bytes every time; one line and no file on bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.bags import small_drive, storage_file
from support.sample_drive.bag import SampleDrive

from bev_perception import __version__
from bev_perception.cli.main import main
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.replay.results import decode_grid

REPO = Path(__file__).resolve().parents[2]
CAMERAS = ['camera_0', 'camera_1', 'camera_2']


@pytest.fixture(scope='module')
def drive() -> SampleDrive:
    return small_drive((-0.02, 0.0, 0.02), duration_s=0.3)


@pytest.fixture(scope='module')
def bag(drive: SampleDrive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('drive') / 'bag'
    drive.write(path)
    return path


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test runs in an empty folder of its own."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    yield


def files() -> list[str]:
    return sorted(str(p) for p in Path().rglob('*') if p.is_file())


def bev(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def replay(bag: Path, model: Path, *arguments: object) -> int:
    return bev('replay', bag, '--model', model, '--device', 'cpu', *arguments)


def results(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, 'results.json').read_text())


def assert_refused(capfd: pytest.CaptureFixture[str], code: int, *words: object) -> None:
    """Checks for exit code 2, one line on stderr that holds all words, and no file left."""
    out, err = capfd.readouterr()
    assert code == 2
    assert err.startswith('bev: error: ') and err.count('\n') == 1 and err.endswith('\n'), err
    assert 'Traceback' not in out + err
    for word in words:
        assert str(word) in err
    assert files() == []


# bev replay


def test_replay_of_a_drive(
    drive: SampleDrive, bag: Path, tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert replay(bag, tiny_model, '-o', 'out/deep') == 0
    assert files() == ['out/deep/results.json']
    content = results('out/deep')
    assert [f['stamp_ns'] for f in content['frames']] == drive.reference_ns
    for frame in content['frames']:
        assert frame['frame_id'] == 'base_link'
        assert [c['name'] for c in frame['cameras']] == CAMERAS
        assert {c['state'] for c in frame['cameras']} == {'USED'}
        assert [c['age_s'] for c in frame['cameras']] == pytest.approx([0.02, 0.0, -0.02])
        cells = decode_grid(frame['grids']['occupancy'])
        assert cells.shape == (24, 32) and cells.max() <= 100 and -1 in cells
        assert (cells >= 0).mean() > 0.3
        assert len(frame['grids']['future_occupancy']) > 0
        assert all(0 <= o['existence_probability'] <= 1 for o in frame['objects'])
    out, err = capfd.readouterr()
    assert err == ''
    assert f'{bag}: 3 frames with model {content["model_id"]}' in out
    assert '  camera_1: used in 3 of 3\n' in out and '| encode |' in out


def test_two_replays_give_the_same_bytes(bag: Path, tiny_model: Path) -> None:
    for name in ('a', 'b'):
        assert replay(bag, tiny_model, '-o', name) == 0
    assert Path('a/results.json').read_bytes() == Path('b/results.json').read_bytes()
    # And so does a process of its own.
    command = [sys.executable, '-m', 'bev_perception.cli.main', 'replay', str(bag), '-o', 'c']
    subprocess.run(
        [*command, '--model', str(tiny_model), '--device', 'cpu'],
        env={**os.environ, 'PYTHONPATH': str(REPO), 'PYTHONHASHSEED': '77'},
        check=True,
        capture_output=True,
    )
    assert Path('c/results.json').read_bytes() == Path('a/results.json').read_bytes()


def test_the_rig_of_the_bag_is_the_default(bag: Path, tiny_model: Path) -> None:
    assert bev('rig', 'from-bag', bag, '-o', 'rig.yaml') == 0
    assert replay(bag, tiny_model, '-o', 'default') == 0
    assert replay(bag, tiny_model, '--rig', 'rig.yaml', '-o', 'given') == 0
    assert Path('given/results.json').read_bytes() == Path('default/results.json').read_bytes()


def test_pictures(drive: SampleDrive, bag: Path, tiny_model: Path) -> None:
    assert replay(bag, tiny_model, '-o', 'out', '--pictures') == 0
    pictures = [f'out/frames/{stamp}.png' for stamp in drive.reference_ns]
    assert files() == [*pictures, 'out/results.json']
    painted = [np.asarray(cv2.imread(path)) for path in pictures]
    assert len({picture.shape for picture in painted}) == 1
    assert all(picture.std() > 10 for picture in painted)


def test_nothing_is_written_without_out(bag: Path, tiny_model: Path) -> None:
    assert replay(bag, tiny_model) == 0
    assert files() == []


def test_min_score(bag: Path, tiny_model: Path) -> None:
    assert replay(bag, tiny_model, '-o', 'all', '--min-score', '0') == 0
    assert replay(bag, tiny_model, '-o', 'none', '--min-score', '1') == 0
    assert all(f['objects'] for f in results('all')['frames'])
    assert all(f['objects'] == [] for f in results('none')['frames'])


def test_real_recordings(real_data: Path, tiny_model: Path) -> None:
    for name, frames in (('dgp_scene_02', 3), ('nuscenes_frame', 1)):
        assert replay(real_data / name, tiny_model, '-o', name) == 0
        content = results(name)
        assert len(content['frames']) == frames
        for frame in content['frames']:
            assert len(frame['cameras']) == 6
            assert {c['state'] for c in frame['cameras']} == {'USED'}
            # Six cameras all around: hardly a cell is unseen.
            assert (decode_grid(frame['grids']['occupancy']) >= 0).mean() > 0.85
        stamps = [f['stamp_ns'] for f in content['frames']]
        assert stamps == sorted(set(stamps))


# bev rig from-bag


def test_rig_of_a_drive(drive: SampleDrive, bag: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bev('rig', 'from-bag', bag, '-o', 'rig.yaml') == 0
    assert files() == ['rig.yaml']
    rig = load_rig_file('rig.yaml')
    assert (rig.base_frame, rig.odometry_topic) == ('base_link', '/odom')
    assert [c.name for c in rig.cameras] == CAMERAS
    for given, item in zip(rig.cameras, drive.cameras, strict=True):
        assert given.trigger_offset_s == item.trigger_offset_s
        camera = given.camera()
        assert camera is not None
        np.testing.assert_array_equal(camera.K, item.camera.K)
        np.testing.assert_allclose(camera.base_T_camera, item.camera.base_T_camera, atol=2e-9)
    out, err = capfd.readouterr()
    assert err == ''
    assert out.splitlines() == [
        f'rig.yaml: 3 cameras of {bag}',
        '  camera_0: /camera_0/image/compressed, offset -20.0 ms',
        '  camera_1: /camera_1/image/compressed, offset 0.0 ms',
        '  camera_2: /camera_2/image/compressed, offset 20.0 ms',
    ]


def test_rig_choices(bag: Path) -> None:
    assert bev('rig', 'from-bag', bag, '-o', 'a', '--calibration', 'placement') == 0
    assert bev('rig', 'from-bag', bag, '-o', 'b', '--calibration', 'none') == 0
    assert bev('rig', 'from-bag', bag, '-o', 'c', '--base-frame', 'odom') == 0
    placement, none, odom = (load_rig_file(name).cameras[0] for name in 'abc')
    assert placement.intrinsics is None and placement.base_T_camera is not None
    assert none.intrinsics is None and none.base_T_camera is None
    assert odom.base_T_camera != placement.base_T_camera


def test_rigs_of_real_recordings(real_data: Path) -> None:
    assert bev('rig', 'from-bag', real_data / 'nuscenes_frame', '-o', 'rig.yaml') == 0
    rig = load_rig_file('rig.yaml')
    assert len(rig.cameras) == 6 and all(c.camera() is not None for c in rig.cameras)
    offsets_s = [c.trigger_offset_s for c in rig.cameras]
    # As its README says: fired up to 43 ms apart.
    assert 0.04 < max(offsets_s) - min(offsets_s) < 0.045
    assert 0.0 in offsets_s


# Bad input


def truncated(bag: Path, folder: Path, share: float) -> Path:
    copy = Path(shutil.copytree(bag, folder / 'truncated'))
    path = storage_file(copy)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return copy


def damaged(bag: Path, folder: Path) -> Path:
    """The recording with the length of one of its last camera images made far too long."""
    copy = Path(shutil.copytree(bag, folder / 'damaged'))
    path = storage_file(copy)
    content = bytearray(path.read_bytes())
    at = content.rfind(b'\x05\x00\x00\x00jpeg\x00', 0, int(0.9 * len(content)))
    content[at : at + 4] = b'\xff\xff\xff\x7f'
    path.write_bytes(content)
    return copy


def test_bad_bags(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / 'empty'
    empty.mkdir()
    (tmp_path / 'notes.txt').write_text('no bag\n')
    for path, words in (
        (tmp_path / 'absent', 'no such bag'),
        (empty, 'not a rosbag2 folder'),
        (tmp_path / 'notes.txt', 'cannot be opened'),
        (truncated(bag, tmp_path, 0.6), 'cannot be opened'),
        (damaged(bag, tmp_path), 'that cannot be read'),
    ):
        assert_refused(capfd, replay(path, tiny_model, '-o', 'out'), path, words)
        assert_refused(capfd, bev('rig', 'from-bag', path, '-o', 'rig.yaml'), path, words)


def test_bag_that_breaks_off_leaves_no_pictures(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert bev('rig', 'from-bag', bag, '-o', tmp_path / 'rig.yaml') == 0
    capfd.readouterr()
    path = damaged(bag, tmp_path)
    code = replay(path, tiny_model, '--rig', tmp_path / 'rig.yaml', '-o', 'out', '--pictures')
    assert Path('out/frames').is_dir(), 'not one frame came before the damage'
    assert_refused(capfd, code, path, 'sensor_msgs/msg/CompressedImage', 'cannot be read')


def test_bad_rigs(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / 'good.yaml'
    assert bev('rig', 'from-bag', bag, '-o', good) == 0
    capfd.readouterr()
    path = tmp_path / 'rig.yaml'
    for text, words in (
        ('', 'must be a mapping'),
        ('format: [', 'not valid YAML'),
        (good.read_text().replace('transport:', 'trasport:', 1), "did you mean 'transport'"),
        (good.read_text().replace('/camera_', '/kamera_'), 'none of the image topics'),
        (good.read_text().replace('/odom', '/tf'), 'tf2_msgs/msg/TFMessage'),
    ):
        path.write_text(text)
        assert_refused(capfd, replay(bag, tiny_model, '--rig', path, '-o', 'out'), words)
    absent = tmp_path / 'absent.yaml'
    code = replay(bag, tiny_model, '--rig', absent, '-o', 'out')
    assert_refused(capfd, code, absent, 'No such file')


def test_bad_models(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_refused(capfd, replay(bag, Path('absent'), '-o', 'out'), "'absent'", 'nano')
    broken = Path(shutil.copytree(tiny_model, tmp_path / 'broken'))
    weights = broken / 'weights.safetensors'
    weights.write_bytes(weights.read_bytes()[:1000])
    assert_refused(capfd, replay(bag, broken, '-o', 'out'), weights, 'corrupt')
    weights.unlink()
    assert_refused(capfd, replay(bag, broken, '-o', 'out'), weights, 'No such file')
    (broken / 'model.yaml').write_text('name: a\nname: b\n')
    assert_refused(capfd, replay(bag, broken, '-o', 'out'), "key 'name' is given twice")


def test_bad_choices(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert_refused(capfd, replay(bag, tiny_model, '--pictures'), '--out')
    for score in ('1.5', '-0.1', 'nan'):
        code = replay(bag, tiny_model, '-o', 'out', f'--min-score={score}')
        assert_refused(capfd, code, '--min-score')
    code = replay(bag, tiny_model, '--base-frame', 'rear_axle', '-o', 'out')
    assert_refused(capfd, code, "'rear_axle'", 'base_link', '--base-frame')
    code = bev('rig', 'from-bag', bag, '--base-frame', 'rear_axle', '-o', 'rig.yaml')
    assert_refused(capfd, code, "'rear_axle'", 'camera_0_optical')
    code = bev('rig', 'from-bag', bag, '-o', 'no/such/folder/rig.yaml')
    assert_refused(capfd, code, 'no/such/folder/rig.yaml', 'cannot be written')


def test_output_that_cannot_be_written(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / 'taken'
    taken.touch()
    for extra in ([], ['--pictures']):
        code = replay(bag, tiny_model, '-o', taken, *extra)
        assert_refused(capfd, code, taken, 'cannot be written')


def test_existing_results_survive_a_failed_replay(
    bag: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert replay(bag, tiny_model, '-o', 'out') == 0
    before = Path('out/results.json').read_bytes()
    assert replay(damaged(bag, tmp_path), tiny_model, '-o', 'out') == 2
    assert files() == ['out/results.json']
    assert Path('out/results.json').read_bytes() == before


# The command itself


@pytest.mark.parametrize('arguments', [[], ['replay'], ['rig'], ['bag'], ['rig', 'from-bag', 'x']])
def test_wrong_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    _, err = capfd.readouterr()
    assert 'usage: bev' in err and 'Traceback' not in err


def test_version_and_help(capfd: pytest.CaptureFixture[str]) -> None:
    for argument in ('--version', '--help'):
        with pytest.raises(SystemExit) as end:
            main([argument])
        assert end.value.code == 0
    out, err = capfd.readouterr()
    assert out.startswith(f'{__version__}\n') and err == ''
    assert 'replay' in out and 'rig' in out


def test_a_process_ends_with_the_code_and_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, '-m', 'bev_perception.cli.main', 'rig', 'from-bag', 'absent', '-o', 'x'],
        env={**os.environ, 'PYTHONPATH': str(REPO)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr == 'bev: error: absent: no such bag\n'
    assert files() == []
