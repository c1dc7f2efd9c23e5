"""Recordings as scenes: what is there is evaluated, what is not is named, the rest is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.data.drive_maps import map_layers
from bev_trainer.dataset.bag import messages
from bev_trainer.dataset.bag.writer import write_bag as write_drive_bag
from bev_trainer.dataset.reader import Drive
from support.bags import Recorded, assert_one_line, small_drive, storage_file, write_bag
from support.drives import GRID as LABEL_GRID
from support.drives import SmallDrive

from bev_perception.errors import BagError, BevError, ConfigError
from bev_perception.evaluation.scenes.bag import BagScene, OpenBag
from bev_perception.evaluation.scenes.options import BagOptions
from bev_perception.evaluation.scenes.thinning import thinned
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraState, FrameSet
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, pose_from_yaw, transform
from bev_perception.geometry.rig_file import save_rig_file
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.inputs.synced_set import SyncConfig
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.frame_sets import FrameSetReader, ReplayRig
from bev_perception.replay.rig_from_bag import rig_from_bag

OFFSETS_S = (0.0, 0.012, 0.031)
DRIVE = small_drive(OFFSETS_S, 1.2)
Content = list[Recorded]


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('drive') / 'bag'
    DRIVE.write(path)
    return path


@pytest.fixture(scope='module')
def content(bag: Path) -> Content:
    with BagReader(bag) as reader:
        return [(m.topic, m.log_ns, reader.decode(m)) for m in reader.messages()]


@pytest.fixture(scope='module')
def truth_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted drive: ground truth on topics and beside."""
    folder = tmp_path_factory.mktemp('converted')
    with Drive(SmallDrive().write(folder)) as drive:
        write_drive_bag(drive, folder / 'drive')
    return folder / 'drive'


@pytest.fixture
def remade(tmp_path: Path, bag: Path) -> Iterator[Callable[..., Path]]:
    """Writes a changed recording, with the ground truth beside it."""

    def make(changed: Content, truth: bool = True) -> Path:
        path = write_bag(tmp_path / 'changed', changed)
        if truth:
            shutil.copy(bag.with_name('bag_objects.json'), tmp_path / 'changed_objects.json')
        return path

    yield make


def opened(path: Path, **options: Any) -> tuple[OpenBag, list[FrameSet]]:
    """Returns a scene after all its frame sets were read, closed."""
    scene = pickle.loads(pickle.dumps(BagScene('name', path, BagOptions(**options))))
    with scene.open() as found:
        return found, list(found.frame_sets())


def refused(path: Path, *words: object, kind: type[BevError] = BagError, **options: Any) -> None:
    with pytest.raises(kind) as error, BagScene('name', path, BagOptions(**options)).open():
        pass
    assert_one_line(error.value, *words)


def without(content: Content, *topics: str) -> Content:
    return [item for item in content if item[0] not in topics]


def test_frame_sets_are_those_of_a_replay(bag: Path) -> None:
    with BagReader(bag) as reader:
        rig = rig_from_bag(reader, 'base_link')
        inputs = ReplayRig(sources_from_rig_file(rig), 'base_link', '/odom')
        expected = list(FrameSetReader(reader, inputs, SyncConfig()))
    with BagScene('name', bag).open() as found:
        for _ in range(2):  # from the start again
            for frames, other in zip(found.frame_sets(), expected, strict=True):
                assert frames.stamp_ns == other.stamp_ns
                assert [s.state for s in frames.samples] == [CameraState.USED] * 3
                assert frames.odom_T_base is not None and other.odom_T_base is not None
                np.testing.assert_array_equal(frames.odom_T_base, other.odom_T_base)
        assert found.problems == ()
        assert found.info.cameras == ('camera_0', 'camera_1', 'camera_2')
        assert (found.info.name, found.info.source) == ('name', 'bag')
        assert found.info.duration_s == pytest.approx(1.1 + 0.031 + 2 * 0.1, abs=0.03)


