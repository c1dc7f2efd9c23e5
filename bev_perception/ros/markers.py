"""A frame's objects as visualization_msgs/MarkerArray, for RViz."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from bev_perception.draw.bev_objects import footprint, object_label
from bev_perception.draw.palette import TEXT, VELOCITY, Color, class_color
from bev_perception.frame import MOVING_SPEED_MPS, BevFrame, BevObject, Trajectory
from bev_perception.ros.messages import (
    asked_for,
    duration_msg,
    header_msg,
    pose_msg,
)

BOX_OPACITY = 0.45
LINE_WIDTH_M = 0.12
ARROW_SECONDS = 1.0
# Opacity of a path's last pose; its first one has that of the mode.
PATH_END_OPACITY = 0.15
MODE_OPACITY = (0.35, 1.0)

_INT32_MAX = 0x7FFFFFFF


@dataclass(frozen=True)
class MarkerOptions:
    """How markers look.

    Attributes:
        lifetime_s: after which a marker vanishes when nothing replaces it; more than two output
            periods, or the view blinks.
        text_height_m: of labels.
    """

    lifetime_s: float = 0.5
    text_height_m: float = 0.8


def marker_array_msg(frame: BevFrame, options: MarkerOptions) -> MarkerArray:
    """Returns one DELETEALL, then the markers of every object, in the frame's base frame.

    Namespaces, one per kind: `boxes` (CUBE), `headings` (LINE_STRIP, an arrow head on the box's
    front), `velocities` (ARROW as long as the way of `ARROW_SECONDS`, moving objects only),
    `labels` (TEXT_VIEW_FACING: id, class, existence) and `trajectory_<k>` (LINE_STRIP of the
    k-th most probable mode, from the present centre on, fading with time and with the mode's
    probability). An object's markers have one id in all of them, and keep it while the object
    keeps its identity. Colours follow the class index, as in the pictures of `draw`.

    Raises:
        ValueError: the frame was computed without objects.
    """
    objects = asked_for(frame.objects, 'objects')
    blank = _Blank(frame, options.lifetime_s)
    markers = [blank.marker('', 0, Marker.CUBE, action=Marker.DELETEALL)]
    for item, marker_id in zip(objects, _marker_ids(objects), strict=True):
        markers.append(_box(blank, marker_id, item))
        markers.append(_heading(blank, marker_id, item))
        if item.velocity_mps is not None and math.hypot(*item.velocity_mps) >= MOVING_SPEED_MPS:
            markers.append(_velocity(blank, marker_id, item, item.velocity_mps))
        markers.append(_label(blank, marker_id, item, options.text_height_m))
        for mode, path in enumerate(item.trajectories):
            points = _path_points(item, path)
            if len(points) > 1:
                markers.append(_trajectory(blank, marker_id, item, mode, points))
    return MarkerArray(markers=markers)


class _Blank:
    """Makes markers that share a frame's header and lifetime."""

    def __init__(self, frame: BevFrame, lifetime_s: float) -> None:
        self._header = header_msg(frame.stamp_ns, frame.frame_id)
        self._lifetime = duration_msg(lifetime_s)

    def marker(
        self, namespace: str, marker_id: int, kind: int, action: int = Marker.ADD
    ) -> Marker:
        return Marker(
            header=self._header,
            ns=namespace,
            id=marker_id,
            type=kind,
            action=action,
            lifetime=self._lifetime,
            frame_locked=False,
        )


def _marker_ids(objects: Sequence[BevObject]) -> list[int]:
    """Returns an int32 per object that follows its identity; its rank when it has none."""
    ids: list[int] = []
    taken: set[int] = set()
    for rank, item in enumerate(objects):
        marker_id = zlib.crc32(item.object_id) & _INT32_MAX if any(item.object_id) else rank
        while marker_id in taken:
            marker_id = (marker_id + 1) & _INT32_MAX
        taken.add(marker_id)
        ids.append(marker_id)
    return ids


