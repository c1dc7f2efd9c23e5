"""Drive files: round trips, equal bytes, damage of every kind, and nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bev_trainer.dataset import writer as writer_module
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.object_table import ObjectTable
from bev_trainer.dataset.png import counts_to_depth, decode_png, depth_to_counts, encode_png
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.writer import DriveWriter, remove_unfinished
from bev_trainer.errors import DatasetError
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_drive import (
    CELLS,
    LABEL_FRAMES,
    STAMPS_NS,
    add_frames,
    jpeg_of,
    labels_of,
    observed_of,
    tiny_drive,
    write_tiny_drive,
)


@pytest.fixture(scope='module')
def drive_file(tmp_path_factory) -> Path:
    return write_tiny_drive(tmp_path_factory.mktemp('drive'))[0]


def rewritten(source: Path, target: Path, change: dict[str, bytes | None]) -> Path:
    """Copies a zip with some members replaced, or left out for None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for info in old.infolist():
            content = change.get(info.filename, old.read(info))
            if content is not None:
                new.writestr(info, content)
    return target


# Round trips.


def test_everything_comes_back(drive_file: Path) -> None:
    made = tiny_drive()
    with Drive(drive_file) as drive:
        assert drive.description == made.description
        assert [c.name for c in drive.cameras] == ['camera/0', 'camera/1']
        assert drive.label_grid.shape == CELLS
        np.testing.assert_array_equal(drive.world_T_base, made.world_T_base)
        np.testing.assert_array_equal(drive.camera_world_T_base, made.camera_world_T_base)
        for field in fields(ObjectTable):
            got, wanted = (getattr(t, field.name) for t in (drive.objects, made.objects))
            assert got.dtype == wanted.dtype, field.name
            np.testing.assert_array_equal(got, wanted, field.name)
        np.testing.assert_array_equal(drive.ground.layers, made.ground.layers)
        assert (drive.ground.x_min_m, drive.ground.y_min_m) == (-10.0, 5.0)
        assert drive.ground.resolution_m == 0.25
        for frame in range(3):
            for camera in range(2):
                assert drive.jpeg(frame, camera) == jpeg_of(frame, camera)
        for frame in LABEL_FRAMES:
            np.testing.assert_array_equal(drive.observed(frame), observed_of(frame))
            for camera in range(2):
                classes, instances, depth_m = labels_of(frame, camera)
                np.testing.assert_array_equal(drive.classes(frame, camera), classes)
                np.testing.assert_array_equal(drive.instances(frame, camera), instances)
                near = depth_m < 255.9
                error = np.abs(drive.depth_m(frame, camera) - depth_m)
                assert error[near].max() <= 1 / 512
                assert not drive.depth_m(frame, camera)[depth_m > 256.0].any()


def test_images_are_rgb(drive_file: Path) -> None:
    image = Drive(drive_file).image(1, 1)
    assert image.shape == (12, 20, 3) and image.dtype == np.uint8
    # Written as blue 200, green 40, red 60.
    np.testing.assert_allclose(image[6, 10], (60, 40, 200), atol=4)


def test_equal_content_gives_equal_bytes(tmp_path: Path, drive_file: Path) -> None:
    path, digest = write_tiny_drive(tmp_path)
    assert path.read_bytes() == drive_file.read_bytes()
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_other_programs_can_read_it(drive_file: Path) -> None:
    with zipfile.ZipFile(drive_file) as archive:
        assert archive.testzip() is None
        stored = archive.getinfo('images/01/000002.jpg')
        assert stored.compress_type == zipfile.ZIP_STORED
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())
        depth = cv2.imdecode(
            np.frombuffer(archive.read('labels/01/000002.depth.png'), np.uint8),
            cv2.IMREAD_UNCHANGED,
        )
    expected = np.rint(labels_of(2, 1)[2].astype(np.float64) * 256)
    np.testing.assert_array_equal(depth, np.where(expected > 65535, 0, expected))
    assert drive_file.stat().st_mode & 0o777 == 0o644


# PNG.


