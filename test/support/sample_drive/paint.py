"""Colours of the sample street: sky and trees, road and markings, bodies of road users."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from support.sample_drive.world import LANE_WIDTH_M, RoadUser

FloatArray = NDArray[np.floating]

# Share of the body colour per face: (front, left, top) and (rear, right, bottom).
FACE_BRIGHTNESS = ((0.9, 1.0, 1.12), (0.8, 0.66, 0.3))

_ASPHALT = (82.0, 84.0, 88.0)
_STRIPS = (
    (5.25, (104.0, 103.0, 104.0)),
    (7.75, (176.0, 174.0, 168.0)),
    (8.0, (146.0, 140.0, 132.0)),
    (10.5, (88.0, 116.0, 66.0)),
)
_WHITE, _YELLOW = (226.0, 226.0, 222.0), (222.0, 184.0, 62.0)
_LINE_WIDTH_M, _DASH_M, _DASH_PERIOD_M = 0.15, 3.0, 7.5
_HAZE, _HAZE_RANGE_M = (196.0, 208.0, 220.0), 190.0
_ZENITH = (92.0, 142.0, 208.0)
_TREES = (62.0, 88.0, 62.0)
_LOWEST_TREE_DEG, _TREE_RANGE_DEG = 1.0, 4.0
HIGHEST_TREE_RAD = math.radians(_LOWEST_TREE_DEG + _TREE_RANGE_DEG)
_GLASS, _TYRE = (34.0, 42.0, 52.0), (26.0, 26.0, 28.0)
_HEADLIGHT, _TAILLIGHT = (255.0, 246.0, 206.0), (214.0, 28.0, 30.0)
_WHEEL_RADIUS_M, _WHEEL_POSITION = 0.33, 0.62
_NOISE = np.random.default_rng(20240229).random((256, 256)).astype(np.float32)
_SKYLINE = np.random.default_rng(20240301).random(97)


def ground_color(s: FloatArray, d: FloatArray, spans: FloatArray, depth: FloatArray) -> FloatArray:
    """Returns [3, n] colours of ground points by road coordinates.

    Args:
        s: [n] metres along the road.
        d: [n] metres to the left of its middle.
        spans: [2, n] metres of ground, along and across the vehicle, that one pixel covers;
            edges are softened by as much.
        depth: [n] metres from the camera; far ground fades into haze.
    """
    (span_x, span_y), across = spans, np.abs(d)
    color = _filled(len(s), _ASPHALT)
    for edge_m, paint in _STRIPS:
        _mix(color, np.clip((across - edge_m) / span_y + 0.5, 0.0, 1.0), paint)
    row, column = (np.floor(2.5 * value).astype(np.int32) & 255 for value in (s, d))
    fade = np.clip(1.4 - np.maximum(span_x, span_y) / 0.4, 0.0, 1.0)
    color *= 1.0 + 0.14 * fade * (_NOISE[row, column] - 0.5)
    _mix(color, _line(d, 1.5 * LANE_WIDTH_M, span_y), _WHITE)
    _mix(color, _line(d, -1.5 * LANE_WIDTH_M, span_y), _WHITE)
    phase = np.abs(np.mod(s, _DASH_PERIOD_M) - _DASH_PERIOD_M / 2)
    dash = np.clip((_DASH_M / 2 - phase) / span_x + 0.5, 0.0, 1.0)
    _mix(color, _line(d, -0.5 * LANE_WIDTH_M, span_y) * dash, _WHITE)
    _mix(color, _line(d, 0.5 * LANE_WIDTH_M, span_y), _YELLOW)
    _mix(color, 1.0 - np.exp(-depth / _HAZE_RANGE_M), _HAZE)
    return color


def sky_color(rays: FloatArray) -> FloatArray:
    """Returns [3, n] colours of the open sky in unit viewing directions [3, n]."""
    elevation = np.arcsin(np.clip(rays[2], -1.0, 1.0))
    color = _filled(rays.shape[1], _HAZE)
    _mix(color, np.clip(elevation / math.radians(60.0), 0.0, 1.0) ** 0.6, _ZENITH)
    return color


def plant_trees(color: FloatArray, rays: FloatArray, yaw_rad: float) -> None:
    """Paints the rim of trees over sky colours [3, n] in unit directions [3, n], in place.

    The rim stands still in the world: `yaw_rad` is the vehicle's heading in it.
    """
    turn = np.mod((np.arctan2(rays[1], rays[0]) + yaw_rad) / (2 * math.pi), 1.0)
    places = np.arange(len(_SKYLINE) + 1) / len(_SKYLINE)
    crests = np.interp(turn, places, np.append(_SKYLINE, _SKYLINE[0])).astype(np.float32)
    heights = math.radians(_LOWEST_TREE_DEG) + math.radians(_TREE_RANGE_DEG) * crests
    _mix(color, 0.8 * np.clip((heights - np.arcsin(rays[2])) / 0.004, 0.0, 1.0), _TREES)


def road_user_color(
    user: RoadUser, points: FloatArray, axis: NDArray[np.integer], side: FloatArray
) -> FloatArray:
    """Returns [3, n] colours of points on the faces of a road user's box.

    Args:
        user: whose box.
        points: [3, n] metres from the box centre, x along the heading.
        axis: [n] 0, 1 or 2: the face is across x, y or z.
        side: [n] +1 or -1: which of the two faces.
    """
    brightness = np.array(FACE_BRIGHTNESS, np.float32)[(side < 0).astype(int), axis]
    color = brightness * np.array(user.color, np.float32)[:, None]
    if user.class_name == 'pedestrian':
        return color
    a, b, c = points / (np.array(user.size_m)[:, None] / 2)
    flank, end = axis == 1, axis == 0
    window = (c > 0.2) & (c < 0.82)
    has_rear_window = user.class_name != 'truck'
    screen = end & (np.abs(b) < 0.84) & ((side > 0) | has_rear_window)
    _fill(color, window & (screen | flank & _flank_glass(user, a)), _GLASS)
    lamp = end & (np.abs(b) > 0.62) & (c > -0.5) & (c < -0.22)
    _fill(color, lamp & (side > 0), _HEADLIGHT)
    _fill(color, lamp & (side < 0), _TAILLIGHT)
    length, _, height = user.size_m
    along = np.abs(np.abs(points[0]) - _WHEEL_POSITION * length / 2)
    above = points[2] + height / 2 - _WHEEL_RADIUS_M
    _fill(color, flank & (np.hypot(along, above) < _WHEEL_RADIUS_M), _TYRE)
    return color


def _flank_glass(user: RoadUser, a: FloatArray) -> NDArray[np.bool_]:
    """Returns [n]: glass at this share of the length (-1 rear, 1 front), on a side face."""
    if user.class_name == 'truck':
        return (a > 0.68) & (a < 0.94)
    panes = np.mod((a + 1.0) * max(2.0, user.size_m[0] / 2.2) / 2.0, 1.0)
    return (np.abs(a) < 0.86) & (panes > 0.08)


def _line(d: FloatArray, at_m: float, span_y: FloatArray) -> FloatArray:
    """Returns [n] in 0..1: how much of a pixel a marking along the road at d = `at_m` covers."""
    inside = np.clip((_LINE_WIDTH_M / 2 - np.abs(d - at_m)) / span_y + 0.5, 0.0, 1.0)
    return np.minimum(inside, np.minimum(1.0, _LINE_WIDTH_M / span_y))


def _mix(color: FloatArray, share: FloatArray, paint: tuple[float, float, float]) -> None:
    """Moves colours [3, n] in place towards `paint` by share [n]."""
    for channel, value in zip(color, paint, strict=True):
        channel += share * (value - channel)


def _filled(count: int, paint: tuple[float, float, float]) -> FloatArray:
    return np.repeat(np.array(paint, np.float32)[:, None], count, axis=1)


def _fill(color: FloatArray, where: NDArray[np.bool_], paint: tuple[float, float, float]) -> None:
    color[:, where] = np.array(paint, np.float32)[:, None]
