"""Ground truth from JSON: every field by hand, and every way of being wrong in one clear line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bags import assert_one_line, small_drive

from bev_perception.errors import BevError
from bev_perception.evaluation.truth.json_file import read_truth_file

Content = list[dict[str, Any]]


def item(**changes: Any) -> dict[str, Any]:
    entry = {
        'class_name': 'car',
        'center_m': [3.0, -2.0, 0.75],
        'length_m': 4.5,
        'width_m': 1.9,
        'height_m': 1.5,
        'yaw_rad': 0.25,
    }
    return {**entry, **changes}


def frames(*objects: dict[str, Any]) -> Content:
    return [{'stamp_ns': 1_000, 'frame_id': 'base_link', 'objects': list(objects)}]


def write(folder: Path, content: Any) -> Path:
    path = folder / 'truth.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_every_field(tmp_path: Path) -> None:
    pose = [[0.0, -1.0, 0.0, 5.0], [1.0, 0.0, 0.0, 6.0], [0.0, 0.0, 1.0, 7.0], [0, 0, 0, 1]]
    content = [
        {
            'stamp_ns': 1_561_597_450_027_900_001,
            'frame_id': 'lidar',
            'odom_T_base': pose,
            'objects': [
                item(
                    track_id=443946110, velocity_mps=[1.5, -2.5], visibility=0.4,
                    num_lidar_pts=3, num_radar_pts=2, occlusion=1, truncation=0.5,
                ),
                item(class_name='human.adult', track_id='a7', yaw_rad=4.0, num_lidar_pts=0),
            ],
        },
        {'stamp_ns': 1_561_597_450_027_900_002, 'frame_id': 'lidar', 'objects': []},
    ]  # fmt: skip
    first, second = read_truth_file(write(tmp_path, content))
    assert (first.frame_id, second.frame_id) == ('lidar', 'lidar')
    # Nanoseconds survive: they would not as floats.
    assert first.frame.stamp_ns == 1_561_597_450_027_900_001
    assert first.frame.odom_T_base is not None and second.frame.odom_T_base is None
    np.testing.assert_array_equal(first.frame.odom_T_base, pose)
    found = first.frame.objects
    assert found is not None and second.frame.objects is not None
    assert found.track == ('443946110', 'a7') and found.class_name == ('car', 'human.adult')
    np.testing.assert_array_equal(found.center_m, [[3.0, -2.0, 0.75]] * 2)
    np.testing.assert_array_equal(found.size_m, [[4.5, 1.9, 1.5]] * 2)
    np.testing.assert_allclose(found.yaw_rad, [0.25, 4.0 - 2 * math.pi])
    np.testing.assert_array_equal(found.velocity_mps, [[1.5, -2.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(found.visibility, [0.4, np.nan])
    assert found.points.tolist() == [5, 0]
    assert len(second.frame.objects) == 0 and not second.frame.layers


def test_what_is_not_said_is_unknown(tmp_path: Path) -> None:
    nan = item(velocity_mps=[math.nan, math.nan])
    (found,) = read_truth_file(write(tmp_path, frames(item(track_id=None), nan)))
    objects = found.frame.objects
    assert (
        objects is not None and objects.track == ('', '') and objects.points.tolist() == [-1] * 2
    )
    assert np.isnan(objects.velocity_mps).all() and np.isnan(objects.visibility).all()


def changed(change: Callable[[Content], Any]) -> Any:
    content = frames(item(), item(track_id=1)) + frames(item(), item(), item())
    content[1]['stamp_ns'] = 2_000
    result = change(content)
    return content if result is None else result


def put(index: int, field: str, value: Any) -> Callable[[Content], Any]:
    return lambda content: content[index].__setitem__(field, value)


def put_in(frame: int, row: int, field: str, value: Any) -> Callable[[Content], Any]:
    return lambda content: content[frame]['objects'][row].__setitem__(field, value)


WRONG: dict[str, tuple[Callable[[Content], Any], tuple[str, ...]]] = {
    'no JSON': (lambda c: '[{"stamp', ('is not JSON',)),
    'no list': (lambda c: {'frames': c}, ('must be a list of frames',)),
    'no frames': (lambda c: [], ('holds no frame',)),
    'frame is a number': (lambda c: [c[0], 3], ('frame 1', 'named fields')),
    'no stamp': (lambda c: c[1].pop('stamp_ns') and None, ('frame 1, stamp_ns', 'is missing')),
    'stamp in seconds': (put(0, 'stamp_ns', 1.5), ('frame 0, stamp_ns', 'whole number')),
    'stamp as text': (put(0, 'stamp_ns', '1000'), ('frame 0, stamp_ns', 'whole number')),
    'stamps fall': (put(1, 'stamp_ns', 1_000), ('frame 1', 'stamp_ns 1000', 'greater')),
    'no frame id': (put(1, 'frame_id', ''), ('frame 1, frame_id', 'empty')),
    'unknown field': (put(0, 'ego', 1), ('frame 0, ego', 'not a known field')),
    'pose of three rows': (put(0, 'odom_T_base', [[1.0, 0, 0, 0]] * 3), ('frame 0, odom_T_base',)),
    'pose mirrored': (
        put(0, 'odom_T_base', np.diag([1.0, -1, 1, 1]).tolist()), ('frame 0', 'rotation'),
    ),
    'pose scaled': (
        put(0, 'odom_T_base', np.diag([1.01, 1, 1, 1]).tolist()), ('frame 0', 'rotation'),
    ),
    'pose transposed': (
        put(0, 'odom_T_base', (np.eye(4) + np.eye(4, k=-3)).tolist()), ('frame 0', 'rotation'),
    ),
    'no class': (
        lambda c: c[1]['objects'][2].pop('class_name') and None,
        ('frame 1, objects[2].class_name', 'is missing'),
    ),
    'misspelt field': (
        put_in(1, 2, 'velocity', [1.0, 2.0]), ('frame 1, objects[2].velocity', 'not a known'),
    ),
    'centre of two': (put_in(1, 2, 'center_m', [1.0, 2.0]), ('frame 1, objects[2].center_m',)),
    'centre is NaN': (
        put_in(1, 2, 'center_m', [1.0, math.nan, 0.0]),
        ('frame 1, objects[2].center_m[1]', 'finite'),
    ),
    'text as number': (
        put_in(1, 2, 'yaw_rad', '0.1'), ('frame 1, objects[2].yaw_rad', 'must be a number'),
    ),
    'no length': (put_in(0, 1, 'length_m', 0.0), ('frame 0, objects[1].length_m', '0')),
    'endless velocity': (
        put_in(0, 1, 'velocity_mps', [math.inf, 0.0]),
        ('frame 0, objects[1].velocity_mps[0]', 'finite'),
    ),
    'visibility in per cent': (
        put_in(0, 1, 'visibility', 80.0), ('frame 0, objects[1].visibility', '1'),
    ),
    'points below nothing': (
        put_in(0, 1, 'num_lidar_pts', -1), ('frame 0, objects[1].num_lidar_pts', '0'),
    ),
    'track is a list': (put_in(0, 1, 'track_id', [1]), ('frame 0, objects[1].track_id',)),
    'track twice': (put_in(0, 0, 'track_id', '1'), ('frame 0', 'track_id 1', 'twice')),
}  # fmt: skip


@pytest.mark.parametrize('name', WRONG)
def test_wrong_files(name: str, tmp_path: Path) -> None:
    change, words = WRONG[name]
    path = write(tmp_path, changed(change))
    with pytest.raises(BevError) as error:
        read_truth_file(path)
    assert_one_line(error.value, path, *words)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / 'none.json', tmp_path):
        with pytest.raises(BevError) as error:
            read_truth_file(path)
        assert_one_line(error.value, path, 'cannot be read')


def test_files_of_recordings(real_data: Path, tmp_path: Path) -> None:
    dgp = read_truth_file(real_data / 'dgp_scene_02_objects.json')
    assert [len(f.frame.objects or ()) for f in dgp] == [13, 13, 13]
    assert all(f.frame.odom_T_base is not None for f in dgp)
    (single,) = read_truth_file(real_data / 'nuscenes_frame_objects.json')
    found = single.frame.objects
    assert found is not None and len(found) == 65
    assert np.isnan(found.velocity_mps).any() and np.isfinite(found.velocity_mps).any()
    assert found.points.min() >= 0

    drive = small_drive((0.0, 0.0, 0.0), 0.3)
    path = write(tmp_path, drive.truth())
    for framed, entry in zip(read_truth_file(path), drive.truth(), strict=True):
        objects = framed.frame.objects
        assert objects is not None and len(objects) == len(entry['objects']) > 5
        assert objects.track == tuple(str(o['track_id']) for o in entry['objects'])
        np.testing.assert_array_equal(
            objects.velocity_mps, [o['velocity_mps'] for o in entry['objects']]
        )
