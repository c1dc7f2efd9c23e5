"""Detections of the asymmetric scene by hand; what the round trip keeps, and what it loses."""

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
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

import bev_perception.msg as bev_msgs
from support.asymmetric_scene import (
    OBJECT_CLASSES,
    STAMP_NS,
    TRACKED_ID,
    ahead_left,
    asymmetric_frame,
)
from support.wire import check_fields, float32, over_the_wire

from bev_perception.errors import ConfigError
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.ros.messages import object_array_msg
from bev_perception.ros.vision_msgs_conversion import (
    detection_array_msg,
    detections_from_objects,
    objects_from_detections,
)


def sent_objects() -> Any:
    """Returns the scene as a subscriber gets it, the car with a pose covariance."""
    msg = over_the_wire(object_array_msg(asymmetric_frame()))
    msg.objects[0].has_pose_covariance = True
    msg.objects[0].pose.covariance = np.arange(36, dtype=np.float64)
    return msg


def there_and_back() -> Any:
    detections = over_the_wire(detections_from_objects(sent_objects()))
    return objects_from_detections(detections, OBJECT_CLASSES)


def test_detections_of_the_asymmetric_scene_by_hand() -> None:
    msg = over_the_wire(detection_array_msg(asymmetric_frame()))
    assert stamp_to_ns(msg.header.stamp) == STAMP_NS and msg.header.frame_id == 'base_link'
    assert len(msg.detections) == 2
    car, machine = msg.detections
    assert car.header == machine.header == msg.header
    assert car.id == '0102030405060708090a0b0c0d0e0f10' and machine.id == ''
    center, size = car.bbox.center, car.bbox.size
    assert (center.position.x, center.position.y, center.position.z) == (20.0, 5.0, 0.8)
    assert (center.orientation.z, center.orientation.w) == pytest.approx((0.25881905, 0.96592583))
    assert (size.x, size.y, size.z) == (4.0, 2.0, 1.6)
    assert [(r.hypothesis.class_id, r.hypothesis.score) for r in car.results] == [
        ('car', pytest.approx(0.9)),
        ('truck', pytest.approx(0.05)),
    ]
    assert all(result.pose.pose == car.bbox.center for result in car.results)
    assert (machine.bbox.center.position.x, machine.bbox.center.position.y) == (-7.0, -4.0)
    assert machine.results[0].hypothesis.class_id == 'construction_vehicle'


def test_each_hypothesis_carries_the_covariance_only_where_there_is_one() -> None:
    sent = sent_objects()
    sent.objects[1].pose.covariance = np.full(36, 5.0)
    car, machine = over_the_wire(detections_from_objects(sent)).detections
    for result in car.results:
        np.testing.assert_array_equal(result.pose.covariance, np.arange(36))
    for result in machine.results:
        np.testing.assert_array_equal(result.pose.covariance, np.zeros(36))


def test_round_trip_keeps_box_classes_identity_and_covariance() -> None:
    sent, received = sent_objects(), there_and_back()
    assert received.header == sent.header
    assert len(received.objects) == len(sent.objects)
    for before, after in zip(sent.objects, received.objects, strict=True):
        assert after.classes == before.classes
        assert after.pose == before.pose
        assert after.dimensions == before.dimensions
        assert after.object_id == before.object_id
        assert after.has_pose_covariance == before.has_pose_covariance
        assert after.orientation_availability == before.orientation_availability
        assert after.existence_probability == before.existence_probability
    assert bytes(received.objects[0].object_id.uuid) == TRACKED_ID
    assert received.objects[0].classes[0].probability == float32(0.9)


def test_what_is_documented_as_lost_is_lost() -> None:
    sent = sent_objects()
    car, machine = sent.objects
    car.existence_probability = 0.5
    car.orientation_availability = bev_msgs.BevObject.ORIENTATION_SIGN_UNKNOWN
    machine.has_pose_covariance = True
    assert sent.model_id and car.has_twist and car.trajectories and car.age_frames == 7
    received = objects_from_detections(
        over_the_wire(detections_from_objects(sent)), OBJECT_CLASSES
    )
    assert received.model_id == ''
    after, after_machine = received.objects
    assert after.existence_probability == float32(0.9)
    assert not after.has_twist and after.twist == type(after.twist)()
    assert after.motion_state == bev_msgs.BevObject.MOTION_UNKNOWN
    assert after.trajectories == []
    assert (after.age_frames, after_machine.age_frames) == (1, 0)
    assert after.orientation_availability == bev_msgs.BevObject.ORIENTATION_AVAILABLE
    assert not after_machine.has_pose_covariance
    car.classes = []
    without = objects_from_detections(detections_from_objects(sent), OBJECT_CLASSES).objects[0]
    assert without.existence_probability == 0.0 and not without.has_pose_covariance


def test_class_indices_count_in_the_list_of_the_reader() -> None:
    detections = detections_from_objects(sent_objects())
    other = ('truck', 'construction_vehicle', 'car')
    car, machine = objects_from_detections(detections, other).objects
    assert [c.class_index for c in car.classes] == [2, 0]
    assert [c.class_index for c in machine.classes] == [1, 0]
    with pytest.raises(ConfigError, match=r"^detection of class 'truck'[^\n]*\['car'\][^\n]*$"):
        objects_from_detections(detections, ('car',))


def test_results_in_any_order_come_out_sorted() -> None:
    detections = detections_from_objects(sent_objects())
    detections.detections[0].results.reverse()
    car = objects_from_detections(detections, OBJECT_CLASSES).objects[0]
    assert [c.class_name for c in car.classes] == ['car', 'truck']
    assert car.existence_probability == float32(0.9)


def test_ids_of_others_become_the_same_uuid_every_time() -> None:
    def identity(text: str) -> bytes:
        detections = detections_from_objects(sent_objects())
        detections.detections[0].id = text
        objects = objects_from_detections(detections, OBJECT_CLASSES).objects
        assert objects[0].age_frames == (1 if text else 0)
        return bytes(objects[0].object_id.uuid)

    assert identity('17') == identity('17') != identity('18')
    assert any(identity('17')) and identity('') == bytes(16)
    assert identity('01020304-0506-0708-090a-0b0c0d0e0f10') == TRACKED_ID


def test_fields_pass_the_strict_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_fields(monkeypatch)
    frame = replace(asymmetric_frame(), objects=(replace(ahead_left(), yaw_rad=np.float32(1.0)),))
    back = objects_from_detections(over_the_wire(detection_array_msg(frame)), OBJECT_CLASSES)
    assert back.objects[0].pose.pose.orientation.z == pytest.approx(math.sin(0.5))
