"""Frame sets of a recording: what was recorded comes out, at the right stamps and in full."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.bags import Recorded, assert_one_line, small_drive, write_bag
from support.sample_drive.bag import SampleDrive

from bev_perception.errors import BagError
from bev_perception.frame import CameraState, FrameSet
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.frame_sets import FrameSetReader, ReplayRig
from bev_perception.replay.rig_from_bag import CALIBRATION_CHOICES, rig_from_bag

OFFSETS_S = (0.0, 0.012, 0.031)
ENCODINGS = ('jpeg', 'rgb8', 'jpeg')


@pytest.fixture(scope='module')
def drive() -> SampleDrive:
    """Each camera is fired at its own time."""
    return small_drive(OFFSETS_S, 1.2, ENCODINGS)


@pytest.fixture(scope='module')
def bag(drive: SampleDrive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('drive') / 'bag'
    drive.write(path)
    return path


def rig_of(reader: BagReader, calibration: str = 'full') -> ReplayRig:
    rig = rig_from_bag(reader, 'base_link', calibration)
    return ReplayRig(sources_from_rig_file(rig), rig.base_frame, rig.odometry_topic or '')


def sets_of(
    bag: Path, calibration: str = 'full', change: Callable[[ReplayRig], ReplayRig] = lambda r: r
) -> list[FrameSet]:
    with BagReader(bag) as reader:
        return list(FrameSetReader(reader, change(rig_of(reader, calibration)), SyncConfig()))


def recorded(bag: Path) -> list[Recorded]:
    with BagReader(bag) as reader:
        return [(m.topic, m.log_ns, reader.decode(m)) for m in reader.messages()]


def rewritten(folder: Path, content: list[Recorded]) -> Path:
    return write_bag(folder / 'changed', content)


@pytest.mark.parametrize('calibration', CALIBRATION_CHOICES)
def test_every_frame_with_its_calibrations(
    drive: SampleDrive, bag: Path, calibration: str
) -> None:
    sets = sets_of(bag, calibration)
    reference = drive.reference_ns
    assert len(reference) == 12
    # The reference instant of the rig is its middle camera's.
    middle_ns = round(OFFSETS_S[1] * 1e9)
    assert [s.stamp_ns for s in sets] == [stamp + middle_ns for stamp in reference]
    for frames, stamp_ns in zip(sets, reference, strict=True):
        assert (frames.base_frame, frames.epoch) == ('base_link', 0)
        assert [s.name for s in frames.samples] == ['camera_0', 'camera_1', 'camera_2']
        for sample, item in zip(frames.samples, drive.cameras, strict=True):
            assert (sample.state, sample.detail) == (CameraState.USED, '')
            assert sample.stamp_ns == stamp_ns + round(item.trigger_offset_s * 1e9)
            camera = sample.camera
            assert camera is not None and camera.frame_id == item.camera.frame_id
            assert (camera.width, camera.height) == (64, 48)
            assert camera.distortion == item.camera.distortion
            np.testing.assert_array_equal(camera.K, item.camera.K)
            np.testing.assert_allclose(camera.base_T_camera, item.camera.base_T_camera, atol=2e-9)


def test_images_are_those_of_their_topic_and_stamp(bag: Path) -> None:
    content = recorded(bag)
    images = {
        (topic.split('/')[1], log_ns): message
        for topic, log_ns, message in content
        if topic.endswith(('/image', '/compressed'))
    }
    assert len(images) == 36
    for frames in sets_of(bag):
        for sample, encoding in zip(frames.samples, ENCODINGS, strict=True):
            assert sample.image is not None and sample.stamp_ns is not None
            message = images.pop((sample.name, sample.stamp_ns))
            assert sample.image.data.tobytes() == bytes(message.data)
            assert (sample.image.encoding, sample.image.compressed) == (
                encoding,
                encoding == 'jpeg',
            )
            size = (0, 0, 0) if encoding == 'jpeg' else (64, 48, 192)
            assert (sample.image.width, sample.image.height, sample.image.step) == size
    assert not images


def test_ego_poses_are_the_truth(tmp_path: Path) -> None:
    """The middle camera fires at the instants for which the truth is written."""
    drive = small_drive((-0.02, 0.0, 0.02), 1.2)
    truth = json.loads(drive.write(tmp_path / 'bag').read_text())
    sets = sets_of(tmp_path / 'bag')
    assert [s.stamp_ns for s in sets] == [entry['stamp_ns'] for entry in truth]
    assert len(sets) == 12
    for frames, entry in zip(sets, truth, strict=True):
        assert frames.odom_T_base is not None
        np.testing.assert_allclose(frames.odom_T_base, entry['odom_T_base'], atol=1e-6)
    travelled = np.array([s.odom_T_base for s in sets])[:, :3, 3]
    assert np.linalg.norm(travelled[-1] - travelled[0]) > 3.0


def test_ego_poses_between_two_samples(drive: SampleDrive, bag: Path) -> None:
    """12 ms after an odometry sample: the chord of 20 ms of driving is close to the arc."""
    for frames in sets_of(bag):
        expected = drive.world.ego_pose((frames.stamp_ns - drive.reference_ns[0]) / 1e9)
        assert frames.odom_T_base is not None
        np.testing.assert_allclose(frames.odom_T_base, expected, atol=1e-4)


def test_without_odometry_the_ego_motion_is_unknown(bag: Path) -> None:
    sets = sets_of(bag, change=lambda rig: replace(rig, odometry_topic=''))
    assert len(sets) == 12
    assert all(s.odom_T_base is None for s in sets)
    assert all(c.state is CameraState.USED for s in sets for c in s.samples)


def test_camera_that_was_not_recorded_is_missing(bag: Path, tmp_path: Path) -> None:
    with BagReader(bag) as reader:
        rig = rig_of(reader)
    content = [item for item in recorded(bag) if not item[0].startswith('/camera_2/')]
    with BagReader(rewritten(tmp_path, content)) as reader:
        sets = list(FrameSetReader(reader, rig, SyncConfig()))
    assert len(sets) == 12
    states = [[s.state.name for s in frames.samples] for frames in sets]
    assert states == [['USED', 'USED', 'MISSING']] * 12


def test_frame_lost_by_one_camera(drive: SampleDrive, bag: Path, tmp_path: Path) -> None:
    lost_ns = drive.reference_ns[6] + round(OFFSETS_S[1] * 1e9)
    content = [item for item in recorded(bag) if item[:2] != ('/camera_1/image', lost_ns)]
    sets = sets_of(rewritten(tmp_path, content))
    assert len(sets) == 12
    states = {s.stamp_ns: [c.state.name for c in s.samples] for s in sets}
    assert [i for i, s in enumerate(states.values()) if s != ['USED'] * 3] == [6]
    assert list(states.values())[6] == ['USED', 'MISSING', 'USED']


def test_calibration_that_comes_late(bag: Path, tmp_path: Path) -> None:
    """Until the first CameraInfo of a camera, that camera alone is left out, and says why."""
    content = recorded(bag)
    begin = next(log_ns for topic, log_ns, _ in content if topic == '/camera_0/camera_info')
    content = [
        item
        for item in content
        if item[0] != '/camera_0/camera_info' or item[1] > begin + 500_000_000
    ]
    sets = sets_of(rewritten(tmp_path, content), 'none')
    states = [[c.state.name for c in s.samples] for s in sets]
    assert len(states) == 12
    assert states[0] == ['NO_CAMERA_INFO', 'USED', 'USED']
    assert states[-1] == ['USED'] * 3
    assert all(s[1:] == ['USED', 'USED'] for s in states)
    assert "'/camera_0/camera_info'" in sets[0].samples[0].detail


def test_useless_transforms_and_odometry_spoil_nothing(bag: Path, tmp_path: Path) -> None:
    content = recorded(bag)
    for topic, _, message in content:
        if topic == '/tf':
            message.transforms[0].transform.rotation.w = 0.0
            message.transforms[0].transform.rotation.z = 0.0
        elif topic == '/odom':
            message.pose.pose.orientation.w = float('nan')
    sets = sets_of(rewritten(tmp_path, content), 'none')
    assert len(sets) == 12
    assert all(s.odom_T_base is None for s in sets)
    assert all(c.state is CameraState.USED for s in sets for c in s.samples)


def test_odometry_of_another_frame_of_the_vehicle(
    drive: SampleDrive, bag: Path, tmp_path: Path
) -> None:
    """Odometry may describe any frame: here that of a camera."""
    expected = [s.odom_T_base for s in sets_of(bag)]
    content = recorded(bag)
    static = next(message for topic, _, message in content if topic == '/tf_static')
    frame_id = static.transforms[1].child_frame_id
    camera = drive.cameras[1].camera
    for topic, _, message in content:
        if topic == '/odom':
            move_odometry(message, frame_id, camera.base_T_camera.copy())
    found = [s.odom_T_base for s in sets_of(rewritten(tmp_path, content))]
    for mine, other in zip(found, expected, strict=True):
        assert mine is not None and other is not None
        np.testing.assert_allclose(mine, other, atol=2e-4)


def move_odometry(message: Any, frame_id: str, base_T_child: np.ndarray) -> None:
    """Rewrites nav_msgs/Odometry of the base frame as that of another frame."""
    pose = message.pose.pose
    q, at = pose.orientation, pose.position
    turn = Rotation.from_quat([q.x, q.y, q.z, q.w])
    moved = np.array([at.x, at.y, at.z]) + turn.apply(base_T_child[:3, 3])
    turned = turn * Rotation.from_matrix(base_T_child[:3, :3])
    at.x, at.y, at.z = (float(v) for v in moved)
    q.x, q.y, q.z, q.w = (float(v) for v in turned.as_quat())
    message.child_frame_id = frame_id


def with_topic(**changes: str) -> Callable[[ReplayRig], ReplayRig]:
    """Returns a change of the first camera's source."""

    def change(rig: ReplayRig) -> ReplayRig:
        first = replace(rig.sources[0], **changes)  # type: ignore[arg-type]
        return replace(rig, sources=(first, *rig.sources[1:]))

    return change


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (with_topic(image_topic='/odom'), "topic '/odom' holds nav_msgs/msg/Odometry, not sensor"),
        (with_topic(image_topic='/camera_0/camera_info'), 'holds sensor_msgs/msg/CameraInfo'),
        (with_topic(camera_info_topic='/tf'), "topic '/tf' holds tf2_msgs/msg/TFMessage, not"),
        (
            lambda rig: replace(rig, odometry_topic='/camera_1/image'),
            "'/camera_1/image' holds sensor_msgs/msg/Image, not nav_msgs/msg/Odometry",
        ),
    ],
)
def test_topic_of_the_wrong_type(
    bag: Path, change: Callable[[ReplayRig], ReplayRig], words: str
) -> None:
    with pytest.raises(BagError) as error:
        sets_of(bag, 'none', change)
    assert_one_line(error.value, bag, words)


def test_rig_of_another_vehicle(bag: Path) -> None:
    def change(rig: ReplayRig) -> ReplayRig:
        renamed = (replace(s, image_topic=f'/other{s.image_topic}') for s in rig.sources)
        return replace(rig, sources=tuple(renamed))

    with pytest.raises(BagError) as error:
        sets_of(bag, change=change)
    words = 'none of the image topics', '/other/camera_0/image/compressed', 'bev rig from-bag'
    assert_one_line(error.value, bag, *words)
