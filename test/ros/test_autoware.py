"""Autoware's objects of the asymmetric scene by hand; what the round trip keeps and loses."""

# ruff: noqa: E402
from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')
pytest.importorskip(
    'autoware_perception_msgs.msg', reason='autoware_perception_msgs is not installed'
)

import bev_perception.msg as bev_msgs
from autoware_perception_msgs.msg import ObjectClassification, Shape
from geometry_msgs.msg import Point32, Polygon, Vector3
from support.asymmetric_scene import (
    OBJECT_CLASSES,
    STAMP_NS,
    TRACKED_ID,
    ahead_left,
    asymmetric_frame,
)
from support.wire import check_fields, float32, over_the_wire

from bev_perception.errors import ConfigError
from bev_perception.frame import Trajectory
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.replay.result_messages import duration_s, yaw_from_msg
from bev_perception.ros.autoware_conversion import (
    AUTOWARE_CLASSES,
    autoware_label,
    objects_from_predicted,
    predicted_from_objects,
    predicted_objects_msg,
)
from bev_perception.ros.messages import object_array_msg, pose_msg


def sent_objects() -> Any:
    """Returns the scene as a subscriber gets it, the car with covariances and a full twist."""
    rng = np.random.default_rng(2)
    root = rng.normal(size=(2, 6, 6))
    msg = over_the_wire(object_array_msg(asymmetric_frame()))
    car = msg.objects[0]
    car.has_pose_covariance = car.has_twist_covariance = True
    car.pose.covariance = (root[0] @ root[0].T).ravel()
    car.twist.covariance = (root[1] @ root[1].T).ravel()
    car.twist.twist.linear.z = 0.25
    car.twist.twist.angular = Vector3(x=0.1, y=-0.2, z=0.3)
    return msg


def there_and_back(msg: Any, object_classes: tuple[str, ...] = OBJECT_CLASSES) -> Any:
    return objects_from_predicted(over_the_wire(predicted_from_objects(msg)), object_classes)


def xyz(vector: Any) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def test_predicted_objects_of_the_asymmetric_scene_by_hand() -> None:
    msg = over_the_wire(predicted_objects_msg(asymmetric_frame()))
    assert stamp_to_ns(msg.header.stamp) == STAMP_NS and msg.header.frame_id == 'base_link'
    car, machine = msg.objects
    assert bytes(car.object_id.uuid) == TRACKED_ID
    assert car.existence_probability == float32(0.9)
    assert [(c.label, c.probability) for c in car.classification] == [
        (ObjectClassification.CAR, float32(0.9)),
        (ObjectClassification.TRUCK, float32(0.05)),
    ]
    pose = car.kinematics.initial_pose_with_covariance.pose
    assert xyz(pose.position) == (20.0, 5.0, 0.8)
    assert pose.orientation.z == pytest.approx(0.25881905)
    # 4 m/s along the heading: all of it forwards in the car's own frame.
    twist = car.kinematics.initial_twist_with_covariance.twist
    assert xyz(twist.linear) == pytest.approx((4.0, 0.0, 0.0), abs=1e-12)
    assert car.shape.type == Shape.BOUNDING_BOX and xyz(car.shape.dimensions) == (4.0, 2.0, 1.6)
    assert xyz(machine.kinematics.initial_pose_with_covariance.pose.position) == (-7.0, -4.0, 1.5)
    assert machine.kinematics.predicted_paths == []


def test_paths_begin_with_the_current_pose() -> None:
    car = over_the_wire(predicted_objects_msg(asymmetric_frame())).objects[0]
    straight, turning = car.kinematics.predicted_paths
    assert (straight.confidence, turning.confidence) == (float32(0.7), float32(0.3))
    assert duration_s(straight.time_step) == 0.5
    assert straight.path[0] == car.kinematics.initial_pose_with_covariance.pose
    assert [xyz(pose.position)[:2] for pose in straight.path] == [
        pytest.approx((20.0 + 1.7320508 * k, 5.0 + k)) for k in range(5)
    ]
    assert xyz(turning.path[4].position) == pytest.approx((26.9282032, 10.6, 1.1))
    assert [yaw_from_msg(pose.orientation) for pose in turning.path] == pytest.approx(
        [math.pi / 6, 0.6, 0.7, 0.8, 0.9]
    )


def test_a_sideways_velocity_by_hand() -> None:
    """To move along base's x while heading along its y is to slip to one's right."""
    slipping = replace(ahead_left(), yaw_rad=math.pi / 2, velocity_mps=(3.0, 0.0))
    frame = replace(asymmetric_frame(), objects=(slipping,))
    twist = predicted_objects_msg(frame).objects[0].kinematics.initial_twist_with_covariance.twist
    assert xyz(twist.linear) == pytest.approx((0.0, -3.0, 0.0), abs=1e-12)


