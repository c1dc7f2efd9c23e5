"""Markers of the asymmetric scene by hand, and what RViz needs to show them steadily."""

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

from support.asymmetric_scene import STAMP_NS, ahead_left, asymmetric_frame, behind_right
from support.wire import check_fields, over_the_wire
from visualization_msgs.msg import Marker

from bev_perception.draw.palette import class_color
from bev_perception.frame import BevObject, ClassScore, Trajectory
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.ros import markers
from bev_perception.ros.markers import MarkerOptions, marker_array_msg

OPTIONS = MarkerOptions(lifetime_s=0.31, text_height_m=0.75)


def made(*objects: BevObject) -> list[Any]:
    """Returns the markers of a frame with these objects, as RViz gets them."""
    frame = replace(asymmetric_frame(), objects=objects)
    return over_the_wire(marker_array_msg(frame, OPTIONS)).markers


def of_kind(found: list[Any], namespace: str) -> Any:
    (marker,) = [item for item in found if item.ns == namespace]
    return marker


def xyz(point: Any) -> tuple[float, float, float]:
    return point.x, point.y, point.z


def test_everything_old_goes_first() -> None:
    for found in (made(), made(ahead_left(), behind_right())):
        assert found[0].action == Marker.DELETEALL
        assert all(item.action == Marker.ADD for item in found[1:])
    assert len(made()) == 1


def test_namespaces_of_the_asymmetric_scene() -> None:
    found = made(ahead_left(), behind_right())[1:]
    assert [item.ns for item in found] == [
        *('boxes', 'headings', 'velocities', 'labels', 'trajectory_0', 'trajectory_1'),
        *('boxes', 'headings', 'labels'),
    ]
    assert len({item.id for item in found[:6]}) == 1 and found[0].id != found[6].id


def test_every_marker_has_the_stamp_and_frame_of_the_images_and_ends_by_itself() -> None:
    for item in made(ahead_left(), behind_right()):
        assert stamp_to_ns(item.header.stamp) == STAMP_NS
        assert item.header.frame_id == 'base_link'
        assert not item.frame_locked
        assert stamp_to_ns(item.lifetime) == 310_000_000


def test_box_by_hand() -> None:
    box = of_kind(made(ahead_left()), 'boxes')
    assert box.type == Marker.CUBE
    assert xyz(box.pose.position) == (20.0, 5.0, 0.8)
    turn = box.pose.orientation
    assert (turn.x, turn.y, turn.z, turn.w) == pytest.approx((0, 0, 0.25881905, 0.96592583))
    assert xyz(box.scale) == (4.0, 2.0, 1.6)
    assert 0.0 < box.color.a < 1.0


def test_heading_by_hand() -> None:
    heading = of_kind(made(ahead_left()), 'headings')
    assert heading.type == Marker.LINE_STRIP and heading.scale.x > 0.0
    left, tip, right = map(xyz, heading.points)
    # 2 m ahead and 1 m aside of the centre, turned by 30 degrees; the tip 1.4 m further ahead.
    assert left == pytest.approx((21.2320508, 6.8660254, 1.6))
    assert right == pytest.approx((22.2320508, 5.1339746, 1.6))
    assert tip == pytest.approx((22.9444864, 6.7, 1.6))


def test_heading_of_the_machine_behind_points_backwards_to_the_right() -> None:
    _, tip, _ = map(xyz, of_kind(made(behind_right()), 'headings').points)
    # 4 m to the front of the box and 1.5 m (the most) beyond, at -2.5 rad.
    assert tip == pytest.approx((-7.0 - 5.5 * 0.8011436, -4.0 - 5.5 * 0.5984721, 3.0))


def test_velocity_by_hand() -> None:
    arrow = of_kind(made(ahead_left()), 'velocities')
    assert arrow.type == Marker.ARROW and min(xyz(arrow.scale)) > 0.0
    start, end = map(xyz, arrow.points)
    assert start == (20.0, 5.0, 1.6)
    assert end == pytest.approx((23.4641016, 7.0, 1.6))


def test_only_what_moves_has_a_velocity() -> None:
    creeping = replace(ahead_left(), velocity_mps=(0.3, 0.3))
    unknown = replace(ahead_left(), velocity_mps=None)
    for item in (creeping, unknown):
        assert not [found for found in made(item) if found.ns == 'velocities']
    backing = replace(ahead_left(), velocity_mps=(-0.5, 0.0))
    assert xyz(of_kind(made(backing), 'velocities').points[1]) == (19.5, 5.0, 1.6)


def test_label_says_who_what_and_how_sure_in_metres() -> None:
    label = of_kind(made(ahead_left()), 'labels')
    assert label.type == Marker.TEXT_VIEW_FACING
    assert label.text == '0102 car 90%'
    assert label.scale.z == 0.75
    assert xyz(label.pose.position) == pytest.approx((20.0, 5.0, 2.35))
    assert of_kind(made(behind_right()), 'labels').text == 'construction_vehicle 60%'


