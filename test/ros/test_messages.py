"""Own messages and the occupancy grid: conventions by hand, the round trip, and what it loses.

The scene of `asymmetric_frame` looks different under every flip, transposition and rotation.
"""

# ruff: noqa: E402
from __future__ import annotations

import array
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')

import bev_perception.msg as bev_msgs
from geometry_msgs.msg import Quaternion
from support.asymmetric_scene import (
    BLOB_INDEX,
    BLOB_IX,
    BLOB_IY,
    GRID,
    LATER_INDEX,
    OBJECT_CLASSES,
    STAMP_NS,
    TRACKED_ID,
    UNSEEN_INDEX,
    UNSEEN_IX,
    UNSEEN_IY,
    ahead_left,
    asymmetric_frame,
    behind_right,
)
from support.wire import check_fields, float32, over_the_wire

from bev_perception.errors import ConfigError
from bev_perception.frame import (
    MOVING_SPEED_MPS,
    BevFrame,
    CameraReport,
    CameraState,
    ClassScore,
)
from bev_perception.geometry.grid import BevGrid
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.replay import result_messages
from bev_perception.ros import messages


def test_stamps_and_durations_are_whole_nanoseconds() -> None:
    stamp = messages.time_msg(STAMP_NS)
    assert (stamp.sec, stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert stamp_to_ns(stamp) == STAMP_NS
    back = messages.duration_msg(-0.5)
    assert (back.sec, back.nanosec) == (-1, 500_000_000)
    assert result_messages.duration_s(back) == -0.5
    assert result_messages.duration_s(messages.duration_msg(1.0 + 4e-10)) == 1.0


@given(st.integers(-(2**31) * 10**9, (2**31 - 1) * 10**9))
def test_every_duration_of_the_message_comes_back(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert abs(result_messages.duration_s(messages.duration_msg(seconds)) - seconds) <= 1e-9


def test_pose_of_30_degrees() -> None:
    pose = messages.pose_msg((20.0, 5.0, 0.8), math.pi / 6)
    assert (pose.position.x, pose.position.y, pose.position.z) == (20.0, 5.0, 0.8)
    q = pose.orientation
    assert (q.x, q.y) == (0.0, 0.0)
    assert (q.z, q.w) == pytest.approx((0.2588190451, 0.9659258263), abs=1e-10)


@given(st.floats(-math.pi, math.pi, exclude_max=True))
def test_yaw_survives_the_quaternion(yaw: float) -> None:
    found = result_messages.yaw_from_msg(messages.pose_msg((0, 0, 0), yaw).orientation)
    assert -math.pi <= found < math.pi
    assert math.remainder(found - yaw, 2 * math.pi) == pytest.approx(0.0, abs=1e-15)


def test_yaw_of_a_tilted_pose_is_the_heading_of_its_x_axis() -> None:
    for rotation in Rotation.random(50, np.random.default_rng(3)):
        x, y, z, w = rotation.as_quat().tolist()
        axis = rotation.apply([1.0, 0.0, 0.0])
        found = result_messages.yaw_from_msg(Quaternion(x=x, y=y, z=z, w=w))
        assert found == pytest.approx(math.atan2(axis[1], axis[0]), abs=1e-9)


def test_objects_of_the_asymmetric_scene_by_hand() -> None:
    msg = messages.object_array_msg(asymmetric_frame())
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert (msg.header.frame_id, msg.model_id) == ('base_link', 'nano@1234')
    car, machine = msg.objects
    assert bytes(car.object_id.uuid) == TRACKED_ID
    assert car.age_frames == 7
    center = car.pose.pose.position
    assert (center.x, center.y, center.z) == (20.0, 5.0, 0.8)
    assert car.pose.pose.orientation.z == pytest.approx(math.sin(math.radians(15)))
    assert (car.dimensions.x, car.dimensions.y, car.dimensions.z) == (4.0, 2.0, 1.6)
    linear = car.twist.twist.linear
    assert (linear.x, linear.y, linear.z) == pytest.approx((3.4641016, 2.0, 0.0))
    assert car.has_twist and car.motion_state == bev_msgs.BevObject.MOTION_MOVING
    assert not car.has_pose_covariance and not car.has_twist_covariance
    assert car.orientation_availability == bev_msgs.BevObject.ORIENTATION_AVAILABLE
    assert [(c.class_index, c.class_name) for c in car.classes] == [(0, 'car'), (1, 'truck')]
    path = car.trajectories[0]
    assert (path.time_step.nanosec, path.start_offset.nanosec) == (500_000_000, 500_000_000)
    assert len(path.poses) == 4
    first, last = path.poses[0].position, path.poses[3].position
    assert (first.x, first.y) == pytest.approx((21.7320508, 6.0))
    assert (last.x, last.y) == pytest.approx((26.9282032, 9.0))
    assert not any(machine.object_id.uuid) and machine.age_frames == 0
    assert (machine.pose.pose.position.x, machine.pose.pose.position.y) == (-7.0, -4.0)
    assert not machine.has_twist and machine.trajectories == []
    assert machine.motion_state == bev_msgs.BevObject.MOTION_UNKNOWN


def test_motion_state_changes_at_the_documented_speed() -> None:
    speed = MOVING_SPEED_MPS
    assert messages.motion_state((0.0, -speed)) == bev_msgs.BevObject.MOTION_MOVING
    assert messages.motion_state((0.99 * speed, 0.0)) == bev_msgs.BevObject.MOTION_STATIONARY
    assert messages.motion_state((0.8 * speed, 0.8 * speed)) == bev_msgs.BevObject.MOTION_MOVING
    assert messages.motion_state(None) == bev_msgs.BevObject.MOTION_UNKNOWN


def test_objects_lose_nothing_over_the_wire_but_float32_and_instance() -> None:
    sent = ahead_left(), behind_right()
    received = result_messages.objects_from_msg(
        over_the_wire(messages.object_array_msg(asymmetric_frame()))
    )
    assert len(received) == len(sent)
    for before, after in zip(sent, received, strict=True):
        narrowed = replace(
            before,
            instance=0,
            existence_probability=float32(before.existence_probability),
            classes=tuple(replace(c, probability=float32(c.probability)) for c in before.classes),
        )
        assert after.yaw_rad == pytest.approx(before.yaw_rad, abs=1e-15)
        same: Any = {'yaw_rad': before.yaw_rad, 'trajectories': ()}
        assert replace(after, **same) == replace(narrowed, **same)
        assert len(after.trajectories) == len(before.trajectories)
        for path, back in zip(before.trajectories, after.trajectories, strict=True):
            assert back.probability == float32(path.probability) != path.probability
            assert (back.time_step_s, back.start_offset_s) == (0.5, 0.5)
            np.testing.assert_array_equal(back.positions_m, path.positions_m)
            np.testing.assert_allclose(back.yaws_rad, path.yaws_rad, atol=1e-15, rtol=0)
    assert sent[0].existence_probability != received[0].existence_probability
    assert (sent[0].instance, received[0].instance) == (1, 0)


def test_an_object_standing_still_is_not_one_of_unknown_velocity() -> None:
    still = replace(behind_right(), velocity_mps=(0.0, 0.0))
    frame = replace(asymmetric_frame(), objects=(still, behind_right()))
    received = result_messages.objects_from_msg(over_the_wire(messages.object_array_msg(frame)))
    assert [item.velocity_mps for item in received] == [(0.0, 0.0), None]


def test_occupancy_grid_of_the_asymmetric_scene_by_hand() -> None:
    msg = messages.occupancy_grid_msg(asymmetric_frame())
    info = msg.info
    assert (info.width, info.height, info.resolution) == (80, 32, 0.5)
    assert (info.origin.position.x, info.origin.position.y, info.origin.position.z) == (-8, -6, 0)
    assert (info.origin.orientation.z, info.origin.orientation.w) == (0.0, 1.0)
    assert info.map_load_time == msg.header.stamp == messages.time_msg(STAMP_NS)
    assert msg.header.frame_id == 'base_link'
    assert isinstance(msg.data, array.array) and msg.data.typecode == 'b'
    assert len(msg.data) == 2560
    told = {index: value for index, value in enumerate(msg.data) if value != 0}
    assert told == {BLOB_INDEX: 87, UNSEEN_INDEX: -1}
    row, column = divmod(BLOB_INDEX, info.width)
    assert info.origin.position.x + (column + 0.5) * info.resolution == 20.25
    assert info.origin.position.y + (row + 0.5) * info.resolution == 5.25


def test_every_cell_of_a_random_grid_is_where_the_message_says() -> None:
    rng = np.random.default_rng(5)
    grid = BevGrid(-3.0, 2.0, 0.25, 5, 3)
    probability = rng.random(grid.shape).astype(np.float32)
    frame = replace(
        asymmetric_frame(),
        grid=grid,
        occupancy=np.asfortranarray(probability),
        observed=np.ones(grid.shape, dtype=bool),
    )
    msg = messages.occupancy_grid_msg(frame)
    for iy in range(3):
        for ix in range(5):
            assert msg.data[iy * 5 + ix] == round(float(probability[iy, ix]) * 100)


def test_grid_comes_back_in_whole_per_cent() -> None:
    grid, cells = result_messages.grid_from_msg(
        over_the_wire(messages.occupancy_grid_msg(asymmetric_frame()))
    )
    assert grid == GRID
    assert cells.dtype == np.int8 and cells.shape == (32, 80)
    assert cells[BLOB_IY, BLOB_IX] == 87 and cells[UNSEEN_IY, UNSEEN_IX] == -1
    assert np.count_nonzero(cells) == 2


def test_the_resolution_is_narrowed_to_float32() -> None:
    frame = replace(asymmetric_frame(), grid=replace(GRID, resolution_m=0.4))
    grid, _ = result_messages.grid_from_msg(over_the_wire(messages.occupancy_grid_msg(frame)))
    assert grid == replace(GRID, resolution_m=float32(0.4)) != frame.grid


def test_sequence_holds_now_and_the_future() -> None:
    msg = over_the_wire(messages.occupancy_sequence_msg(asymmetric_frame()))
    assert result_messages.duration_s(msg.time_step) == 0.5
    assert len(msg.grids) == 2
    now, later = msg.grids
    assert now == over_the_wire(messages.occupancy_grid_msg(asymmetric_frame()))
    assert later.header == msg.header == now.header and later.info == now.info
    assert {i: v for i, v in enumerate(later.data) if v != 0} == {
        LATER_INDEX: 65,
        UNSEEN_INDEX: -1,
    }


def test_grids_that_a_raster_cannot_hold_are_refused_in_one_line() -> None:
    rotated = messages.occupancy_grid_msg(asymmetric_frame())
    rotated.info.origin = messages.pose_msg((0, 0, 0), 0.1)
    with pytest.raises(ConfigError, match=r"^occupancy grid in 'base_link' is rotated[^\n]*$"):
        result_messages.grid_from_msg(rotated)
    short = messages.occupancy_grid_msg(asymmetric_frame())
    short.data = array.array('b', bytes(2559))
    with pytest.raises(ConfigError, match='has 2559 cells, but its info says 80 x 32'):
        result_messages.grid_from_msg(short)


@pytest.mark.parametrize(
    ('missing', 'convert'),
    [
        ('objects', messages.object_array_msg),
        ('occupancy', messages.occupancy_grid_msg),
        ('future_occupancy', messages.occupancy_sequence_msg),
    ],
)
def test_outputs_that_were_not_computed_are_not_made_up(
    missing: str, convert: Callable[[BevFrame], Any]
) -> None:
    nothing: Any = {missing: None}
    frame = replace(asymmetric_frame(), **nothing)
    with pytest.raises(ValueError, match=f'without {missing};'):
        convert(frame)


def status() -> messages.FrameStatusData:
    return messages.FrameStatusData(
        stamp_ns=STAMP_NS,
        frame_id='base_link',
        model_id='nano@1234',
        reports=(
            CameraReport('front', CameraState.USED, '', STAMP_NS - 20_000_000, 0.02),
            CameraReport('rear', CameraState.MISSING, 'no image for 0.7 s'),
        ),
        past_dropped='the ego pose is unknown',
        observed_share=0.7,
        stage_s={'preprocess': 0.003, 'encode': 0.02},
        latency_s=0.045,
        sets_received=10,
        sets_processed=8,
        sets_dropped=2,
    )


def test_frame_status_says_what_became_of_each_camera() -> None:
    msg = over_the_wire(messages.frame_status_msg(status()))
    assert stamp_to_ns(msg.header.stamp) == STAMP_NS and msg.header.frame_id == 'base_link'
    front, rear = msg.cameras
    assert (front.name, front.state, front.detail) == ('front', bev_msgs.CameraStatus.USED, '')
    assert front.has_image and stamp_to_ns(front.stamp) == STAMP_NS - 20_000_000
    assert front.age_s == 0.02
    assert (rear.state, rear.detail) == (bev_msgs.CameraStatus.MISSING, 'no image for 0.7 s')
    assert not rear.has_image and stamp_to_ns(rear.stamp) == 0
    assert [(s.name, s.seconds) for s in msg.stages] == [('preprocess', 0.003), ('encode', 0.02)]
    assert msg.past_dropped == 'the ego pose is unknown'
    assert msg.observed_share == float32(0.7) and msg.latency_s == 0.045
    assert (msg.sets_received, msg.sets_processed, msg.sets_dropped) == (10, 8, 2)
    assert msg.model_id == 'nano@1234'


def test_camera_states_have_the_numbers_of_the_message() -> None:
    constants = {name: getattr(bev_msgs.CameraStatus, name) for name in CameraState.__members__}
    assert constants == {state.name: state.value for state in CameraState}


def model() -> messages.ModelDescription:
    return messages.ModelDescription(
        stamp_ns=STAMP_NS,
        frame_id='base_link',
        model_id='nano@1234',
        name='nano',
        version='0.1.0',
        licence='Apache-2.0',
        weights_hash='ab' * 32,
        trained=False,
        training='seeded weights',
        object_classes=OBJECT_CLASSES,
        semantic_classes=('drivable', 'vehicle'),
        grid=GRID,
        time_step_s=0.5,
        horizon_steps=4,
        score_is_calibrated=False,
        score_threshold=0.3,
    )


def test_model_info_describes_the_model() -> None:
    msg = over_the_wire(messages.model_info_msg(model()))
    for name in ('model_id', 'name', 'version', 'licence', 'weights_hash', 'training'):
        assert getattr(msg, name) == getattr(model(), name)
    assert (msg.trained, msg.score_is_calibrated, msg.horizon_steps) == (False, False, 4)
    assert tuple(msg.object_classes) == OBJECT_CLASSES
    assert tuple(msg.semantic_classes) == ('drivable', 'vehicle')
    assert msg.grid == over_the_wire(messages.occupancy_grid_msg(asymmetric_frame())).info
    assert result_messages.duration_s(msg.time_step) == 0.5
    assert msg.score_threshold == float32(0.3)
    assert stamp_to_ns(msg.header.stamp) == STAMP_NS and msg.header.frame_id == 'base_link'


def test_numpy_scalars_pass_the_strict_field_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_fields(monkeypatch)
    with pytest.raises(AssertionError):
        bev_msgs.ClassScore(probability=np.float32(0.5))
    item = replace(
        ahead_left(),
        age_frames=np.int64(7),
        existence_probability=np.float32(0.9),
        classes=(ClassScore(np.int64(0), 'car', np.float32(0.9)),),
        center_m=tuple(np.array([20, 5, 0.5], dtype=np.float32)),
        size_m=tuple(np.array([4, 2, 1.5], dtype=np.float32)),
        yaw_rad=np.float32(0.5),
        velocity_mps=tuple(np.array([1, 2], dtype=np.float32)),
    )
    frame = replace(asymmetric_frame(), objects=(item,))
    (received,) = result_messages.objects_from_msg(over_the_wire(messages.object_array_msg(frame)))
    assert received.center_m == (20.0, 5.0, 0.5)
    assert messages.occupancy_sequence_msg(frame).grids[0].data[BLOB_INDEX] == 87
    messages.frame_status_msg(replace(status(), observed_share=np.float32(0.7)))
    messages.model_info_msg(replace(model(), horizon_steps=np.int64(4)))