@given(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([np.uint8, np.uint16]), st.integers(0)
)
def test_png_round_trip(height: int, width: int, dtype: type, seed: int) -> None:
    high = np.iinfo(dtype).max + 1
    image: Any = np.random.default_rng(seed).integers(0, high, (height, width)).astype(dtype)
    np.testing.assert_array_equal(decode_png(encode_png(image), dtype), image)
    # Neither stride nor byte order of the array in memory matters.
    turned = np.asfortranarray(image)
    assert encode_png(turned) == encode_png(image)


def test_png_refuses_what_it_cannot_keep() -> None:
    bad: Any
    for bad in (np.zeros((2, 2), np.int32), np.zeros((2, 2, 3), np.uint8), np.zeros((0, 2), 'u1')):
        with pytest.raises(ValueError, match=r'needs uint8 or uint16 \[H, W\]'):
            encode_png(bad)
    with pytest.raises(ValueError, match='must be a grey image of uint16, is uint8'):
        decode_png(encode_png(np.zeros((2, 2), np.uint8)), np.uint16)
    with pytest.raises(ValueError, match='is not a PNG'):
        decode_png(jpeg_of(0, 0), np.uint8)
    with pytest.raises(ValueError, match='is not a PNG'):
        decode_png(b'', np.uint8)


def test_depth_counts_by_hand() -> None:
    depth_m = np.array([0.0, 1.0, 1.0 + 1 / 256, 255.99, 255.9961, 256.0, 1e6], np.float32)
    counts = depth_to_counts(depth_m)
    assert counts.tolist() == [0, 256, 257, 65533, 65535, 0, 0]
    assert counts_to_depth(counts)[2] == np.float32(1.00390625)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match='finite and not negative'):
            depth_to_counts(np.array([1.0, bad], np.float32))


# Boxes.


def test_boxes_in_base_by_hand(drive_file: Path) -> None:
    # The base is at (10, 20) and looks north; the car is 10 m north of it.
    boxes = Drive(drive_file).boxes(0)
    assert boxes.instance.tolist() == [1, 3]
    assert boxes.class_id.tolist() == [10, 15]
    np.testing.assert_allclose(boxes.center_m, [(10, 0, 0.75), (-20, 9, 0.75)], atol=1e-12)
    np.testing.assert_allclose(boxes.size_m, [(4, 2, 1.5), (2, 1, 1.5)])
    np.testing.assert_allclose(boxes.yaw_rad, [3.1 - np.pi / 2, -np.pi / 2])
    # It drives north, that is ahead; its acceleration east points to the right.
    np.testing.assert_allclose(boxes.velocity_mps, [(10, 0), (0, -10)], atol=1e-6)
    np.testing.assert_allclose(boxes.acceleration_mps2, [(0, -1), (0, 0)], atol=1e-6)


def test_boxes_in_world(drive_file: Path) -> None:
    boxes = Drive(drive_file).boxes(1, in_base=False)
    assert boxes.instance.tolist() == [1, 2, 3]
    np.testing.assert_allclose(boxes.center_m[:, :2], [(10, 31), (5, 20), (2, 0)])


def test_boxes_between_frames(drive_file: Path) -> None:
    drive = Drive(drive_file)
    # 3/10 of the way: the pedestrian's first frame is the farther one.
    boxes = drive.boxes_at(STAMPS_NS[0] + 30_000_000)
    assert boxes.instance.tolist() == [1, 3]
    np.testing.assert_allclose(boxes.center_m[:, :2], [(10, 30.3), (1.3, 0)])
    # 3.1 to -3.1 the short way is +0.0832.
    assert boxes.yaw_rad[0] == pytest.approx(3.1 + 0.3 * (2 * np.pi - 6.2))
    # 6/10: now it is the nearer one, and goes back in time at its 2 m/s for 0.04 s.
    boxes = drive.boxes_at(STAMPS_NS[0] + 60_000_000)
    assert boxes.instance.tolist() == [1, 2, 3]
    np.testing.assert_allclose(boxes.center_m[1, :2], (4.92, 20))
    # In the base frame of a frame, like everything there.
    based = drive.boxes_at(STAMPS_NS[0] + 60_000_000, in_base_of_frame=2)
    np.testing.assert_allclose(based.center_m[0, :2], (10.6, 0), atol=1e-12)