def _box(blank: _Blank, marker_id: int, item: BevObject) -> Marker:
    marker = blank.marker('boxes', marker_id, Marker.CUBE)
    marker.pose = pose_msg(item.center_m, item.yaw_rad)
    length, width, height = map(float, item.size_m)
    marker.scale = Vector3(x=length, y=width, z=height)
    marker.color = _color(_class_color(item), BOX_OPACITY)
    return marker


def _heading(blank: _Blank, marker_id: int, item: BevObject) -> Marker:
    marker = blank.marker('headings', marker_id, Marker.LINE_STRIP)
    marker.scale.x = LINE_WIDTH_M
    marker.color = _color(_class_color(item), 1.0)
    front_left, _, _, front_right = footprint(item)
    ahead = np.array([math.cos(item.yaw_rad), math.sin(item.yaw_rad)])
    tip = (front_left + front_right) / 2 + min(0.35 * item.size_m[0], 1.5) * ahead
    marker.points = [_point((*xy, _top_m(item))) for xy in (front_left, tip, front_right)]
    return marker


def _velocity(
    blank: _Blank, marker_id: int, item: BevObject, velocity_mps: tuple[float, float]
) -> Marker:
    marker = blank.marker('velocities', marker_id, Marker.ARROW)
    # With two points: diameter of the shaft, diameter of the head, length of the head.
    marker.scale = Vector3(x=0.15, y=0.4, z=0.6)
    marker.color = _color(VELOCITY, 1.0)
    x, y, _ = item.center_m
    end = x + velocity_mps[0] * ARROW_SECONDS, y + velocity_mps[1] * ARROW_SECONDS
    marker.points = [_point((*xy, _top_m(item))) for xy in ((x, y), end)]
    return marker


def _label(blank: _Blank, marker_id: int, item: BevObject, text_height_m: float) -> Marker:
    marker = blank.marker('labels', marker_id, Marker.TEXT_VIEW_FACING)
    x, y, _ = item.center_m
    marker.pose = pose_msg((x, y, _top_m(item) + text_height_m), 0.0)
    marker.scale.z = float(text_height_m)
    marker.color = _color(TEXT, 1.0)
    marker.text = f'{object_label(item)} {item.existence_probability:.0%}'
    return marker


def _trajectory(
    blank: _Blank, marker_id: int, item: BevObject, mode: int, points_m: NDArray[np.float64]
) -> Marker:
    marker = blank.marker(f'trajectory_{mode}', marker_id, Marker.LINE_STRIP)
    marker.scale.x = LINE_WIDTH_M
    marker.color = _color(_class_color(item), 1.0)
    marker.points = [_point(point) for point in points_m]
    low, high = MODE_OPACITY
    start = low + (high - low) * min(max(item.trajectories[mode].probability, 0.0), 1.0)
    fading = np.linspace(start, PATH_END_OPACITY, len(points_m))
    marker.colors = [_color(_class_color(item), opacity) for opacity in fading]
    return marker


def _path_points(item: BevObject, path: Trajectory) -> NDArray[np.float64]:
    """Returns [n, 3]: the poses of a path, after the present centre where it lacks that."""
    if path.start_offset_s > 0.0:
        return np.vstack([item.center_m, path.positions_m])
    return np.asarray(path.positions_m, dtype=np.float64)


def _top_m(item: BevObject) -> float:
    return item.center_m[2] + item.size_m[2] / 2.0


def _class_color(item: BevObject) -> Color:
    return class_color(item.classes[0].index)


def _color(rgb: Color, opacity: float) -> ColorRGBA:
    red, green, blue = (channel / 255.0 for channel in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=float(opacity))


def _point(position_m: Sequence[float] | NDArray[np.floating]) -> Point:
    x, y, z = map(float, position_m)
    return Point(x=x, y=y, z=z)
