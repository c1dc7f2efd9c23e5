"""A camera that fails costs its own field of view, is named, and recovers by itself."""

# ruff: noqa: E402
from __future__ import annotations

import array

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')

from support.node_harness import NodeHarness, camera_states, info_msg, stamp_of

from bev_perception.geometry.visibility import cell_visibility
from bev_perception.model.folder import load_model
from bev_perception.replay.result_messages import grid_from_msg

BROKEN = 'camera_2'
OTHERS = {f'camera_{i}' for i in (0, 1, 3, 4, 5)}


@pytest.fixture
def harness(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        yield harness


def wrong_size(message):
    message.width //= 2
    message.step //= 2
    message.data = message.data[: len(message.data) // 2]
    return message


def garbage(message):
    message.data = array.array('B', bytes(7))
    return message


def unknown_encoding(message):
    message.encoding = 'plasma16'
    return message


def seen_only_by_broken(model):
    """Cells that the broken camera sees and no other one, from the geometry alone."""
    from support.sample_drive.rig import camera_ring

    from bev_perception.runtime.preprocess import InputRemaps

    section = load_model(model).config
    remaps = InputRemaps(section.input.width, section.input.height, section.input.horizon_share)
    cameras = [remaps.get(c) for c in camera_ring(6, 64, 48, hfov_deg=75.0)]
    seen = cell_visibility(
        [r.target for r in cameras],
        section.head_grid('occupancy'),
        valid=[r.valid for r in cameras],
    )
    return seen[2] & ~np.delete(seen, 2, axis=0).any(axis=0), seen.any(axis=0)


def assert_only_broken_is_out(harness, frame, state, model):
    status = harness.status_at(stamp_of(frame))
    assert camera_states(status) == {BROKEN: state} | dict.fromkeys(OTHERS, 'USED')
    _, cells = grid_from_msg(harness.grid_at(stamp_of(frame)))
    lost, seen = seen_only_by_broken(model)
    assert lost.sum() > 10
    assert (cells[lost] == -1).all()
    assert (cells[seen & ~lost] >= 0).all()
    assert (cells[~seen] == -1).all()


def assert_all_used(harness, frame, model):
    assert set(camera_states(harness.status_at(stamp_of(frame))).values()) == {'USED'}
    _, cells = grid_from_msg(harness.grid_at(stamp_of(frame)))
    np.testing.assert_array_equal(cells >= 0, seen_only_by_broken(model)[1])


@pytest.mark.parametrize(
    ('edit', 'state', 'reason'),
    [
        (unknown_encoding, 'WRONG_ENCODING', 'plasma16'),
        (wrong_size, 'WRONG_SIZE', '32'),
        (garbage, 'WRONG_SIZE', '7'),
    ],
)
def test_images_that_cannot_be_used(harness, tiny_model, edit, state, reason):
    harness.step(0)
    assert_all_used(harness, 0, tiny_model)
    for frame in range(1, 6):
        status = harness.step(frame, edit={BROKEN: edit})
        assert_only_broken_is_out(harness, frame, state, tiny_model)
        assert reason in status.cameras[2].detail
    assert state.lower() in harness.diagnosis(BROKEN, state.lower()).message
    harness.step(6)
    assert_all_used(harness, 6, tiny_model)
    harness.diagnosis(BROKEN, 'used')


def test_camera_stops_and_comes_back(harness, tiny_model):
    harness.step(0)
    for frame in range(1, 6):
        status = harness.step(frame, only=OTHERS)
        assert_only_broken_is_out(harness, frame, 'MISSING', tiny_model)
        assert 'no image for' in status.cameras[2].detail
    harness.diagnosis(BROKEN, 'missing: no image for')
    for frame in range(6, 10):
        harness.step(frame)
    assert_all_used(harness, 9, tiny_model)


def test_camera_starts_late(harness, tiny_model):
    for frame in range(5):
        status = harness.step(frame, only=OTHERS)
        assert status.cameras[2].detail == 'no image yet'
    harness.diagnosis(BROKEN, 'no image yet')
    for frame in range(5, 9):
        harness.step(frame)
    assert_all_used(harness, 8, tiny_model)


def test_camera_is_half_a_second_late_and_recovers(harness, tiny_model):
    """Its image of frame k arrives after those of frame k + 5, at 10 Hz."""
    for frame in range(5):
        harness.step(frame, only=OTHERS)
    for frame in range(5, 12):
        harness.send(frame - 5, only={BROKEN})
        harness.step(frame, only=OTHERS)
        if frame > 6:
            assert_only_broken_is_out(harness, frame, 'LATE', tiny_model)
    late = harness.status_at(stamp_of(11)).cameras[2]
    assert late.has_image
    assert late.age_s == pytest.approx(0.5)
    harness.diagnosis(BROKEN, 'late')
    for frame in range(12, 16):
        harness.step(frame)
    assert_all_used(harness, 15, tiny_model)


def test_camera_without_calibration_until_it_comes(harness, tiny_model):
    info = harness.infos.pop(BROKEN)
    harness.infos[BROKEN] = Silent()
    for frame in range(4):
        status = harness.step(frame)
        assert_only_broken_is_out(harness, frame, 'NO_CAMERA_INFO', tiny_model)
        assert f'/{BROKEN}/camera_info' in status.cameras[2].detail
    harness.infos[BROKEN] = info
    harness.step(4)
    for frame in range(5, 7):
        harness.step(frame)
    assert_all_used(harness, 6, tiny_model)


def test_impossible_calibration_is_named(harness, tiny_model):
    harness.step(0)
    broken = info_msg(harness.cameras[2], stamp_of(1))
    broken.k = np.zeros(9)
    broken.p = np.zeros(12)
    harness.infos[BROKEN].publish(broken)
    harness.infos[BROKEN] = Silent()
    for frame in range(1, 4):
        harness.step(frame)
    assert_only_broken_is_out(harness, 3, 'BAD_CALIBRATION', tiny_model)
    assert 'calibrate the camera' in harness.status_at(stamp_of(3)).cameras[2].detail


def test_all_cameras_dark_publishes_a_grid_of_unknowns(harness, tiny_model):
    status = harness.step(0, edit=dict.fromkeys(OTHERS | {BROKEN}, unknown_encoding))
    assert set(camera_states(status).values()) == {'WRONG_ENCODING'}
    assert status.observed_share == 0.0
    _, cells = grid_from_msg(harness.grid_at(stamp_of(0)))
    assert (cells == -1).all()


class Silent:
    """A publisher that publishes nothing."""

    topic_name = ''

    def publish(self, message):
        """Swallows the message."""