def test_twist_covariance_by_hand() -> None:
    """xx = 4, yy = 1, xy = 0.5 seen from a frame turned by 30 degrees."""
    msg = object_array_msg(asymmetric_frame())
    covariance = np.zeros((6, 6))
    covariance[:2, :2] = [[4.0, 0.5], [0.5, 1.0]]
    covariance[0, 5] = covariance[5, 0] = 2.0
    covariance[5, 5] = 0.7
    msg.objects[0].twist.covariance = covariance.ravel()
    msg.objects[0].has_twist_covariance = True
    kinematics = predicted_from_objects(msg).objects[0].kinematics
    found = kinematics.initial_twist_with_covariance.covariance.reshape(6, 6)
    # c^2 xx + 2cs xy + s^2 yy, s^2 xx - 2cs xy + c^2 yy, cs (yy - xx) + (c^2 - s^2) xy.
    assert found[0, 0] == pytest.approx(3.0 + 0.4330127 + 0.25)
    assert found[1, 1] == pytest.approx(1.0 - 0.4330127 + 0.75)
    assert (found[0, 1], found[1, 0]) == pytest.approx((-1.0490381, -1.0490381))
    assert (found[0, 5], found[1, 5]) == pytest.approx((1.7320508, -1.0))
    assert found[5, 5] == pytest.approx(0.7)


def test_round_trip_keeps_box_twist_covariances_identity_and_paths() -> None:
    sent = sent_objects()
    received = there_and_back(sent)
    assert received.header == sent.header
    assert len(received.objects) == len(sent.objects)
    for before, after in zip(sent.objects, received.objects, strict=True):
        assert after.object_id == before.object_id
        assert after.existence_probability == before.existence_probability
        assert after.pose == before.pose
        assert after.dimensions == before.dimensions
        np.testing.assert_allclose(after.twist.covariance, before.twist.covariance, atol=1e-12)
        for part in ('linear', 'angular'):
            turned = xyz(getattr(after.twist.twist, part))
            assert turned == pytest.approx(xyz(getattr(before.twist.twist, part)), abs=1e-12)
        assert len(after.trajectories) == len(before.trajectories)
        for path, back in zip(before.trajectories, after.trajectories, strict=True):
            assert (back.probability, back.time_step) == (path.probability, path.time_step)
            assert back.poses[1:] == path.poses
    car = received.objects[0]
    assert car.classes == sent.objects[0].classes
    assert car.has_twist and car.has_twist_covariance and car.has_pose_covariance
    assert car.motion_state == bev_msgs.BevObject.MOTION_MOVING


def test_what_is_documented_as_lost_is_lost() -> None:
    sent = sent_objects()
    car, machine = sent.objects
    car.orientation_availability = bev_msgs.BevObject.ORIENTATION_SIGN_UNKNOWN
    machine.has_pose_covariance = machine.has_twist_covariance = True
    received = there_and_back(sent)
    assert sent.model_id and received.model_id == ''
    after, after_machine = received.objects
    assert after.orientation_availability == bev_msgs.BevObject.ORIENTATION_AVAILABLE
    assert (car.age_frames, after.age_frames, after_machine.age_frames) == (7, 1, 0)
    assert not after_machine.has_pose_covariance and not after_machine.has_twist_covariance
    assert not machine.has_twist and after_machine.has_twist
    assert after_machine.twist == type(after_machine.twist)()
    assert after_machine.motion_state == bev_msgs.BevObject.MOTION_STATIONARY
    # construction_vehicle 0.6 and truck 0.2 are both trucks to Autoware.
    assert [(c.class_index, c.class_name, c.probability) for c in after_machine.classes] == [
        (1, 'truck', float32(0.6))
    ]
    path, back = car.trajectories[0], after.trajectories[0]
    assert (duration_s(path.start_offset), duration_s(back.start_offset)) == (0.5, 0.0)
    assert len(back.poses) == len(path.poses) + 1 and back.poses[0] == after.pose.pose


def test_values_without_their_flag_are_not_passed_on() -> None:
    sent = sent_objects()
    car = sent.objects[0]
    car.has_twist = car.has_pose_covariance = False
    kinematics = predicted_from_objects(sent).objects[0].kinematics
    twist = kinematics.initial_twist_with_covariance
    assert twist == type(twist)()
    assert not kinematics.initial_pose_with_covariance.covariance.any()
    car.has_twist, car.has_twist_covariance = True, False
    twist = predicted_from_objects(sent).objects[0].kinematics.initial_twist_with_covariance
    assert twist.twist.linear.x == pytest.approx(4.0) and not twist.covariance.any()


def test_labels_have_the_numbers_of_the_message() -> None:
    for number, name in enumerate(AUTOWARE_CLASSES):
        assert getattr(ObjectClassification, name.upper()) == number == autoware_label(name)
    assert autoware_label('construction_vehicle') == ObjectClassification.TRUCK
    assert autoware_label('barrier') == autoware_label('traffic_cone') == 9
    assert autoware_label('drone') == ObjectClassification.UNKNOWN


def test_classes_of_one_label_become_one_with_their_highest_probability() -> None:
    sent = sent_objects()
    sent.objects[0].classes = [
        bev_msgs.ClassScore(class_index=4, class_name='barrier', probability=0.5),
        bev_msgs.ClassScore(class_index=0, class_name='car', probability=0.25),
        bev_msgs.ClassScore(class_index=5, class_name='traffic_cone', probability=0.125),
    ]
    car = over_the_wire(predicted_from_objects(sent)).objects[0]
    assert [(c.label, c.probability) for c in car.classification] == [(9, 0.5), (1, 0.25)]
    back = there_and_back(sent).objects[0]
    assert [(c.class_index, c.class_name) for c in back.classes] == [(4, 'barrier'), (0, 'car')]


