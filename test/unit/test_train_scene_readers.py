"""Frame sets by number: the same as from start to end, and no more is read than is needed."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bev_trainer.data.scene_bag import index_bag
from bev_trainer.data.scene_nuscenes import index_nuscenes
from bev_trainer.data.scene_reader import Indexed, SceneReader, index_sequential, sound_truth
from bev_trainer.data.scene_table import frame_table
from rosbags.rosbag2 import storage_mcap
from support.bags import MCAP, SQLITE3, small_drive, storage_file, write_bag
from support.train_scenes import Formats, scenes_at, written
from support.truth import truth_objects

from bev_perception.errors import BevError, ImageError
from bev_perception.evaluation.scenes.bag import BagScene
from bev_perception.evaluation.scenes.options import BagOptions
from bev_perception.evaluation.scenes.scene import Scene, SceneInfo
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_perception.replay.bag_reader import BagReader


@pytest.fixture(scope='module')
def formats(tmp_path_factory: pytest.TempPathFactory) -> Formats:
    return written(tmp_path_factory.mktemp('formats'))


def read_whole(scene: Scene) -> list[FrameSet]:
    with scene.open() as opened:
        return list(opened.frame_sets())


def assert_table(reader: SceneReader, expected: Sequence[FrameSet]) -> None:
    table = reader.table
    assert table.stamps_ns.tolist() == [frames.stamp_ns for frames in expected]
    for frame, wanted in enumerate(expected):
        assert table.names == tuple(sample.name for sample in wanted.samples)
        pose = table.pose(frame)
        if wanted.odom_T_base is None:
            assert pose is None
        else:
            np.testing.assert_array_equal(pose, wanted.odom_T_base)
        for camera, sample in enumerate(wanted.samples):
            assert table.state(frame, camera) is sample.state
            assert table.camera(frame, camera) == sample.camera


def assert_images(reader: SceneReader, expected: Sequence[FrameSet], order: Sequence[int]) -> None:
    for frame in order:
        for camera, sample in reversed(list(enumerate(expected[frame].samples))):
            if sample.image is None:
                with pytest.raises(ImageError):
                    reader.image(frame, camera)
                continue
            image = reader.image(frame, camera)
            np.testing.assert_array_equal(image.data, sample.image.data)
            assert replace(image, data=sample.image.data) is not None
            assert (image.encoding, image.compressed) == (
                sample.image.encoding, sample.image.compressed,
            )  # fmt: skip


SHUFFLED = (5, 6, 2, 10, 0, 0, 9, 3)


@pytest.mark.parametrize('fork', [False, True], ids=['here', 'in another process'])
def test_a_recording(formats: Formats, fork: bool) -> None:
    (scene,) = scenes_at(formats.bag)
    assert isinstance(scene, BagScene)
    expected, indexed = read_whole(scene), index_bag(scene)
    assert indexed.problems == () and len(expected) == 11
    reader = indexed.reader
    if fork:
        reader.image(1, 0)
        reader = pickle.loads(pickle.dumps(reader))
    assert_table(reader, expected)
    assert_images(reader, expected, SHUFFLED)
    reader.close()
    assert_images(reader, expected, (4,))
    assert [f.stamp_ns for f in reader.truth.frames] == [e.stamp_ns for e in expected]
    stamp_ns = expected[4].samples[0].stamp_ns
    assert reader.place(4, 0) == f'{formats.bag}: /cams/left/image_raw at {stamp_ns} ns'


@pytest.mark.parametrize('plugin', [MCAP, SQLITE3])
def test_every_storage(tmp_path: Path, plugin: Any) -> None:
    drive = small_drive((0.0, 0.012, 0.031), 1.0, ('jpeg', 'bgr8', 'mono8'))
    drive.write(tmp_path / 'first')
    with BagReader(tmp_path / 'first') as bag:
        content = [(m.topic, m.log_ns, bag.decode(m)) for m in bag.messages()]
    path = write_bag(tmp_path / 'again', content, plugin)
    options = BagOptions(truth_file=tmp_path / 'first_objects.json')
    for at in (path, storage_file(path)):
        scene = BagScene('again', at, options)
        expected = read_whole(scene)
        reader = index_bag(scene).reader
        assert_table(reader, expected)
        assert_images(reader, expected, (3, 9, 1))


def test_only_the_chunks_of_a_frame_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording of some forty chunks of one megabyte."""
    drive = small_drive((0.0, 0.012, 0.031), 3.0, ('rgb8', 'rgb8', 'rgb8'))
    drive.write(tmp_path / 'first')
    with BagReader(tmp_path / 'first') as bag:
        content = [(m.topic, m.log_ns, bag.decode(m)) for m in bag.messages()]
    for _, _, message in content:
        if message.__msgtype__ == 'sensor_msgs/msg/Image':
            rows = message.data.reshape(message.height, message.step)
            message.data = np.pad(rows, ((0, 0), (0, 8000))).ravel()  # bytes that pad each row
            message.step += 8000
    path = write_bag(tmp_path / 'large', content)
    scene = BagScene('large', path, BagOptions(truth_file=tmp_path / 'first_objects.json'))
    reader = index_bag(scene).reader
    chunks: list[int] = []
    whole = storage_mcap.msgsrc

    def counted(chunk: Any, *rest: Any) -> Iterator[Any]:
        chunks.append(chunk.chunk_start_offset)
        return whole(chunk, *rest)

    monkeypatch.setattr(storage_mcap, 'msgsrc', counted)
    expected = read_whole(scene)
    all_chunks = len(set(chunks))
    assert all_chunks > 20
    chunks.clear()
    assert_images(reader, expected, (20,))
    assert 1 <= len(chunks) <= 3
    chunks.clear()
    reader.image(20, 0)
    assert not chunks  # it was kept