def test_trajectory_by_hand() -> None:
    path = of_kind(made(ahead_left()), 'trajectory_0')
    assert path.type == Marker.LINE_STRIP and path.scale.x > 0.0
    points = np.array([xyz(point) for point in path.points])
    by_hand = [(20.0 + 1.7320508 * k, 5.0 + k, 0.8) for k in range(5)]
    np.testing.assert_allclose(points, by_hand, atol=1e-6)
    assert xyz(path.pose.position) == (0, 0, 0) and path.pose.orientation.w == 1.0
    turning = of_kind(made(ahead_left()), 'trajectory_1')
    assert xyz(turning.points[4]) == pytest.approx((26.9282032, 10.6, 1.1))


def test_trajectories_fade_with_time_and_with_probability() -> None:
    found = made(ahead_left())
    probable, less = (
        [color.a for color in of_kind(found, f'trajectory_{mode}').colors] for mode in (0, 1)
    )
    assert len(probable) == 5
    assert all(np.diff(probable) < 0.0) and all(np.diff(less) < 0.0)
    assert 1.0 > probable[0] > less[0] and less[-1] > 0.0
    assert of_kind(found, 'trajectory_0').color.a == 1.0


def test_a_path_that_begins_now_is_not_drawn_from_the_centre_twice() -> None:
    positions = np.array([[20.0, 5.0, 0.8], [21.0, 5.0, 0.8]])
    begins_now = Trajectory(1.0, 0.5, 0.0, positions, np.zeros(2))
    found = of_kind(made(replace(ahead_left(), trajectories=(begins_now,))), 'trajectory_0')
    assert [xyz(point) for point in found.points] == [tuple(row) for row in positions.tolist()]


@pytest.mark.parametrize('start_offset_s', [0.0, 0.5])
def test_a_line_of_one_point_is_not_drawn(start_offset_s: float) -> None:
    count = 1 if start_offset_s == 0.0 else 0
    path = Trajectory(1.0, 0.5, start_offset_s, np.zeros((count, 3)), np.zeros(count))
    found = made(replace(ahead_left(), trajectories=(path,)))
    assert not [item for item in found if item.ns.startswith('trajectory')]


def test_ids_follow_the_identity_not_the_rank() -> None:
    other = replace(ahead_left(), object_id=bytes(range(2, 18)), center_m=(3.0, 1.0, 0.5))
    first, second = made(ahead_left(), other), made(other, ahead_left())

    def id_at(found: list[Any], x: float) -> int:
        (box,) = [m for m in found if m.ns == 'boxes' and m.pose.position.x == x]
        return box.id

    assert id_at(first, 20.0) == id_at(second, 20.0) != id_at(first, 3.0) == id_at(second, 3.0)


def test_ids_are_unique_and_fit_the_message() -> None:
    rng = np.random.default_rng(11)
    tracked = [replace(ahead_left(), object_id=rng.bytes(16)) for _ in range(40)]
    found = made(*tracked, behind_right(), behind_right())[1:]
    names = [(item.ns, item.id) for item in found]
    assert len(set(names)) == len(names)
    assert all(0 <= item.id < 2**31 for item in found)


def test_ids_that_collide_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers.zlib, 'crc32', lambda data: 0xFFFFFFFF)
    objects = [replace(ahead_left(), object_id=bytes([k] * 16)) for k in (1, 2, 3)]
    ids = [item.id for item in made(*objects, behind_right()) if item.ns == 'boxes']
    assert ids == [2**31 - 1, 0, 1, 3]


def test_colours_follow_the_class_as_in_the_pictures() -> None:
    def colour(item: BevObject) -> tuple[float, float, float]:
        box = of_kind(made(item), 'boxes')
        return box.color.r, box.color.g, box.color.b

    seen = set()
    for index in range(10):
        kind = (ClassScore(index, f'class_{index}', 0.9),)
        near = colour(replace(ahead_left(), classes=kind))
        far = colour(replace(behind_right(), classes=kind))
        assert near == far == pytest.approx([c / 255 for c in class_color(index)], abs=1e-6)
        seen.add(near)
    assert len(seen) == 10


def test_all_lengths_are_metres_above_zero() -> None:
    for item in made(ahead_left(), behind_right())[1:]:
        assert max(xyz(item.scale)) > 0.05
        assert all(math.isfinite(value) for point in item.points for value in xyz(point))


def test_a_frame_without_objects_head_is_refused() -> None:
    with pytest.raises(ValueError, match='without objects;'):
        marker_array_msg(replace(asymmetric_frame(), objects=None), OPTIONS)


def test_numpy_scalars_pass_the_strict_field_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    check_fields(monkeypatch)
    item = replace(
        ahead_left(),
        center_m=tuple(np.array([20, 5, 0.8], dtype=np.float32)),
        size_m=tuple(np.array([4, 2, 1.6], dtype=np.float32)),
        yaw_rad=np.float32(0.5),
        velocity_mps=tuple(np.array([1, 2], dtype=np.float32)),
    )
    frame = replace(asymmetric_frame(), objects=(item,))
    assert len(marker_array_msg(frame, MarkerOptions(1, 1)).markers) == 7