def test_a_reader_without_a_class_list_gets_autowares_labels() -> None:
    machine = there_and_back(sent_objects(), AUTOWARE_CLASSES).objects[1]
    assert [(c.class_index, c.class_name) for c in machine.classes] == [(2, 'truck')]
    default = objects_from_predicted(predicted_from_objects(sent_objects()))
    assert default.objects[1].classes[0].class_name == 'truck'
    with pytest.raises(ConfigError, match=r"^predicted object with label 2[^\n]*\['car'\][^\n]*$"):
        there_and_back(sent_objects(), ('car',))


def test_a_path_that_holds_the_current_pose_stays_as_it_is() -> None:
    sent = sent_objects()
    path = sent.objects[0].trajectories[0]
    path.start_offset = type(path.start_offset)()
    converted = predicted_from_objects(sent).objects[0].kinematics.predicted_paths[0]
    assert converted.path == path.poses


def test_a_path_out_of_step_is_interpolated_at_whole_steps() -> None:
    """Poses at 0.25, 0.75 and 1.25 s; the heading passes from 3 rad through pi to -3 rad."""
    path = Trajectory(
        probability=1.0,
        time_step_s=0.5,
        start_offset_s=0.25,
        positions_m=np.array([[1.0, 5.0, 0.8], [5.0, 7.0, 0.8], [5.0, 9.0, 1.8]]),
        yaws_rad=np.array([3.0, -3.0, -2.0]),
    )
    item = replace(ahead_left(), center_m=(0.0, 5.0, 0.8), yaw_rad=2.8, trajectories=(path,))
    frame = replace(asymmetric_frame(), objects=(item,))
    found = predicted_objects_msg(frame).objects[0].kinematics.predicted_paths[0]
    assert duration_s(found.time_step) == 0.5
    assert [xyz(pose.position) for pose in found.path] == [
        pytest.approx(position) for position in [(0, 5, 0.8), (3, 6, 0.8), (5, 8, 1.3)]
    ]
    yaws = [yaw_from_msg(pose.orientation) for pose in found.path]
    assert yaws[0] == pytest.approx(2.8) and abs(yaws[1]) == pytest.approx(math.pi)
    assert yaws[2] == pytest.approx(-2.5)


def test_shapes_of_others_become_the_box_around_them() -> None:
    msg = predicted_objects_msg(asymmetric_frame())
    corners = [(1.0, 0.5), (-2.0, 0.25), (-1.0, -0.75)]
    msg.objects[0].shape = Shape(
        type=Shape.POLYGON,
        footprint=Polygon(points=[Point32(x=x, y=y) for x, y in corners]),
        dimensions=Vector3(z=1.7),
    )
    msg.objects[1].shape = Shape(type=Shape.CYLINDER, dimensions=Vector3(x=0.6, y=0.6, z=1.8))
    polygon, cylinder = objects_from_predicted(over_the_wire(msg)).objects
    assert xyz(polygon.dimensions) == (4.0, 1.5, 1.7)
    assert xyz(cylinder.dimensions) == (0.6, 0.6, 1.8)


def test_twist_turns_back_for_any_heading() -> None:
    rng = np.random.default_rng(8)
    for yaw in rng.uniform(-math.pi, math.pi, 20):
        sent = sent_objects()
        car = sent.objects[0]
        car.pose.pose = pose_msg((1.0, 2.0, 3.0), yaw)
        kinematics = predicted_from_objects(sent).objects[0].kinematics
        own = kinematics.initial_twist_with_covariance.twist.linear
        # Independent restatement: components along the heading and to its left.
        x, y = car.twist.twist.linear.x, car.twist.twist.linear.y
        ahead, left = (math.cos(yaw), math.sin(yaw)), (-math.sin(yaw), math.cos(yaw))
        assert own.x == pytest.approx(x * ahead[0] + y * ahead[1])
        assert own.y == pytest.approx(x * left[0] + y * left[1])
        after = there_and_back(sent).objects[0].twist
        assert xyz(after.twist.linear) == pytest.approx(xyz(car.twist.twist.linear), abs=1e-12)
        np.testing.assert_allclose(after.covariance, car.twist.covariance, atol=1e-12)


def test_fields_pass_the_strict_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_fields(monkeypatch)
    uneven = Trajectory(np.float32(0.5), 0.5, 0.25, np.ones((3, 3), np.float32), np.ones(3))
    item = replace(ahead_left(), yaw_rad=np.float32(0.5), trajectories=(uneven,))
    frame = replace(asymmetric_frame(), objects=(item,))
    msg = over_the_wire(predicted_objects_msg(frame))
    assert len(msg.objects[0].kinematics.predicted_paths[0].path) == 3
    assert objects_from_predicted(msg, OBJECT_CLASSES).objects[0].has_twist