def test_damage_costs_the_images_that_it_hits(tmp_path: Path) -> None:
    drive = small_drive((0.0, 0.012, 0.031), 3.0, ('rgb8', 'rgb8', 'rgb8'))
    drive.write(tmp_path / 'bag')
    scene = BagScene('bag', tmp_path / 'bag')
    expected, reader = read_whole(scene), index_bag(scene).reader
    file = storage_file(tmp_path / 'bag')
    content = bytearray(file.read_bytes())
    half = len(content) // 2
    content[half : half + 60_000] = bytes(60_000)  # of three megabytes, after they were indexed
    file.write_bytes(content)
    hurt = 0
    for frame, wanted in enumerate(expected):
        for camera, sample in enumerate(wanted.samples):
            assert sample.image is not None
            try:
                same = np.array_equal(reader.image(frame, camera).data, sample.image.data)
            except ImageError as error:
                assert error.state is CameraState.MISSING
                assert 'is damaged' in str(error) or 'does not hold it any more' in str(error)
                same = False
            hurt += not same
    assert 3 <= hurt <= 60  # out of 90
    reader.close()
    file.unlink()
    with pytest.raises(ImageError, match=r'cannot be opened'):
        reader.image(0, 0)


def test_time_that_goes_back_in_a_recording(tmp_path: Path) -> None:
    """The same two seconds are recorded twice in a row: the second time counts for nothing."""
    drive = small_drive((0.0, 0.0, 0.0), 2.0)
    drive.write(tmp_path / 'first')
    with BagReader(tmp_path / 'first') as bag:
        content = [(m.topic, m.log_ns, bag.decode(m)) for m in bag.messages()]
    again = [(topic, log_ns + 10 * 10**9, message) for topic, log_ns, message in content]
    path = write_bag(tmp_path / 'loop', [*content, *again])
    scene = BagScene('loop', path, BagOptions(truth_file=tmp_path / 'first_objects.json'))
    once = read_whole(BagScene('first', tmp_path / 'first'))
    indexed = index_bag(scene)
    assert indexed.problems == ('time goes back: 20 of 40 frame sets are left out',)
    assert indexed.reader.table.stamps_ns.tolist() == [frames.stamp_ns for frames in once]
    assert_images(indexed.reader, once, (19, 0, 7))


@pytest.mark.parametrize('sweeps', [False, True])
def test_nuscenes(formats: Formats, sweeps: bool) -> None:
    (scene,) = scenes_at(formats.nuscenes, sweeps=sweeps)
    expected, indexed = read_whole(scene), index_nuscenes(scene, {})
    assert indexed.problems == () and len(expected) == (11 if sweeps else 3)
    reader = pickle.loads(pickle.dumps(indexed.reader))
    assert_table(reader, expected)
    assert_images(reader, expected, [n % len(expected) for n in SHUFFLED])
    assert reader.scans(0) == ()
    reader.close()
    assert_table(reader, expected)
    assert reader.place(1, 0).startswith(
        str(formats.nuscenes / ('sweeps' if sweeps else 'samples'))
    )


def test_a_pickled_scene_of_tables_is_small(formats: Formats) -> None:
    (scene,) = scenes_at(formats.nuscenes)
    reader = index_nuscenes(scene, {}).reader
    small = len(pickle.dumps(reader))
    _ = reader.truth, reader.table, reader.place(0, 0)
    assert len(pickle.dumps(reader)) == small


