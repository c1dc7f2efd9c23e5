"""Recordings: what is read from good ones, and one line for every way to be broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from bev_trainer.dataset.bag.typestore import recording_types
from rosbags.rosbag2 import StoragePlugin, Writer
from support.bags import MCAP, SQLITE3, assert_one_line, storage_file, write_bag

from bev_perception.errors import BagError
from bev_perception.replay.bag_reader import BagMessage, BagReader, Topic

START_NS = 1_700_000_000_000_000_000
STEP_NS = 250_000_000
COUNT = 8
NOISE = np.random.default_rng(0).integers(0, 256, (COUNT, 250_000), dtype=np.uint8)
IMAGE, TEXT = 'sensor_msgs/msg/CompressedImage', 'std_msgs/msg/String'


def messages(image_bytes: int = 10_000) -> list[tuple[str, int, object]]:
    """Eight images, one every quarter of a second, and a text at the third and sixth."""
    types = recording_types().types
    stamp = types['builtin_interfaces/msg/Time'](7, 8)
    recorded: list[tuple[str, int, object]] = []
    for index in range(COUNT):
        header = types['std_msgs/msg/Header'](stamp, f'frame {index}')
        image = types[IMAGE](header, 'jpeg', NOISE[index, :image_bytes])
        recorded.append(('/image', START_NS + index * STEP_NS, image))
        if index in (2, 5):
            recorded.append(('/text', START_NS + index * STEP_NS + 1, types[TEXT](f'at {index}')))
    return recorded


@pytest.fixture(scope='module', params=['mcap', 'mcap-zstd', 'sqlite3'])
def bag(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    plugin = SQLITE3 if request.param == 'sqlite3' else MCAP
    folder = tmp_path_factory.mktemp('bags') / 'drive'
    return write_bag(folder, messages(), plugin, compressed=request.param == 'mcap-zstd')


def copy_of(bag: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bag, tmp_path / 'copy'))


def read_all(path: Path) -> list[BagMessage]:
    with BagReader(path) as reader:
        found = list(reader.messages())
        for message in found:
            reader.decode(message)
    return found


def refusal(path: Path, *words: object) -> None:
    with pytest.raises(BagError) as error:
        read_all(path)
    assert_one_line(error.value, path, *words)


def test_topics_and_messages(bag: Path) -> None:
    with BagReader(bag) as reader:
        assert reader.topics() == (Topic('/image', IMAGE, 8), Topic('/text', TEXT, 2))
        assert reader.duration_s() == pytest.approx(7 * 0.25)
        found = list(reader.messages())
        assert [m.log_ns - START_NS for m in found if m.topic == '/image'] == [
            index * STEP_NS for index in range(COUNT)
        ]
        assert [m.log_ns for m in found] == sorted(m.log_ns for m in found)
        fourth = reader.decode(found[4])
        assert (found[4].topic, found[4].type, fourth.header.frame_id) == (
            '/image',
            IMAGE,
            'frame 3',
        )
        assert (fourth.header.stamp.sec, fourth.header.stamp.nanosec) == (7, 8)
        np.testing.assert_array_equal(fourth.data, NOISE[3, :10_000])


def test_only_the_topics_asked_for(bag: Path) -> None:
    with BagReader(bag) as reader:
        texts = list(reader.messages({'/text', '/absent'}))
        assert [reader.decode(m).data for m in texts] == ['at 2', 'at 5']
        assert list(reader.messages({'/absent'})) == []
        assert list(reader.messages(())) == []


def test_the_file_itself_inside_and_outside_of_a_folder(bag: Path, tmp_path: Path) -> None:
    whole = read_all(bag)
    assert len(whole) == 10
    inside = storage_file(bag)
    assert read_all(inside) == whole
    alone = tmp_path / f'alone{inside.suffix}'
    shutil.copy(inside, alone)
    assert read_all(alone) == whole


def test_missing_path(tmp_path: Path) -> None:
    refusal(tmp_path / 'absent', 'no such bag')
    refusal(tmp_path / 'absent' / 'bag.mcap', 'no such bag')


def test_folder_without_metadata(bag: Path, tmp_path: Path) -> None:
    copy = copy_of(bag, tmp_path)
    (copy / 'metadata.yaml').unlink()
    refusal(copy, 'not a rosbag2 folder', 'metadata.yaml')
    assert len(read_all(storage_file(copy))) == 10
    (tmp_path / 'empty').mkdir()
    refusal(tmp_path / 'empty', 'not a rosbag2 folder')


def test_folder_without_its_file(bag: Path, tmp_path: Path) -> None:
    copy = copy_of(bag, tmp_path)
    storage_file(copy).unlink()
    refusal(copy, 'missing')


@pytest.mark.parametrize(
    'text',
    [
        '',
        '[',
        'a: [1\nb: 2\n',
        'hello\nworld\n',
        'rosbag2_bagfile_information: 5',
        'rosbag2_bagfile_information:\n  version: 99\n',
        'rosbag2_bagfile_information:\n  version: 5\n',
        '\x00\x01',
    ],
)
def test_bad_metadata(bag: Path, tmp_path: Path, text: str) -> None:
    copy = copy_of(bag, tmp_path)
    (copy / 'metadata.yaml').write_text(text)
    refusal(copy, 'cannot be opened')
    (copy / 'metadata.yaml').write_bytes(b'\xff\xfe\x80')
    refusal(copy, 'cannot be opened')


def test_files_that_are_no_bag(tmp_path: Path) -> None:
    for name in ('notes.txt', 'bag.mcap', 'bag.db3', 'bag.bag', 'plain'):
        for content in (b'', b'hello', bytes(range(256)) * 40):
            path = tmp_path / name
            path.write_bytes(content)
            refusal(path, 'cannot be opened')


@pytest.mark.parametrize('share', [0.0, 1e-5, 1e-3, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file(bag: Path, tmp_path: Path, share: float) -> None:
    copy = copy_of(bag, tmp_path)
    path = storage_file(copy)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refusal(copy)
    refusal(path)


@pytest.mark.parametrize('size', [1, 8, 400])
def test_overwritten_bytes_fail_cleanly_or_not_at_all(
    bag: Path, tmp_path: Path, size: int
) -> None:
    """Noise over noise cannot be noticed; whatever is must be a `BagError`."""
    copy = copy_of(bag, tmp_path)
    path = storage_file(copy)
    content = path.read_bytes()
    rng = np.random.default_rng(size)
    ends = rng.integers(0, 5000, 8)
    offsets = [0, 4, 20, *ends, *(len(content) - 1 - ends), *rng.integers(0, len(content), 8)]
    failures = 0
    for offset in offsets:
        broken = bytearray(content)
        broken[offset : offset + size] = rng.bytes(size)
        path.write_bytes(broken[: len(content)])
        try:
            read_all(copy)
        except BagError as error:
            assert_one_line(error, copy)
            failures += 1
    assert failures >= 3


@pytest.mark.parametrize('plugin', [MCAP, SQLITE3])
def test_what_lies_before_the_damage_is_read(tmp_path: Path, plugin: StoragePlugin) -> None:
    # Two megabytes, of which MCAP makes two chunks: five images, and three.
    bag = write_bag(tmp_path / 'bag', messages(250_000), plugin, compressed=plugin is MCAP)
    path = storage_file(bag)
    content = bytearray(path.read_bytes())
    first, last = (int(share * len(content)) for share in (0.7, 0.9))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    found: list[BagMessage] = []
    with BagReader(bag) as reader, pytest.raises(BagError) as error:
        for message in reader.messages({'/image'}):
            found.append(message)
            np.testing.assert_array_equal(reader.decode(message).data, NOISE[len(found) - 1])
    assert 0 < len(found) < COUNT
    assert_one_line(error.value, bag, f'is damaged after message {len(found)}: ')


def test_message_that_is_not_of_its_type(tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    with Writer(bag, version=9, storage_plugin=MCAP) as writer:
        connection = writer.add_connection('/text', TEXT, typestore=recording_types())
        # A text whose length goes far beyond its end.
        writer.write(connection, 1, b'\x00\x01\x00\x00\xff\xff\xff\x7fabc')
    refusal(bag, f'holds a {TEXT} on /text that cannot be read')


def test_closed_however_the_block_ends(bag: Path) -> None:
    with pytest.raises(RuntimeError, match='from inside'), BagReader(bag) as reader:
        raise RuntimeError('from inside')
    assert reader.topics() == ()