def test_truth_beside_the_recording(bag: Path) -> None:
    found, _ = opened(bag)
    entries = DRIVE.truth()
    assert found.truth.stamps_ns.tolist() == [e['stamp_ns'] for e in entries]
    for frame, entry in zip(found.truth.frames, entries, strict=True):
        assert frame.objects is not None and frame.odom_T_base is not None
        centers = [o['center_m'] for o in entry['objects']]
        np.testing.assert_array_equal(frame.objects.center_m, centers)
        np.testing.assert_allclose(frame.odom_T_base, entry['odom_T_base'])
        assert not frame.layers


def test_truth_on_topics_comes_before_the_file_beside_and_says_the_same(truth_bag: Path) -> None:
    found, sets = opened(truth_bag)
    beside, _ = opened(truth_bag, truth_file=truth_bag.with_name('drive_objects.json'))
    assert len(sets) == 11 and found.problems == beside.problems == ()
    assert found.truth.stamps_ns.tolist() == beside.truth.stamps_ns.tolist()
    for frame, other in zip(found.truth.frames, beside.truth.frames, strict=True):
        assert frame.objects is not None and other.objects is not None
        assert len(frame.objects) == len(other.objects) > 3
        # The file is sorted by instance, the message by visibility.
        order = np.lexsort(frame.objects.center_m.T), np.lexsort(other.objects.center_m.T)
        ours, theirs = frame.objects.selected(order[0]), other.objects.selected(order[1])
        assert ours.class_name == theirs.class_name
        for name in ('center_m', 'size_m', 'yaw_rad', 'velocity_mps'):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-5)
        np.testing.assert_allclose(ours.visibility, theirs.visibility, atol=1e-4)
        # Ego poses: from the odometry here, from the file there.
        assert frame.odom_T_base is not None and other.odom_T_base is not None
        np.testing.assert_allclose(frame.odom_T_base, other.odom_T_base, atol=1e-9)
        assert not other.layers
    layered = [frame.stamp_ns for frame in found.truth.frames if frame.layers]
    assert layered == [found.truth.frames[k].stamp_ns for k in (0, 5, 10)]


