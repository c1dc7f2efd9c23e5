"""Depth of pixels out of lidar points: of nuScenes' scans and of a recording's point clouds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.scene_bag import index_bag
from bev_trainer.data.scene_clips import Asked, SceneRecording
from bev_trainer.data.scene_clouds import POINT_CLOUD, cloud_points
from bev_trainer.data.scene_labels import Sight
from bev_trainer.data.scene_lidar import (
    LidarPoints,
    LidarScan,
    projected_depth,
    read_lidar_scans,
)
from bev_trainer.data.scene_nuscenes import index_nuscenes
from bev_trainer.data.scene_places import LabelPlace
from bev_trainer.data.scene_reader import SceneReader
from bev_trainer.data.scene_source import SceneSource
from bev_trainer.data.scene_table import frame_table
from bev_trainer.dataset.bag.messages import header_message, transform_message, transforms_message
from bev_trainer.dataset.bag.typestore import new_message, recording_types
from bev_trainer.dataset.nuscenes.scan import DriveScan
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from support.bags import assert_one_line, write_bag
from support.drives import SmallDrive
from support.sample_drive.rig import make_camera
from support.train_scenes import Formats, scenes_at, short_config, written

from bev_perception.errors import BagError
from bev_perception.evaluation.scenes.nuscenes.tables import find_version
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.geometry.model_input import ImageRemap, input_camera
from bev_perception.geometry.pose import invert, pose_from_yaw, transform
from bev_perception.inputs.state import CameraState
from bev_perception.replay.bag_reader import BagReader

MOUNT = pose_from_yaw(1.2, -0.3, 1.9, 0.7)
LIDAR = '/lidar/points'
S = 1_000_000_000


@pytest.fixture(scope='module')
def formats(tmp_path_factory: pytest.TempPathFactory) -> Formats:
    return written(tmp_path_factory.mktemp('formats'))


def points_of(reader: SceneReader, frame: int) -> np.ndarray:
    """Of the one lidar that there is."""
    (scan,) = reader.scans(frame)
    assert scan.points_m.dtype == np.float32
    return scan.points_m


# Projection.


@pytest.mark.parametrize('lens', ['none', 'plumb_bob', 'equidistant'])
def test_depth_is_what_rays_are_multiplied_by(lens: str) -> None:
    rng = np.random.default_rng(0)
    camera = make_camera('c', 40, 30, lens, 100.0, (0.5, 0.2, 1.4), 30.0, 4.0)
    motion = pose_from_yaw(0.4, -0.1, 0.0, 0.05)
    u, v = rng.integers(0, 40, 200), rng.integers(0, 30, 200)
    depth = rng.uniform(2.0, 40.0, 200)
    local = camera.rays(np.stack([u, v], axis=-1)) * depth[:, None]
    points = transform(motion @ camera.base_T_camera, local)
    expected = np.full((30, 40), np.inf)
    for row in range(200):
        expected[v[row], u[row]] = min(expected[v[row], u[row]], depth[row])
    found = projected_depth(points.astype(np.float32), camera, motion)
    known = np.isfinite(expected)
    assert found.dtype == np.float32 and ((found > 0) == known).all()
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-4)
    still = projected_depth(transform(invert(motion), points).astype(np.float32), camera)
    np.testing.assert_allclose(still, found, rtol=1e-4)


def test_points_behind_beside_and_of_the_vehicle_itself() -> None:
    camera = make_camera('c', 40, 30, 'none', 90.0, (1.0, 0.0, 1.0), 0.0, 0.0)
    points = np.array([[-5.0, 0, 1], [1.2, 20, 1], [1.9, 0, 1]], np.float32)
    assert not projected_depth(points, camera).any()
    assert not projected_depth(points[:0], camera).any()
    ahead = projected_depth(np.array([[2.1, 0.0, 1.0]], np.float32), camera)
    assert (ahead > 0).sum() == 1 and ahead.max() == pytest.approx(1.1)


# nuScenes' files.


def test_scans_of_tables(formats: Formats) -> None:
    version = find_version(formats.nuscenes)
    assert version is not None
    (scene,) = scenes_at(formats.nuscenes)
    tokens = [sample.token for sample in scene.record.samples]
    scans = read_lidar_scans(version, tokens[:2])
    assert set(scans) == set(tokens[:2])
    reader = index_nuscenes(scene, scans).reader
    with Drive(formats.drive) as drive:
        for frame, number in ((0, 0), (5, 1)):
            expected, _ = DriveScan(drive).measure(frame, np.zeros(0, np.uint16))
            np.testing.assert_array_equal(points_of(reader, number), expected[:, :3])
    assert reader.scans(2) == ()


def test_broken_scans(tmp_path: Path) -> None:
    scan = LidarScan('scan.bin', MOUNT)
    with pytest.raises(DatasetError) as error:
        scan.read(tmp_path)
    assert_one_line(error.value, tmp_path / 'scan.bin', 'No such file')
    numbers = np.arange(20, dtype='<f4')
    numbers[5] = np.nan
    (tmp_path / 'scan.bin').write_bytes(numbers.tobytes())
    np.testing.assert_array_equal(scan.read(tmp_path).origin_m, MOUNT[:3, 3])
    found = scan.read(tmp_path).points_m
    assert found.shape == (3, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[0], transform(MOUNT, [0.0, 1.0, 2.0]), rtol=1e-6)
    (tmp_path / 'scan.bin').write_bytes(numbers.tobytes()[:-4])
    with pytest.raises(DatasetError) as error:
        scan.read(tmp_path)
    assert_one_line(error.value, 'scan.bin', 'cut off')


def test_a_lost_scan_costs_its_depth_alone(formats: Formats, tmp_path: Path) -> None:
    (scene,) = scenes_at(formats.nuscenes)
    samples = scene.record.samples
    broken = {samples[0].token: LidarScan('gone.bin', np.eye(4))}
    source = SceneSource([scene], short_config(), ClipSection(), lidar=broken)
    clip = source.clip(0, None)
    for frame in clip.frames:
        assert frame.targets is not None and frame.targets.depth_bin is not None
        assert bool((frame.targets.depth_bin == -1).all()) and bool(frame.camera_mask.all())
    (lost,) = clip.lost
    assert lost.kind == 'lidar scan' and f'lidar at {samples[0].stamp_ns} ns: ' in str(lost)
    assert 'gone.bin: cannot be read: No such file' in lost.reason and source.problems == ()


class OneFrame:
    """A scene reader of one frame, whose camera fires 200 ms after it, on a vehicle at 10 m/s."""

    path, truth = (
        'one',
        SceneTruth(
            [TruthFrame(s * S, odom_T_base=pose_from_yaw(10.0 * s, 0.0, 0.0, 0.0)) for s in (1, 2)]
        ),
    )
    camera = make_camera('c', 64, 48, 'none', 90.0, (1.0, 0.0, 1.5), 0.0, 0.0)
    cloud = np.array([[12.0, 1.0, 1.0], [9.0, -2.0, 2.0]], np.float32)

    def __init__(self) -> None:
        sample = CameraSample('c', CameraState.USED, '', S + S // 5, None, self.camera)
        self.table, _ = frame_table([FrameSet(S, 'base_link', (sample,), odom_T_base=np.eye(4))])

    def scans(self, frame: int) -> tuple[LidarPoints, ...]:
        return LidarPoints(np.zeros(3), self.cloud[:1]), LidarPoints(np.ones(3), self.cloud[1:])


def test_the_way_until_a_camera_fires_is_taken_out() -> None:
    reader: Any = OneFrame()
    place = LabelPlace(0, 0, S)
    recording = SceneRecording(reader, [0], [place], Asked((), Sight()), {}, {})
    section = short_config().input
    target = input_camera(reader.camera, section.width, section.height, section.horizon_share)
    found = recording.depth_m(0, 0, ImageRemap(reader.camera, target))
    moved = reader.cloud - np.array([2.0, 0.0, 0.0], np.float32)
    np.testing.assert_array_equal(found, projected_depth(moved, target))
    assert found is not None and sorted(found[found > 0]) == pytest.approx([6.0, 9.0])
    labels = recording.labels(0, 0.0, np.ones(1, np.bool_))
    assert labels is not None
    np.testing.assert_array_equal(labels.depth_m(0), projected_depth(moved, reader.camera))


# Point clouds of recordings.


def cloud(
    points: np.ndarray, stamp_ns: int, kind: str = '<f4', pad: int = 0, rows: int = 1
) -> Any:
    """Returns sensor_msgs/PointCloud2 of points [n, 3], n a multiple of the rows."""
    layout: Any = {'names': ['i', 'x', 'y', 'z'], 'formats': ['u2', kind, kind, kind],
              'offsets': [0, 4, 12, 20], 'itemsize': 32}  # fmt: skip
    table: Any = np.zeros(len(points), np.dtype(layout))
    for axis, name in enumerate('xyz'):
        table[name] = points[:, axis]
    content = table.view(np.uint8).reshape(rows, -1)
    content = np.pad(content, ((0, 0), (0, pad)), constant_values=255)
    number = {'4': 7, '8': 8}[kind[-1]]
    fields = [('i', 0, 4), ('x', 4, number), ('y', 12, number), ('z', 20, number)]
    return new_message(
        'sensor_msgs/PointCloud2',
        header=header_message(stamp_ns, 'lidar'),
        height=rows,
        width=len(points) // rows,
        fields=[
            recording_types().types['sensor_msgs/msg/PointField'](n, offset, datatype, 1)
            for n, offset, datatype in fields
        ],
        is_bigendian=kind[0] == '>',
        point_step=32,
        row_step=content.shape[1],
        data=content.ravel(),
        is_dense=False,
    )


@pytest.mark.parametrize('kind', ['<f4', '>f4', '<f8', '>f8'])
@pytest.mark.parametrize(('rows', 'pad'), [(1, 0), (3, 0), (3, 5)])
def test_every_layout_of_a_cloud(kind: str, rows: int, pad: int) -> None:
    points = np.random.default_rng(1).normal(size=(12, 3)) * 20
    points[4, 1] = np.nan
    found = cloud_points(cloud(points, 1, kind, pad, rows), MOUNT)
    expected = transform(MOUNT, np.delete(points, 4, axis=0))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert cloud_points(cloud(points[:0], 1, kind), MOUNT).shape == (0, 3)


def test_clouds_that_are_none() -> None:
    good = cloud(np.ones((4, 3)), 1)
    for change, words in (
        ({'fields': good.fields[:3]}, 'no x, y and z'),
        ({'data': good.data[:-1]}, 'has 127 bytes'),
        ({'row_step': 100}, 'has 128 bytes'),
        ({'point_step': 16}, 'points of 16 bytes'),
    ):
        bad = cloud(np.ones((4, 3)), 1)
        for name, value in change.items():
            setattr(bad, name, value)
        with pytest.raises(BagError, match=words):
            cloud_points(bad, MOUNT)


def with_lidar(formats: Formats, target: Path, late_ns: int = 0, placed: bool = True) -> Path:
    """Writes the recording with the scans of the drive as point clouds of a lidar.

    Args:
        formats: the drive.
        target: folder to write.
        late_ns: how much later than the label frames they are measured.
        placed: whether it is known where the lidar is.
    """
    with BagReader(formats.bag) as reader:
        content = [(m.topic, m.log_ns, reader.decode(m)) for m in reader.messages()]
    first_ns = content[0][1]
    if placed:
        static = transform_message(MOUNT, 'base_link', 'lidar', first_ns)
        content.insert(1, ('/tf_static', first_ns, transforms_message([static])))
    with Drive(formats.drive) as drive:
        scan, path = DriveScan(drive), drive.world_T_base
        for frame in drive.description.label_frames:
            stamp_ns = drive.stamp_ns(frame) + late_ns
            points = scan.measure(frame, np.zeros(0, np.uint16))[0][:, :3].astype(np.float64)
            then = SmallDrive().world_T_base(stamp_ns)  # as it looks from where the vehicle is
            points = transform(invert(then) @ path[frame], points)
            points = transform(invert(MOUNT), points)
            message = cloud(points, stamp_ns, '<f8')
            content.append((LIDAR, stamp_ns + 3_000_000, message))
    content.sort(key=lambda item: item[1])
    return write_bag(target, content)


def test_clouds_of_a_recording_are_the_scans_of_the_tables(
    formats: Formats, tmp_path: Path
) -> None:
    path = with_lidar(formats, tmp_path / 'bag')
    (scene,) = scenes_at(path)
    indexed = index_bag(scene, lidar=True)
    assert indexed.problems == ()
    with Drive(formats.drive) as drive:
        for frame in (0, 5, 10):
            expected, _ = DriveScan(drive).measure(frame, np.zeros(0, np.uint16))
            found = points_of(indexed.reader, frame)
            np.testing.assert_allclose(found, expected[:, :3], atol=1e-4)
    assert indexed.reader.scans(2) == ()  # 200 ms away
    assert index_bag(scene).reader.scans(0) == ()  # nobody asked for it
    config = short_config()
    clip = SceneSource([scene], config, ClipSection()).clip(0, None)
    version = find_version(formats.nuscenes)
    assert version is not None
    (table,) = scenes_at(formats.nuscenes)
    scans = read_lidar_scans(version, [sample.token for sample in table.record.samples])
    same = SceneSource([table], config, ClipSection(), lidar=scans).clip(0, None)
    for one, other in zip(clip.frames, same.frames, strict=True):
        assert one.targets is not None and other.targets is not None
        ours, theirs = one.targets.depth_bin, other.targets.depth_bin
        assert ours is not None and theirs is not None
        assert int((ours >= 0).sum()) > 50
        difference = (ours[:, [1, 0, 2]] != theirs).float().mean()  # order of the cameras
        assert float(difference) < 0.02
    without = SceneSource([scene], short_config(), ClipSection())
    assert without.problems == ()


def test_the_way_since_a_cloud_is_taken_out(formats: Formats, tmp_path: Path) -> None:
    """Clouds of 40 ms after the label frames, at 6 m/s."""
    (scene,) = scenes_at(with_lidar(formats, tmp_path / 'bag', late_ns=40_000_000))
    reader = index_bag(scene, lidar=True).reader
    with Drive(formats.drive) as drive:
        for frame in (0, 5):
            expected, _ = DriveScan(drive).measure(frame, np.zeros(0, np.uint16))
            found = points_of(reader, frame)
            np.testing.assert_allclose(found, expected[:, :3], atol=0.01)
            # The lidar itself is 24 cm on its way by then.
            (scan,) = reader.scans(frame)
            away = scan.origin_m - MOUNT[:3, 3]
            assert np.linalg.norm(away) == pytest.approx(0.24, abs=0.01) and away[0] > 0.2
        # When the drive is over nobody knows its way.
        last, _ = DriveScan(drive).measure(10, np.zeros(0, np.uint16))
    found = points_of(reader, 10)
    away = np.linalg.norm(found - last[:, :3], axis=-1)
    assert np.median(away) == pytest.approx(0.24, abs=0.1)


def test_a_lidar_of_which_it_is_not_known_where_it_is(formats: Formats, tmp_path: Path) -> None:
    path = with_lidar(formats, tmp_path / 'bag', placed=False)
    (scene,) = scenes_at(path)
    indexed = index_bag(scene, lidar=True)
    (problem,) = indexed.problems
    assert problem.startswith(f"{LIDAR} is left out: frames 'base_link' and 'lidar'")
    assert indexed.reader.scans(0) == ()


def test_type() -> None:
    assert cloud(np.ones((1, 3)), 1).__msgtype__ == POINT_CLOUD
