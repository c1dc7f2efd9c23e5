"""Results as JSON: complete, the same bytes for the same frames, written whole or not at all."""

from __future__ import annotations

import base64
import json
import os
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.asymmetric_scene import (
    BLOB_IX,
    BLOB_IY,
    LATER_INDEX,
    STAMP_NS,
    TRACKED_ID,
    UNSEEN_IX,
    UNSEEN_IY,
    asymmetric_frame,
)
from support.bags import assert_one_line

from bev_perception.errors import BevError
from bev_perception.frame import BevFrame, CameraReport, CameraState
from bev_perception.replay.results import (
    ReplayResults,
    decode_grid,
    encode_grid,
    frame_to_dict,
    write_text_atomically,
)

CAMERAS = (
    CameraReport('front', CameraState.USED, '', STAMP_NS - 5_000_000, 0.005),
    CameraReport('rear', CameraState.MISSING, 'no image yet'),
)


def frame(**changes: object) -> BevFrame:
    return replace(asymmetric_frame(), **{'cameras': CAMERAS, **changes})  # type: ignore[arg-type]


def text_of(*frames: BevFrame) -> str:
    results = ReplayResults('tiny-1')
    for item in frames:
        results.add(item)
    return results.to_json()


def test_grids_come_back() -> None:
    rng = np.random.default_rng(1)
    for shape in ((1, 1), (3, 7), (200, 200), (0, 4)):
        cells = rng.integers(-128, 128, shape).astype(np.int8)
        decoded = decode_grid(json.loads(json.dumps(encode_grid(cells))))
        assert decoded.dtype == np.int8
        np.testing.assert_array_equal(decoded, cells)
        np.testing.assert_array_equal(decode_grid(encode_grid(cells.T)), cells.T)


def test_encoding_is_what_it_says() -> None:
    """Rows of y, in each the cells of x, one byte each; the memory lay-out does not matter."""
    cells = np.array([[-1, 0, 100], [1, 2, 3]], dtype=np.int8)
    encoded = encode_grid(cells)
    assert encoded['shape_yx'] == [2, 3]
    packed = base64.b64decode(encoded['zlib_base64'])
    assert zlib.decompress(packed) == bytes([255, 0, 100, 1, 2, 3])
    assert encode_grid(np.asfortranarray(cells)) == encoded
    assert encode_grid(np.repeat(cells, 2, axis=1)[:, ::2]) == encoded


def test_fields_of_a_frame() -> None:
    content = json.loads(json.dumps(frame_to_dict(frame()), allow_nan=False))
    assert (content['stamp_ns'], content['frame_id']) == (STAMP_NS, 'base_link')
    assert content['grid'] == {
        'x_min_m': -8.0,
        'y_min_m': -6.0,
        'resolution_m': 0.5,
        'size_x': 80,
        'size_y': 32,
    }
    assert content['cameras'] == [
        {
            'name': 'front',
            'state': 'USED',
            'detail': '',
            'stamp_ns': STAMP_NS - 5_000_000,
            'age_s': 0.005,
        },
        {
            'name': 'rear',
            'state': 'MISSING',
            'detail': 'no image yet',
            'stamp_ns': None,
            'age_s': None,
        },
    ]
    car, machine = content['objects']
    assert bytes.fromhex(car['object_id']) == TRACKED_ID
    assert (car['age_frames'], car['existence_probability']) == (7, 0.9)
    assert car['classes'][1] == {'index': 1, 'name': 'truck', 'probability': 0.05}
    assert (car['center_m'], car['size_m']) == ([20.0, 5.0, 0.8], [4.0, 2.0, 1.6])
    assert car['trajectories'][0]['start_offset_s'] == 0.5
    assert np.shape(car['trajectories'][0]['positions_m']) == (4, 3)
    assert car['trajectories'][1]['yaws_rad'] == [0.6, 0.7, 0.8, 0.9]
    assert (machine['velocity_mps'], machine['trajectories']) == (None, [])


def test_grids_of_a_frame() -> None:
    grids = frame_to_dict(frame())['grids']
    now = decode_grid(grids['occupancy'])
    expected = np.zeros((32, 80), dtype=np.int8)
    expected[UNSEEN_IY, UNSEEN_IX] = -1
    expected[BLOB_IY, BLOB_IX] = 87
    np.testing.assert_array_equal(now, expected)
    (later,) = grids['future_occupancy']
    assert decode_grid(later).ravel()[LATER_INDEX] == 65
    assert decode_grid(later)[UNSEEN_IY, UNSEEN_IX] == -1


def test_what_was_not_computed_is_absent() -> None:
    content = frame_to_dict(frame(occupancy=None, future_occupancy=None, objects=None))
    assert content['grids'] == {} and content['objects'] is None
    assert frame_to_dict(frame(objects=()))['objects'] == []


def test_equal_frames_give_equal_bytes_whatever_time_they_took() -> None:
    fast, slow = frame(stage_s={'encode': 0.01}), frame(stage_s={'encode': 7.0, 'decode': 1.0})
    assert text_of(fast, fast) == text_of(slow, slow)
    assert 'encode' not in text_of(slow)
    moved = frame(stamp_ns=STAMP_NS + 1)
    assert text_of(fast) != text_of(moved)
    content = json.loads(text_of(fast, moved))
    assert (content['format'], content['model_id']) == (1, 'tiny-1')
    assert [item['stamp_ns'] for item in content['frames']] == [STAMP_NS, STAMP_NS + 1]
    assert text_of().endswith('\n') and json.loads(text_of())['frames'] == []


def test_summary_counts_cameras_and_objects() -> None:
    results = ReplayResults('tiny-1')
    assert 'no frame' in results.summary('drive')
    late = replace(CAMERAS[1], state=CameraState.LATE)
    results.add(frame(stage_s={'encode': 0.25}))
    results.add(frame(cameras=(CAMERAS[0], late), stage_s={'encode': 0.25}))
    lines = results.summary('drive').splitlines()
    assert lines[0] == 'drive: 2 frames with model tiny-1'
    assert lines[1] == '  front: used in 2 of 2'
    assert lines[2] == '  rear: used in 0 of 2 late missing'
    assert lines[3] == '  4 objects in all'
    assert lines[-1] == '| encode | 250.0 | 250.0 | 250.0 |'


def test_files_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'new' / 'folder' / 'results.json'
    write_text_atomically(path, 'old ä\n')
    assert path.read_bytes() == 'old ä\n'.encode()
    write_text_atomically(path, 'new\n')
    assert path.read_text() == 'new\n'
    assert path.stat().st_mode & 0o777 == 0o644

    def full(source: object, target: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(BevError) as error:
        write_text_atomically(path, 'lost\n')
    assert_one_line(error.value, path, 'cannot be written: No space left')
    assert os.listdir(path.parent) == ['results.json'] and path.read_text() == 'new\n'


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    for folder in ('file', 'file/inside'):
        with pytest.raises(BevError) as error:
            write_text_atomically(tmp_path / folder / 'results.json', 'x')
        assert_one_line(error.value, 'cannot be written')
    assert os.listdir(tmp_path) == ['file']