def test_layers_of_a_converted_drive(truth_bag: Path) -> None:
    found, _ = opened(truth_bag)
    layers = found.truth.frames[5].layers
    assert set(layers) == {'occupancy', 'drivable', 'lane_marking', 'crossing', 'sidewalk'}
    drive = Drive(truth_bag.with_name('drive_000000.zip'))
    observed = drive.observed(5).any(axis=0)
    ground = drive.ground.sample(drive.world_T_base[5], LABEL_GRID)
    assert layers['drivable'].grid == LABEL_GRID
    # Known is what a camera sees, footprints of shown road users whole, of hidden ones not.
    cells = layers['drivable'].cells
    known = cells >= 0
    np.testing.assert_array_equal(cells[known], ground[0][known])
    assert (known == observed).mean() > 0.95 and known.any() and not known.all()
    for name, wanted in map_layers(drive, 5).items():
        np.testing.assert_array_equal(layers[name].cells, wanted)
    # The sidewalk is on the left only.
    sidewalk = layers['sidewalk'].cells == 1
    assert (
        sidewalk[LABEL_GRID.size_y // 2 :].any() and not sidewalk[: LABEL_GRID.size_y // 3].any()
    )


def test_named_topics(truth_bag: Path) -> None:
    names = ('/ground_truth/detections', '/ground_truth/semantics/sidewalk')
    found, _ = opened(truth_bag, truth_topics=names)
    frame = found.truth.frames[0]
    assert frame.objects is not None and np.isnan(frame.objects.velocity_mps).all()
    assert list(frame.layers) == ['sidewalk']
    refused(truth_bag, "'/odometry'", 'no message', truth_topics=('/odometry',))
    refused(truth_bag, 'Odometry', 'must be one of', truth_topics=('/odom',))
    with pytest.raises(ConfigError) as error:
        BagOptions(truth_file=truth_bag, truth_topics=('/a',))
    assert_one_line(error.value, 'file or topics')


def test_truth_in_another_frame_is_moved_with_tf(bag: Path, tmp_path: Path) -> None:
    """The same truth, written in odom, comes back in base_link."""
    entries = json.loads(bag.with_name('bag_objects.json').read_text())
    direct, _ = opened(bag)
    for entry, frame in zip(entries, direct.truth.frames, strict=True):
        assert frame.objects is not None and frame.odom_T_base is not None
        moved = frame.objects.transformed(frame.odom_T_base)
        entry.update(frame_id='odom', odom_T_base=None)
        for row, item in enumerate(entry['objects']):
            item['center_m'] = moved.center_m[row].tolist()
            item['yaw_rad'] = float(moved.yaw_rad[row])
            item['velocity_mps'] = moved.velocity_mps[row].tolist()
    file = tmp_path / 'odom.json'
    file.write_text(json.dumps(entries))
    found, _ = opened(bag, truth_file=file)
    assert found.problems == ()
    # The vehicle turns and moves: axes and places differ from frame to frame.
    assert (
        abs(entries[-1]['objects'][0]['center_m'][0] - entries[0]['objects'][0]['center_m'][0]) > 0
    )
    for frame, other in zip(found.truth.frames, direct.truth.frames, strict=True):
        assert frame.objects is not None and other.objects is not None
        for name in ('center_m', 'yaw_rad', 'velocity_mps'):
            np.testing.assert_allclose(
                getattr(frame.objects, name), getattr(other.objects, name), atol=1e-6
            )
        assert frame.odom_T_base is not None and other.odom_T_base is not None
        np.testing.assert_allclose(frame.odom_T_base, other.odom_T_base, atol=1e-9)
    for entry in entries:
        entry['frame_id'] = 'lidar_top'
    file.write_text(json.dumps(entries))
    refused(bag, bag, 'no ground truth that can be used', "'lidar_top'", truth_file=file)


def test_ego_poses_end_with_the_odometry(bag: Path, content: Content, remade: Any) -> None:
    entries = json.loads(bag.with_name('bag_objects.json').read_text())
    middle_ns = entries[6]['stamp_ns']
    short = [c for c in content if not (c[0] == '/odom' and c[1] > middle_ns)]
    path = remade(short)
    for entry in entries:
        del entry['odom_T_base']
    path.with_name('changed_objects.json').write_text(json.dumps(entries))
    found, _ = opened(path)
    # Beyond its last sample a pose is given for 0.2 s, as live.
    known = [frame.odom_T_base is not None for frame in found.truth.frames]
    assert known == [True] * 9 + [False] * 3
    pose = found.truth.frames[3].odom_T_base
    assert pose is not None
    np.testing.assert_allclose(pose, DRIVE.truth()[3]['odom_T_base'], atol=1e-9)


def test_ego_poses_are_of_one_origin(bag: Path, tmp_path: Path) -> None:
    entries = json.loads(bag.with_name('bag_objects.json').read_text())
    elsewhere = pose_from_yaw(50.0, -20.0, 0.0, 1.0)
    for entry in entries:
        entry['odom_T_base'] = (elsewhere @ entry['odom_T_base']).tolist()
    file = tmp_path / 'moved.json'
    file.write_text(json.dumps(entries))
    found, _ = opened(bag, truth_file=file)
    for frame, entry in zip(found.truth.frames, entries, strict=True):
        np.testing.assert_allclose(np.array(frame.odom_T_base), entry['odom_T_base'])
    del entries[4]['odom_T_base']
    file.write_text(json.dumps(entries))
    found, _ = opened(bag, truth_file=file)
    for frame, entry in zip(found.truth.frames, DRIVE.truth(), strict=True):
        np.testing.assert_allclose(np.array(frame.odom_T_base), entry['odom_T_base'], atol=1e-9)


# What is missing.


def test_no_ground_truth(content: Content, remade: Any) -> None:
    path = remade(content, truth=False)
    refused(path, path, 'no ground truth', '/ground_truth/', 'changed_objects.json', 'name')
    refused(path, 'cannot be read', kind=BevError, truth_file=path / 'none.json')


def test_a_camera_without_images_in_a_rig_that_is_made(content: Content, remade: Any) -> None:
    found, sets = opened(remade(without(content, '/camera_1/image/compressed')))
    assert found.info.cameras == ('camera_0', 'camera_2') and len(sets) == 12


def test_a_camera_without_calibration_is_left_out(content: Content, remade: Any) -> None:
    found, sets = opened(remade(without(content, '/camera_1/camera_info')))
    assert found.info.cameras == ('camera_0', 'camera_2') and len(sets) == 12
    assert len(found.problems) == 1
    for word in ('/camera_1/image/compressed is left out', 'no CameraInfo'):
        assert word in found.problems[0]
    assert all(s.state is CameraState.USED for frames in sets for s in frames.samples)


def test_a_camera_without_transform_is_left_out(content: Content, remade: Any) -> None:
    def fewer(item: Recorded) -> Recorded:
        topic, log_ns, message = item
        if topic != '/tf_static':
            return item
        kept = [t for t in message.transforms if t.child_frame_id != 'camera_2_optical']
        return topic, log_ns, messages.transforms_message(kept)

    found, _ = opened(remade([fewer(item) for item in content]))
    assert found.info.cameras == ('camera_0', 'camera_1')
    assert len(found.problems) == 1 and 'camera_2' in found.problems[0]


def rig_of(bag: Path, folder: Path, **changes: Any) -> Path:
    with BagReader(bag) as reader:
        rig = rig_from_bag(reader, 'base_link', changes.pop('calibration', 'full'))
    path = folder / 'rig.yaml'
    save_rig_file(rig.model_copy(update=changes), path)
    return path


def test_a_camera_of_the_rig_file_without_images_stays_as_missing(
    bag: Path, content: Content, remade: Any, tmp_path: Path
) -> None:
    rig = rig_of(bag, tmp_path)
    found, sets = opened(remade(without(content, '/camera_1/image/compressed')), rig=rig)
    assert found.info.cameras == ('camera_0', 'camera_1', 'camera_2') and len(sets) == 12
    assert len(found.problems) == 1
    for word in ("'camera_1' is missing", '/camera_1/image/compressed', 'no messages'):
        assert word in found.problems[0]
    for frames in sets:
        states = [s.state for s in frames.samples]
        assert states == [CameraState.USED, CameraState.MISSING, CameraState.USED]


def test_topics_of_wrong_types(bag: Path, content: Content, remade: Any, tmp_path: Path) -> None:
    """An image topic with odometry, an odometry topic with images, CameraInfo that is none."""
    rig = rig_of(bag, tmp_path, calibration='placement')
    names = {
        '/camera_0/image/compressed': '/odom',
        '/odom': '/camera_0/image/compressed',
        '/camera_1/camera_info': '/other',
        '/camera_2/camera_info': '/camera_1/camera_info',
        '/tf': '/elsewhere',
    }
    mixed = [(names.get(topic, topic), log_ns, m) for topic, log_ns, m in content]
    mixed += [('/camera_2/camera_info', n, m) for topic, n, m in content if topic == '/odom']
    mixed.sort(key=lambda item: item[1])
    found, sets = opened(remade(mixed), rig=rig)
    text = '\n'.join(found.problems)
    for words in (
        "camera 'camera_0' is missing: /camera_0/image/compressed holds nav_msgs/msg/Odometry",
        "camera 'camera_2' cannot be used: /camera_2/camera_info holds nav_msgs/msg/Odometry",
        'no odometry',
        '/odom holds sensor_msgs/msg/CompressedImage',
    ):
        assert words in text
    states = [s.state for s in sets[-1].samples]
    assert states == [CameraState.MISSING, CameraState.USED, CameraState.NO_CAMERA_INFO]
    assert all(frames.odom_T_base is None for frames in sets)


def test_missing_odometry(bag: Path, content: Content, remade: Any, tmp_path: Path) -> None:
    path = remade(without(content, '/odom'))
    found, sets = opened(path)
    assert len(found.problems) == 1 and 'no odometry' in found.problems[0] and len(sets) == 12
    assert all(frames.odom_T_base is None for frames in sets)
    # The file's own poses of the ground truth stay.
    assert all(frame.odom_T_base is not None for frame in found.truth.frames)
    found, sets = opened(path, rig=rig_of(bag, tmp_path))
    assert len(found.problems) == 1 and '/odom has no messages' in found.problems[0]
    assert len(sets) == 12


def test_none_of_the_cameras(bag: Path, content: Content, remade: Any, tmp_path: Path) -> None:
    images = [f'/camera_{k}/image/compressed' for k in range(3)]
    path = remade(without(content, *images))
    refused(path, path, 'no camera images')
    refused(path, path, 'no images of any camera', *images, rig=rig_of(bag, tmp_path))


def test_wrong_base_frame(bag: Path) -> None:
    refused(bag, bag, "'rear_axle'", 'base_link', base_frame='rear_axle')


def test_empty_and_foreign_paths(tmp_path: Path, bag: Path) -> None:
    empty = write_bag(tmp_path / 'empty', [])
    shutil.copy(bag.with_name('bag_objects.json'), tmp_path / 'empty_objects.json')
    refused(empty, empty, 'no camera images')
    refused(tmp_path / 'none', 'no such bag')
    refused(tmp_path, 'not a rosbag2 folder')


def test_a_broken_index_is_refused_with_what_to_do(bag: Path, tmp_path: Path) -> None:
    for name, damage in (('cut', lambda b: b[:-200]), ('noise', lambda b: b[:-40] + b'\7' * 40)):
        path = Path(shutil.copytree(bag, tmp_path / name / 'bag'))
        file = storage_file(path)
        file.write_bytes(damage(file.read_bytes()))
        refused(path, path, 'cannot be opened', 'mcap recover')
    (path / 'metadata.yaml').write_text('rosbag2_bagfile_information: 7\n')
    refused(path, path, 'cannot be opened')


def test_a_broken_message_costs_itself_alone(
    content: Content, remade: Any, bag: Path, tmp_path: Path
) -> None:
    path = remade(content)
    file = storage_file(path)
    raw = bytearray(file.read_bytes())
    found, whole = opened(path)
    assert found.problems == ()
    place = raw.find(b'\xff\xd8\xff', len(raw) // 2)
    raw[place - 60 : place - 20] = b'\xff' * 40  # header of an image
    file.write_bytes(raw)
    for options in ({}, {'rig': rig_of(bag, tmp_path)}):
        found, sets = opened(path, **options)
        assert len(sets) == 12 and images(sets) == images(whole) - 1 == 35
        assert len(found.problems) == 1
        assert 'image/compressed: 1 messages cannot be read and are left out' in found.problems[0]


def test_damage_ends_the_recording_and_is_named(
    content: Content, bag: Path, tmp_path: Path
) -> None:
    """Several chunks, of which one cannot be unpacked."""
    path = write_bag(tmp_path / 'changed', content, compressed=True)
    shutil.copy(bag.with_name('bag_objects.json'), tmp_path / 'changed_objects.json')
    file = storage_file(path)
    raw = bytearray(file.read_bytes())
    frames = [k for k in range(len(raw)) if raw[k : k + 4] == b'\x28\xb5\x2f\xfd']  # of zstd
    for start in frames:
        broken = bytearray(raw)
        broken[start + 20 : start + 60] = b'\xff' * 40
        file.write_bytes(broken)
        try:
            found, sets = opened(path)
        except BagError as error:
            assert_one_line(error, path, 'damaged')
        else:
            assert len(sets) < 12 and any('damaged' in problem for problem in found.problems)
    assert frames


def images(sets: list[FrameSet]) -> int:
    return sum(sample.image is not None for frames in sets for sample in frames.samples)


def test_truth_of_another_time_is_named(bag: Path, tmp_path: Path) -> None:
    entries = json.loads(bag.with_name('bag_objects.json').read_text())
    for entry in entries:
        entry['stamp_ns'] += 3600 * 10**9
    file = tmp_path / 'later.json'
    file.write_text(json.dumps(entries))
    with BagScene('name', bag, BagOptions(truth_file=file)).open() as found:
        assert found.problems == ()
        assert len(list(found.frame_sets())) == 12
        assert len(found.problems) == 1 and 'another time' in found.problems[0]


# Fewer frame sets.


def stamped(*times_s: float, epoch: int = 0) -> list[FrameSet]:
    return [FrameSet(round(t * 1e9), 'base_link', (), epoch) for t in times_s]


def times(frame_sets: list[FrameSet], rate_hz: float, anchor_s: float = 0.0) -> list[float]:
    return [f.stamp_ns / 1e9 for f in thinned(frame_sets, rate_hz, round(anchor_s * 1e9))]


def test_thinning_by_hand() -> None:
    ten = stamped(*(k / 10 for k in range(12)))
    assert times(ten, 2.0) == [0.0, 0.5, 1.0]
    assert times(ten, 5.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert times(ten, 100.0) == [k / 10 for k in range(12)]
    # Ground truth begins at 0.3 s: what is there at 0.3 and 0.8 s stays.
    assert times(ten, 2.0, 0.3) == [0.0, 0.3, 0.8]
    # A little early is in time, much is not.
    assert times(stamped(0.0, 0.48, 0.58, 1.0), 2.0) == [0.0, 0.48, 1.0]
    assert times(stamped(0.0, 0.44, 0.54, 1.0), 2.0) == [0.0, 0.54, 1.0]
    # After a gap, and after a jump back.
    assert times(stamped(0.0, 3.3, 3.4), 2.0) == [0.0, 3.3]
    assert times([*stamped(0.0, 0.1), *stamped(0.0, 0.1, 0.5, epoch=1)], 2.0) == [0.0, 0.0, 0.5]


# Real recordings.


def corners(scene: SceneTruth, frame: int, row: int, odom_T_base: Any = None) -> np.ndarray:
    """Corners [8, 3] of a box, in the base frame of another pose where one is given."""
    truth = scene.frames[frame]
    assert truth.objects is not None
    local = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing='ij'), -1).reshape(8, 3)
    x, y, z = truth.objects.center_m[row]
    pose = pose_from_yaw(x, y, z, float(truth.objects.yaw_rad[row]))
    if odom_T_base is not None and truth.odom_T_base is not None:
        pose = invert(odom_T_base) @ truth.odom_T_base @ pose
    return transform(pose, local * truth.objects.size_m[row])


def outline_error(camera: Camera, points: np.ndarray, outline: tuple[float, ...]) -> float:
    """Distance in pixels between the centres of a projected box and of an outline."""
    uv, valid = camera.project_base(points)
    if not valid.all():
        return float('inf')
    center = (uv.min(axis=0) + uv.max(axis=0)) / 2
    return float(np.abs(center - np.reshape(outline, (2, 2)).mean(axis=0)).max())


# Read off the images by eye; see test_real_projection.py.
OUTLINES = (
    ('nuscenes_frame', 'cam_front', 0, 61, (719, 464, 784, 530)),
    ('nuscenes_frame', 'cam_front', 0, 16, (1003, 475, 1077, 534)),
    ('nuscenes_frame', 'cam_back', 0, 7, (337, 508, 503, 580)),
    ('nuscenes_frame', 'cam_back', 0, 50, (1051, 471, 1089, 587)),
    ('dgp_scene_02', 'camera_01', 0, 10, (921, 561, 984, 608)),
    ('dgp_scene_02', 'camera_01', 2, 0, (1049, 522, 1118, 587)),
    ('dgp_scene_02', 'camera_09', 0, 3, (905, 611, 1023, 710)),
)


def test_truth_of_real_recordings_lies_on_the_images(real_data: Path) -> None:
    opened_bags = {name: opened(real_data / name) for name in {entry[0] for entry in OUTLINES}}
    mirrored = 0
    for name, camera_name, frame, row, outline in OUTLINES:
        found, sets = opened_bags[name]
        assert found.problems == () and len(sets) == len(found.truth.frames)
        truth = found.truth.frames[frame]
        frames = min(sets, key=lambda f: abs(f.stamp_ns - truth.stamp_ns))
        camera = next(s.camera for s in frames.samples if s.name == camera_name)
        assert camera is not None
        points = corners(found.truth, frame, row, frames.odom_T_base)
        error = outline_error(camera, points, outline)
        assert error < 12.0, (name, camera_name, error)
        mirrored += outline_error(camera, points * (1.0, -1.0, 1.0), outline) < 12.0
    assert mirrored == 1  # the lorry straight ahead


def test_poses_of_real_ground_truth(real_data: Path) -> None:
    single, _ = opened(real_data / 'nuscenes_frame')
    (frame,) = single.truth.frames
    assert frame.odom_T_base is not None  # from the bag's odometry: the file has none
    moving, sets = opened(real_data / 'dgp_scene_02')
    for truth, frames in zip(moving.truth.frames, sets, strict=True):
        assert truth.odom_T_base is not None and frames.odom_T_base is not None
        between = invert(truth.odom_T_base) @ frames.odom_T_base
        assert np.abs(between[:3, 3]).max() < 1.0