def test_boxes_at_frames_and_beyond(drive_file: Path) -> None:
    drive = Drive(drive_file)
    for frame, stamp in enumerate(STAMPS_NS):
        at, of = drive.boxes_at(stamp, frame), drive.boxes(frame)
        for field in fields(of):
            np.testing.assert_array_equal(getattr(at, field.name), getattr(of, field.name))
    early = drive.boxes_at(STAMPS_NS[0] - 20_000_000)
    np.testing.assert_allclose(early.center_m[:, :2], [(10, 29.8), (0.8, 0)])
    late = drive.boxes_at(STAMPS_NS[-1] + 30_000_000)
    np.testing.assert_allclose(late.center_m[:, :2], [(10, 32.3), (5.26, 20)])
    with pytest.raises(DatasetError, match='does not last until'):
        drive.boxes_at(STAMPS_NS[-1] + 100_000_001)
    with pytest.raises(DatasetError, match='has frames 0 to 2, not 3'):
        drive.boxes(3)


def test_when_and_where_cameras_fire(drive_file: Path, tmp_path: Path) -> None:
    drive = Drive(drive_file)
    assert drive.stamp_ns(1) == STAMPS_NS[1]
    assert drive.camera_stamp_ns(1, 1) == STAMPS_NS[1] + 30_000_000
    np.testing.assert_allclose(drive.base_T_camera_base(2), np.tile(np.eye(4), (2, 1, 1)))
    # The second camera fires 0.3 m farther north, which is ahead.
    made = tiny_drive()
    made.camera_world_T_base[2, 1, 1, 3] += 0.3
    with DriveWriter(tmp_path, 'tiny') as writer:
        add_frames(writer)
        writer.finish(*made)
    moved = Drive(tmp_path / 'tiny.zip').base_T_camera_base(2)
    np.testing.assert_allclose(moved[:, :3, 3], [(0, 0, 0), (0.3, 0, 0)], atol=1e-12)
    for frame in (-1, 3):
        with pytest.raises(DatasetError, match=f'has frames 0 to 2, not {frame}'):
            drive.camera_stamp_ns(frame, 0)


# Processes and threads.


def test_pickle_reopens(drive_file: Path) -> None:
    drive = Drive(drive_file)
    drive.observed(0)
    copy = pickle.loads(pickle.dumps(drive))
    np.testing.assert_array_equal(copy.observed(0), drive.observed(0))


def test_close_and_again(drive_file: Path) -> None:
    with Drive(drive_file) as drive:
        first = drive.jpeg(0, 0)
    assert drive.jpeg(0, 0) == first
    drive.close()


def _read_all(drive: Drive, rounds: int) -> str:
    digest = hashlib.sha256()
    for _ in range(rounds):
        for frame in range(3):
            for camera in range(2):
                digest.update(drive.jpeg(frame, camera))
    return digest.hexdigest()


def _read_all_in_forks(drive_file: Path, rounds: int, wanted: str) -> None:
    drive = Drive(drive_file)
    assert _read_all(drive, rounds) == wanted  # open before the fork: all share one descriptor
    context = multiprocessing.get_context('fork')
    with context.Pool(3) as pool:
        assert set(pool.starmap(_read_all, [(drive, rounds)] * 3)) == {wanted}
    children = []
    queue = context.SimpleQueue()
    for _ in range(3):  # without pickling
        child = context.Process(target=lambda: queue.put(_read_all(drive, rounds)))
        child.start()
        children.append(child)
    for child in children:
        child.join()
    assert {queue.get() for _ in children} == {wanted}


def test_forked_readers_do_not_disturb_each_other(drive_file: Path) -> None:
    """In a process of its own: this one has threads, whose locks a fork would leave locked."""
    wanted = _read_all(Drive(drive_file), 50)
    forking = multiprocessing.get_context('spawn').Process(
        target=_read_all_in_forks, args=(drive_file, 50, wanted)
    )
    forking.start()
    forking.join(120)
    assert forking.exitcode == 0
    forking.close()


def test_threads_share_a_reader(drive_file: Path) -> None:
    drive, found = Drive(drive_file), []
    wanted = _read_all(drive, 30)
    threads = [threading.Thread(target=lambda: found.append(_read_all(drive, 30))) for _ in '123']
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [wanted] * 3


