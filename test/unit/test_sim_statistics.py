"""Statistics of data sets, against a drive that was counted by hand."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from bev_trainer.commands import statistics as command
from bev_trainer.dataset.object_table import ObjectTable
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.writer import DriveWriter
from bev_trainer.errors import DatasetError
from bev_trainer.look import statistics as s
from bev_trainer.look.statistics import Statistics, drive_statistics, histogram, total
from bev_trainer.look.statistics_report import as_json, as_table, observed_share
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_drive import CELLS, STAMPS_NS, jpeg_of, labels_of, tiny_drive

from bev_perception.geometry.pose import pose_from_yaw


def the_table() -> ObjectTable:
    """A car, a pedestrian and a bicycle at three frames, two cameras."""
    present = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0]], np.bool_)
    x_m = np.array([[10.0, 10.0, 10.0], [0.0, 5.0, 5.2], [1.0, 2.0, 0.0]])
    y_m = np.array([[30.0, 31.0, 32.0], [0.0, 20.0, 20.0], [0.0, 0.0, 0.0]])
    velocity = np.zeros((3, 3, 2), np.float32)
    velocity[0] = (3.0, 4.0)  # the car: 5 m/s; the pedestrian stands
    velocity[2, :2] = (0.6, 0.8)  # the bicycle: 1 m/s
    visible = np.zeros((3, 3, 2), np.uint32)
    visible[0] = [[10, 0], [20, 20], [0, 0]]  # the car is hidden at the last frame
    visible[1, 1] = [0, 7]
    silhouette = np.zeros((3, 3, 2), np.float32)
    silhouette[0] = [[40, 0], [40, 20], [40, 0]]  # shares 0.25, 0.667, 0
    silhouette[1, 1:] = [[0, 7], [0, 0]]  # share 1; then outside all images
    silhouette[2, 0] = [5, 5]  # the bicycle is never seen, though once in view
    zeros = np.zeros((3, 3))
    acceleration = np.zeros((3, 3, 2), np.float32)
    return ObjectTable(present, x_m, y_m, zeros, velocity, acceleration, visible, silhouette)


def write_drive(folder: Path, name: str = 'counted', split: str = 'train') -> Path:
    drive = tiny_drive(name)
    # The ego vehicle drives 1.05 m and then 2.05 m north in 0.1 s each, turns left by 3.1 degrees.
    poses = np.stack(
        [
            pose_from_yaw(10.0, 20.0, 0.0, math.pi - 0.02),
            pose_from_yaw(10.0, 21.05, 0.0, -math.pi - 0.02 + math.radians(3.1)),
            pose_from_yaw(10.0, 23.1, 0.0, -math.pi - 0.02 + math.radians(3.1)),
        ]
    )
    observed = np.zeros((2, *CELLS), np.bool_)
    observed[0, 0, :4] = True
    observed[1, 0, 3:] = True  # 5 of 35 cells by some camera
    description = drive.description.model_copy(update={'split': split, 'network': f'net_{split}'})
    with DriveWriter(folder, name) as writer:
        for frame in range(len(STAMPS_NS)):
            for camera in range(2):
                writer.add_image(frame, camera, jpeg_of(frame, camera))
                if frame in description.label_frames:
                    writer.add_labels(frame, camera, *labels_of(frame, camera))
            if frame in description.label_frames:
                writer.add_observed(frame, observed | (frame > 0))
        own = np.repeat(poses[:, None], 2, axis=1)
        writer.finish(description, poses, own, the_table(), drive.ground)
    return folder / f'{name}.zip'


@pytest.fixture(scope='module')
def drive_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp('statistics'))


@pytest.fixture(scope='module')
def counted(drive_file: Path) -> Statistics:
    return drive_statistics(drive_file)


def bins(counts: np.ndarray) -> dict[int, int]:
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}


def by_class(counts: np.ndarray) -> dict[str, int]:
    return {s.CLASS_NAMES[index]: count for index, count in bins(counts).items()}


def test_drives_frames_and_images(counted: Statistics) -> None:
    assert (counted.drives, counted.frames, counted.label_frames, counted.images) == (1, 3, 2, 6)
    assert counted.seconds == pytest.approx(0.3)
    assert counted.networks == {'net_train'}
    assert counted.split_networks == {'train': {'net_train'}}
    assert (dict(counted.weather), dict(counted.rigs)) == ({'clear': 1}, {'rig': 1})


def test_road_users_and_boxes_by_class(counted: Statistics) -> None:
    assert by_class(counted.road_users) == {'car': 1, 'bicycle': 1, 'pedestrian': 1}
    assert by_class(counted.seen_road_users) == {'car': 1, 'pedestrian': 1}
    assert by_class(counted.boxes) == {'car': 3, 'bicycle': 2, 'pedestrian': 2}
    assert by_class(counted.seen_boxes) == {'car': 2, 'pedestrian': 1}


def test_distances_and_speeds_of_what_is_seen(counted: Statistics) -> None:
    # The car: from (10, 20) to (10, 30), 10 m, and from (10, 21.05) to (10, 31), 9.95 m.
    # The pedestrian at (5, 20) is sqrt(25 + 1.05 * 1.05) = 5.1 m away.
    assert [bins(row) for row in counted.distance] == [{1: 1, 2: 1}, {}, {1: 1}]
    # Standing is the first bin, then up to 1 m/s, then whole metres per second.
    assert s.SPEED_MPS[[0, 1, 2, 6]].tolist() == [0.0, 0.1, 1.0, 5.0]
    assert [bins(row) for row in counted.speed] == [{6: 2}, {}, {0: 1}]


def test_visibility_of_what_is_in_view(counted: Statistics) -> None:
    # Bins: nothing, then tenths: 0.25 is in the third tenth, 40 of 60 in the seventh.
    vehicle, two_wheeler, pedestrian = (bins(row) for row in counted.visibility)
    assert vehicle == {0: 1, 3: 1, 7: 1}
    assert two_wheeler == {0: 1}
    assert pedestrian == {10: 1}


def test_frames(counted: Statistics) -> None:
    assert bins(counted.per_frame) == {0: 3}  # 1, 2 and 0 are seen
    assert bins(counted.ego_speed) == {10: 1, 20: 1}
    # 3.1 degrees in 0.1 s, across the seam of the circle: 31 deg/s, the 17th bin from -50 on.
    assert bins(counted.ego_yaw_rate) == {10: 1, 16: 1}
    assert (counted.observed_cells, counted.cells) == (5 + 35, 70)
    assert bins(counted.observed) == {2: 1, 19: 1}  # 0.143 and 1
    assert observed_share(counted) == pytest.approx(40 / 70)


def test_counts_of_drives_add_up(drive_file: Path, tmp_path: Path) -> None:
    other = write_drive(tmp_path, 'other', split='val')
    parts = [drive_statistics(path) for path in (drive_file, other, other)]
    summed = total(parts)
    assert (summed.drives, summed.frames, summed.observed_cells) == (3, 9, 120)
    assert summed.networks == {'net_train', 'net_val'}
    assert summed.split_networks == {'train': {'net_train'}, 'val': {'net_val'}}
    assert dict(summed.splits) == {'train': 1, 'val': 2}
    assert np.array_equal(summed.distance, 3 * parts[0].distance)
    assert parts[0].drives == 1  # what is added stays as it was
    assert as_json(summed) == as_json(total(parts[::-1]))


def test_a_drive_without_road_users_or_motion(tmp_path: Path) -> None:
    drive = tiny_drive('empty')
    description = drive.description.model_copy(
        update={'objects': (), 'label_frames': (), 'frame_stamps_ns': STAMPS_NS[:1]}
    )
    vectors, pixels = np.zeros((0, 1, 2), np.float32), np.zeros((0, 1, 2), np.float32)
    states = np.zeros((0, 1))
    table = ObjectTable(
        states.astype(np.bool_), states, states, states, vectors, vectors,
        pixels.astype(np.uint32), pixels,
    )  # fmt: skip
    with DriveWriter(tmp_path, 'empty') as writer:
        for camera in range(2):
            writer.add_image(0, camera, jpeg_of(0, camera))
        poses = drive.world_T_base[:1]
        writer.finish(description, poses, np.repeat(poses[:, None], 2, 1), table, drive.ground)
    counted = drive_statistics(tmp_path / 'empty.zip')
    assert (counted.frames, counted.images, int(counted.boxes.sum())) == (1, 2, 0)
    assert bins(counted.per_frame) == {0: 1}
    assert bins(counted.ego_speed) == {}
    assert 'observed cells: 0.0%' in as_table(counted)


@given(st.lists(st.floats(-1e3, 1e3), max_size=50))
def test_histograms_lose_nothing_and_agree_with_numpy(values: list[float]) -> None:
    counts = histogram(np.array(values), s.DISTANCE_M)
    assert counts.sum() == len(values)
    inner = [value for value in values if 0.0 <= value < 115.0]
    assert counts[:-1].sum() - np.sum(np.array(values) < 0.0) == len(inner)
    expected, _ = np.histogram(inner, s.DISTANCE_M)
    assert counts[1:-1].tolist() == expected[1:-1].tolist()


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_prints_and_writes_numbers(
    drive_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'new' / 'numbers.json'
    assert command.main(arguments(str(drive_file), '--json', str(path))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == '6 images at 3 frames, 2 frames with dense labels'
    assert 'splits: train 1 on 1 networks' in lines
    assert next(line for line in lines if line.startswith('car')).split()[1:] == list('1132')
    assert lines[-1].split() == ['all', '3', '2', '7', '3']
    numbers = json.loads(path.read_text())
    assert numbers['classes']['car'] == {
        'road_users': 1, 'seen_road_users': 1, 'boxes': 3, 'seen_boxes': 2,
    }  # fmt: skip
    assert numbers['distance_m']['vehicle'][:3] == [0, 1, 1]
    assert len(numbers['distance_m']['edges']) == len(numbers['distance_m']['vehicle']) + 1
    assert numbers['hours'] == pytest.approx(0.3 / 3600, abs=1e-6)


def test_the_figure_is_16_to_10_and_the_same_every_time(drive_file: Path, tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    for name in ('a.png', 'b.png'):
        assert command.main(arguments(str(drive_file), '-o', str(tmp_path / name))) == 0
    picture = cv2.imread(str(tmp_path / 'a.png'))
    assert picture is not None and picture.shape == (1200, 1920, 3)
    assert picture.std() > 10
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()


def test_mistakes_are_one_line(
    drive_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    with pytest.raises(DatasetError, match='needs matplotlib') as caught:
        command.main(arguments(str(drive_file), '-o', str(tmp_path / 'a.png')))
    assert '\n' not in str(caught.value)
    (tmp_path / 'file').touch()
    with pytest.raises(DatasetError, match='cannot be written'):
        command.main(arguments(str(drive_file), '--json', str(tmp_path / 'file' / 'x.json')))
    with pytest.raises(DatasetError, match='no such folder'):
        command.main(arguments(str(tmp_path / 'none')))


def test_no_image_is_read(drive_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError('statistics need no images')

    for name in ('jpeg', 'image', 'classes', 'instances', 'depth_m'):
        monkeypatch.setattr(Drive, name, refuse)
    assert drive_statistics(drive_file).images == 6