# Scenes of other packages.


@dataclass
class Made:
    """A scene of three cameras that remembers how often and how far it was read."""

    name: str = 'made'
    frames: int = 60
    broken: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.opened = self.read = 0

    @contextmanager
    def open(self) -> Iterator[Made]:
        self.opened += 1
        yield self

    info = SceneInfo('made', 'made', ('a', 'b'), 1.0)
    truth = SceneTruth([TruthFrame(1, truth_objects([]))])
    problems = ('something is odd',)

    def frame_sets(self) -> Iterator[FrameSet]:
        for number in range(self.frames):
            self.read += 1
            data = np.full(3, number, np.uint8)
            image = CameraImage(data, 'jpeg', 0, 0, 0, compressed=True)
            there = CameraSample('a', CameraState.USED, '', 100 * number, image)
            late = CameraSample('b', CameraState.LATE, 'too late')
            if number not in self.broken:
                yield FrameSet(100 * number + 7, 'base_link', (there, late))


def made_index(scene: Made) -> Indexed:
    indexed = index_sequential(scene)  # type: ignore[arg-type]
    scene.opened = scene.read = 0
    return indexed


def test_whatever_else_is_read_on_from_where_it_is() -> None:
    scene = Made()
    indexed = made_index(scene)
    assert indexed.problems == ('something is odd',)
    reader = indexed.reader
    assert reader.image(10, 0).data.tolist() == [10] * 3
    assert (scene.opened, scene.read) == (1, 11)
    reader.image(12, 0)
    reader.image(10, 0)
    assert (scene.opened, scene.read) == (1, 13)  # kept
    reader.image(50, 0)
    assert (scene.opened, scene.read) == (1, 51)
    assert reader.image(10, 0).data.tolist() == [10] * 3  # too long ago: from the start
    assert (scene.opened, scene.read) == (2, 62)
    with pytest.raises(ImageError, match='has no image: late') as error:
        reader.image(10, 1)
    assert error.value.state is CameraState.LATE
    again = pickle.loads(pickle.dumps(reader))
    assert again.image(3, 0).data.tolist() == [3] * 3
    assert reader.place(3, 1) == "made: camera 'b' at 307 ns" and reader.scans(3) == ()


def test_a_scene_that_has_changed_meanwhile() -> None:
    scene = Made()
    reader = made_index(scene).reader
    scene.frames = 20
    assert reader.image(5, 0).data.tolist() == [5] * 3
    with pytest.raises(BevError, match='its frame set at 4007 ns is not there any more'):
        reader.image(40, 0)
    scene.broken = frozenset({8})
    with pytest.raises(BevError, match='807 ns'):
        reader.image(8, 0)
    assert reader.image(9, 0).data.tolist() == [9] * 3


def test_boxes_that_are_none() -> None:
    good = truth_objects([(1.0, 2.0, 4.0, 2.0, 0.1)] * 5)
    bad = replace(
        good,
        center_m=np.where(np.arange(5)[:, None] == 1, np.nan, good.center_m),
        yaw_rad=np.where(np.arange(5) == 2, np.inf, good.yaw_rad),
        size_m=np.where(np.arange(5)[:, None] == 3, 0.0, good.size_m),
    )
    truth = SceneTruth(
        [TruthFrame(5, good), TruthFrame(6, bad), TruthFrame(7), TruthFrame(8, bad)]
    )
    sound, problems = sound_truth(truth)
    assert [f.objects and f.objects.track for f in sound.frames] == [
        tuple('abcde'), ('a', 'e'), None, ('a', 'e'),
    ]  # fmt: skip
    (problem,) = problems
    assert problem.startswith('6 objects are left out') and 'at 6 ns' in problem
    fine = SceneTruth(truth.frames[:1])
    assert sound_truth(fine) == (fine, ())


def test_the_same_calibration_is_kept_once(formats: Formats) -> None:
    (scene,) = scenes_at(formats.bag)
    table, _ = frame_table(read_whole(scene))
    assert len(table.known_cameras) == 3
    assert table.pose_between(int(table.stamps_ns[0]) - 1, 1.0) is None
    middle = int(table.stamps_ns[3] + table.stamps_ns[4]) // 2
    pose = table.pose_between(middle, 1.0)
    assert pose is not None
    np.testing.assert_allclose(pose[:3, 3], table.poses[3:5, :3, 3].mean(axis=0), atol=1e-6)
    assert table.pose_between(middle, 0.05) is None