# Damage.


def read_everything(path: Path) -> None:
    with Drive(path) as drive:
        drive.description, drive.cameras, drive.objects, drive.ground  # noqa: B018
        drive.world_T_base, drive.camera_world_T_base  # noqa: B018
        for frame in range(3):
            for camera in range(2):
                drive.image(frame, camera)
        for frame in LABEL_FRAMES:
            drive.observed(frame)
            for camera in range(2):
                drive.classes(frame, camera)
                drive.instances(frame, camera)
                drive.depth_m(frame, camera)


def refusal(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_everything(path)
    message = str(caught.value)
    assert message.startswith(f'{path}: ') and '\n' not in message
    return message


def test_every_single_missing_member_is_named(tmp_path: Path, drive_file: Path) -> None:
    names = zipfile.ZipFile(drive_file).namelist()
    assert len(names) == 3 * 2 + 2 * (2 * 3 + 1) + 8 + 2 + 2
    for name in names:
        copy = rewritten(drive_file, tmp_path / 'copy.zip', {name: None})
        assert refusal(copy) == f'{copy}: {name} is missing'


def test_a_flipped_bit_in_any_member_is_found(tmp_path: Path, drive_file: Path) -> None:
    content = drive_file.read_bytes()
    for info in zipfile.ZipFile(drive_file).infolist():
        start = info.header_offset + 30 + len(info.filename)
        damaged = bytearray(content)
        damaged[start + info.compress_size // 2] ^= 0x10
        copy = tmp_path / 'copy.zip'
        copy.write_bytes(damaged)
        assert f'{info.filename} is damaged' in refusal(copy)


def test_truncation_anywhere_is_found(tmp_path: Path, drive_file: Path) -> None:
    content = drive_file.read_bytes()
    copy = tmp_path / 'copy.zip'
    for length in [0, 1, 30, *np.linspace(100, len(content) - 1, 40).astype(int)]:
        copy.write_bytes(content[:length])
        assert 'is not a whole drive file' in refusal(copy)


def test_a_file_cut_while_open(tmp_path: Path, drive_file: Path) -> None:
    copy = tmp_path / 'copy.zip'
    shutil.copy(drive_file, copy)
    drive = Drive(copy)
    drive.jpeg(0, 0)
    os.truncate(copy, copy.stat().st_size // 3)
    with pytest.raises(DatasetError, match=r'images/01/000002.jpg is damaged: the file ends in'):
        drive.jpeg(2, 1)


def test_missing_foreign_and_unreadable_files(tmp_path: Path) -> None:
    assert refusal(tmp_path / 'none.zip').endswith('no such file')
    assert 'cannot be read' in refusal(tmp_path)
    text = tmp_path / 'text.zip'
    text.write_text('PK, but no zip')
    assert 'is not a whole drive file' in refusal(text)
    foreign = tmp_path / 'foreign.zip'
    with zipfile.ZipFile(foreign, 'w') as archive:
        archive.writestr('holiday.jpg', b'x')
    assert refusal(foreign).endswith('drive.json is missing')
    with zipfile.ZipFile(foreign, 'w', zipfile.ZIP_BZIP2) as archive:
        archive.writestr('drive.json', b'x')
    assert 'packed in a way not used' in refusal(foreign)


def test_wrong_descriptions(tmp_path: Path, drive_file: Path) -> None:
    document = json.loads(zipfile.ZipFile(drive_file).read('drive.json'))

    def said(content: bytes) -> str:
        return refusal(rewritten(drive_file, tmp_path / 'copy.zip', {'drive.json': content}))

    assert 'has format 2; this program reads 1' in said(
        json.dumps({**document, 'format': 2, 'new': 0}).encode()
    )
    assert 'drive.json is not JSON' in said(b'{"format": ')
    assert 'drive.json is not JSON' in said(b'\xff\xfe')
    assert 'drive.json is wrong' in said(b'[]')
    assert 'drive.json is wrong: seed' in said(json.dumps({**document, 'seed': 'x'}).encode())
    bare = json.loads(json.dumps(document))
    del bare['rig']['cameras'][0]['base_T_camera']
    assert 'cameras without calibration' in said(json.dumps(bare).encode())
    longer = {**document, 'frame_stamps_ns': [1, 2, 3, 4]}
    assert 'objects/present.npy must be bool (3, 4)' in said(json.dumps(longer).encode())
    unknown = json.loads(json.dumps(document))
    unknown['objects'][0]['class_name'] = 'sky'
    copy = rewritten(drive_file, tmp_path / 'c.zip', {'drive.json': json.dumps(unknown).encode()})
    with pytest.raises(DatasetError, match="is wrong: unknown class 'sky'"):
        Drive(copy).boxes(0)


def test_wrong_members(tmp_path: Path, drive_file: Path) -> None:
    small = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    cases = {
        'images/00/000000.jpg': {
            b'': 'is not an image',
            b'no jpeg': 'is not an image',
            small: 'is 8 x 8 pixels, its camera has 24 x 16',
        },
        'labels/01/000002.class.png': {
            b'no png': 'is not a PNG image',
            encode_png(np.zeros((12, 20), np.uint16)): 'must be a grey image of uint8',
            encode_png(np.zeros((12, 21), np.uint8)): 'is 21 x 12 pixels',
        },
        'observed/000000.npy': {b'no array': 'is not an array', b'': 'is not an array'},
    }
    for name, contents in cases.items():
        for content, reason in contents.items():
            copy = rewritten(drive_file, tmp_path / 'copy.zip', {name: content})
            assert f'{name} {reason}' in refusal(copy)


def test_frames_without_labels(drive_file: Path) -> None:
    drive = Drive(drive_file)
    for ask in (lambda: drive.observed(1), lambda: drive.classes(1, 0)):
        with pytest.raises(DatasetError, match='frame 1 carries no dense labels'):
            ask()
    with pytest.raises(DatasetError, match=r'images/00/000007.jpg is missing'):
        drive.jpeg(7, 0)


# Nothing half-written.


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), DriveWriter(tmp_path, 'tiny') as writer:
        add_frames(writer)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_leaving_without_finish_leaves_nothing(tmp_path: Path) -> None:
    with DriveWriter(tmp_path, 'tiny') as writer:
        add_frames(writer)
        assert [path.name[0] for path in tmp_path.iterdir()] == ['.']
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match='outside the `with` block'):
        writer.add_image(0, 0, b'')


def test_an_old_file_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    path, _ = write_tiny_drive(tmp_path)
    old = path.read_bytes()
    with pytest.raises(DatasetError), DriveWriter(tmp_path, 'tiny') as writer:
        writer.finish(*tiny_drive())
    assert path.read_bytes() == old
    write_tiny_drive(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ['tiny.zip']


MEMBERS = [
    *(f'images/{c:02d}/{f:06d}.jpg' for f in range(3) for c in range(2)),
    'labels/00/000002.instance.png',
    'observed/000000.npy',
]


@pytest.mark.parametrize('skipped', MEMBERS)
def test_finish_wants_everything(tmp_path: Path, skipped: str, monkeypatch) -> None:
    add = DriveWriter._add
    monkeypatch.setattr(
        DriveWriter, '_add', lambda self, name, *rest: name == skipped or add(self, name, *rest)
    )
    with (
        pytest.raises(DatasetError, match=f'not finished: {skipped} was not added'),
        DriveWriter(tmp_path, 'tiny') as writer,
    ):
        add_frames(writer)
        writer.finish(*tiny_drive())
    assert list(tmp_path.iterdir()) == []


def _finish(folder: Path, name: str = 'tiny', extra: Any = None, **change: Any) -> None:
    made = tiny_drive()._replace(**change)
    with DriveWriter(folder, name) as writer:
        add_frames(writer)
        if extra is not None:
            extra(writer)
        writer.finish(*made)


def test_finish_refuses_what_does_not_fit(tmp_path: Path) -> None:
    made = tiny_drive()

    def described(**change) -> DriveDescription:
        return made.description.model_copy(update=change)

    columns = {field.name: getattr(made.objects, field.name) for field in fields(ObjectTable)}
    wide = ObjectTable(**{**columns, 'x_m': columns['x_m'].astype(np.float32)})
    cases: list[tuple[str, dict[str, Any]]] = [
        ("drive.json calls the drive 'tiny'", {'name': 'other'}),
        (
            'images/00/000003.jpg was not added',
            {'description': described(frame_stamps_ns=(1, 2, 3, 4))},
        ),
        (
            'labels/00/000002.class.png was added, but',
            {'description': described(label_frames=(0,))},
        ),
        ('ground.png lies elsewhere', {'description': described(ground_origin_m=(0.0, 0.0))}),
        ('objects/x_m.npy is float32', {'objects': wide}),
        ('poses/world_T_base.npy has shape', {'world_T_base': made.world_T_base[:2]}),
        (
            'observed/000000.npy has shape',
            {
                'description': described(
                    label_grid=made.description.label_grid.model_copy(update={'size_x': 6})
                )
            },
        ),
        (
            'labels/00/000001.class.png was added, but',
            {'extra': lambda writer: writer.add_labels(1, 0, *labels_of(1, 0))},
        ),
    ]
    for reason, change in cases:
        with pytest.raises(DatasetError, match=f'not finished: {reason}'):
            _finish(tmp_path, **change)
        assert list(tmp_path.iterdir()) == []


def test_misuse_is_a_value_error(tmp_path: Path) -> None:
    classes, instances, depth_m = labels_of(0, 0)
    with DriveWriter(tmp_path, 'tiny') as writer:
        writer.add_image(0, 0, b'x')
        with pytest.raises(ValueError, match=r'images/00/000000.jpg was added before'):
            writer.add_image(0, 0, b'x')
        with pytest.raises(ValueError, match='must be uint8 and uint16'):
            writer.add_labels(0, 0, instances, classes, depth_m)
        with pytest.raises(ValueError, match=r'must be bool \[N, Y, X\]'):
            writer.add_observed(0, np.zeros((2, 3), np.bool_))


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(DatasetError, match=r'tiny.zip: cannot be written: No such file'),
        DriveWriter(tmp_path / 'none', 'tiny'),
    ):
        pass


@pytest.mark.parametrize('room', [0, 5_000, 14_000])
def test_full_disk(tmp_path: Path, monkeypatch, room: int) -> None:
    """Writes beyond `room` bytes fail as on a full disk, wherever they come from."""
    real = os.fdopen

    def small_disk(handle: int, mode: str):
        file = real(handle, mode, buffering=0)

        class Disk:
            def __getattr__(self, name: str):
                return getattr(file, name)

            def write(self, content) -> int:
                if file.tell() + len(content) > room:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return file.write(content)

        return Disk()

    monkeypatch.setattr(writer_module.os, 'fdopen', small_disk)
    with pytest.raises(DatasetError) as caught, DriveWriter(tmp_path, 'tiny') as writer:
        add_frames(writer)
        writer.finish(*tiny_drive())
    wanted = f'{tmp_path / "tiny.zip"}: cannot be written: No space left on device'
    assert str(caught.value) == wanted
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from support.tiny_drive import add_frames, tiny_drive
from bev_trainer.dataset import writer as module
from bev_trainer.dataset.writer import DriveWriter
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == 'sync':
    module.os.fsync = die
elif sys.argv[2] == 'rename':
    module.os.replace = die
with DriveWriter(Path(sys.argv[1]), 'tiny') as writer:
    add_frames(writer)
    if sys.argv[2] == 'frames':
        writer._file.flush()
        die()
    writer.finish(*tiny_drive())
"""


@pytest.mark.parametrize('moment', ['frames', 'sync', 'rename'])
def test_a_killed_process_leaves_no_drive(tmp_path: Path, moment: str) -> None:
    root = Path(__file__).parents[2]
    paths = [root, root / 'test', root / 'bev_trainer' / 'src']
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths))}
    command = [sys.executable, '-c', KILLED, str(tmp_path), moment]
    done = subprocess.run(command, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith('.') and left.stat().st_size > 1000
    (tmp_path / '.hidden.zip').write_text('of somebody else')
    write_tiny_drive(tmp_path, 'other')
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['.hidden.zip', 'other.zip']
