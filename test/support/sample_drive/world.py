"""A small street with traffic whose every pose is known in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import invert, pose_from_yaw, wrap_angle

FloatArray = NDArray[np.float64]
Color = tuple[int, int, int]

EGO_SPEED_MPS = 8.0
LANE_WIDTH_M = 3.5
PARKING_CENTER_M = 6.5
_CURVE_RADIUS_M = 220.0
_TRUTH_RANGE_M = 70.0
_ONCOMING_SPEED_MPS = 8.0
_PAINTS: tuple[Color, ...] = (
    (200, 44, 40), (40, 92, 190), (232, 232, 228), (236, 178, 32), (44, 138, 84),
    (150, 156, 164), (118, 58, 150), (224, 104, 30), (38, 158, 170), (96, 70, 52),
)  # fmt: skip
_SIZES = {
    'car': (4.5, 1.85, 1.5),
    'truck': (7.6, 2.4, 2.9),
    'bus': (11.0, 2.5, 3.1),
    'pedestrian': (0.5, 0.6, 1.75),
}


@dataclass(frozen=True)
class Road:
    """A road of constant curvature. (s, d): metres along its middle, metres to the left of it.

    Attributes:
        radius_m: of the middle line; positive: it bends to the left.
        start: [4, 4] odom_T_road, where s = d = 0, heading along the road.
    """

    radius_m: float
    start: FloatArray

    def pose(self, s_m: float, d_m: float) -> FloatArray:
        """Returns [4, 4] odom_T_point on the ground, x along the road."""
        yaw = s_m / self.radius_m
        along = (self.radius_m - d_m) * math.sin(yaw)
        left = self.radius_m - (self.radius_m - d_m) * math.cos(yaw)
        return self.start @ pose_from_yaw(along, left, 0.0, yaw)

    def coordinates(self, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        """Returns (s, d) of points given relative to `start`; inverse of `pose`."""
        side = math.copysign(1.0, self.radius_m)
        across = (self.radius_m - y) * side
        s = abs(self.radius_m) * np.arctan2(x, across)
        return s, self.radius_m - side * np.hypot(x, across)


@dataclass(frozen=True)
class RoadUser:
    """A box that keeps to its lane at constant speed.

    Attributes:
        track_id: identity in the truth.
        class_name: car, truck, bus or pedestrian.
        size_m: length, width, height.
        color: of its body, RGB.
        s_m: where it is along the road at time 0.
        d_m: lane centre it keeps to.
        speed_mps: over ground, along its own heading.
        oncoming: heads against the direction of s.
    """

    track_id: int
    class_name: str
    size_m: tuple[float, float, float]
    color: Color
    s_m: float
    d_m: float
    speed_mps: float
    oncoming: bool

    def pose(self, road: Road, time_s: float) -> FloatArray:
        """Returns [4, 4] odom_T_center: box centre, x along the heading."""
        direction = -1.0 if self.oncoming else 1.0
        rate = direction * self.speed_mps / (1.0 - self.d_m / road.radius_m)
        turn = pose_from_yaw(0.0, 0.0, self.size_m[2] / 2, math.pi if self.oncoming else 0.0)
        return road.pose(self.s_m + rate * time_s, self.d_m) @ turn


@dataclass(frozen=True)
class SampleWorld:
    """The street: an ego vehicle in the middle lane of a gentle curve, among other road users.

    Attributes:
        seed: decides curve direction, start pose, paints, sizes and gaps.
        duration_s: how long there shall be traffic.
    """

    seed: int
    duration_s: float

    @cached_property
    def road(self) -> Road:
        random = np.random.default_rng([self.seed, 0])
        x, y = random.uniform(-20.0, 20.0, 2).tolist()
        side = 1.0 if random.random() < 0.5 else -1.0
        yaw = float(random.uniform(-math.pi, math.pi))
        return Road(side * _CURVE_RADIUS_M, pose_from_yaw(x, y, 0.0, yaw))

    @cached_property
    def road_users(self) -> tuple[RoadUser, ...]:
        random = np.random.default_rng([self.seed, 1])
        plan = [*_moving(self.duration_s), *_parked(random, self.duration_s)]
        return tuple(_build(random, track_id, *entry) for track_id, entry in enumerate(plan, 1))

    def ego_pose(self, time_s: float) -> FloatArray:
        """Returns [4, 4] odom_T_base."""
        return self.road.pose(EGO_SPEED_MPS * time_s, 0.0)

    @property
    def ego_yaw_rate_radps(self) -> float:
        return EGO_SPEED_MPS / self.road.radius_m

    def truth(self, time_s: float) -> list[dict[str, Any]]:
        """Returns every road user within 70 m, in the base frame at that time, velocity included.

        Keys: track_id, class_name, center_m, length_m, width_m, height_m, yaw_rad, velocity_mps.
        """
        base_T_odom = invert(self.ego_pose(time_s))
        entries = []
        for user in self.road_users:
            base_T_center = base_T_odom @ user.pose(self.road, time_s)
            if math.hypot(base_T_center[0, 3], base_T_center[1, 3]) <= _TRUTH_RANGE_M:
                entries.append(_truth_entry(user, base_T_center))
        return entries


def _truth_entry(user: RoadUser, base_T_center: FloatArray) -> dict[str, Any]:
    heading = base_T_center[:2, 0]
    length, width, height = user.size_m
    return {
        'track_id': user.track_id,
        'class_name': user.class_name,
        'center_m': [round(value, 6) for value in base_T_center[:3, 3].tolist()],
        'length_m': length,
        'width_m': width,
        'height_m': height,
        'yaw_rad': round(wrap_angle(math.atan2(heading[1], heading[0])), 8),
        'velocity_mps': [round(value, 6) for value in (user.speed_mps * heading).tolist()],
    }


def _moving(duration_s: float) -> list[tuple[str, float, float, float, bool]]:
    """Returns class, s, d, speed, oncoming of everything that moves; nobody catches up anybody."""
    plan = [
        ('car', 17.0, 0.0, 8.6, False),
        ('truck', 22.0, -LANE_WIDTH_M, 7.2, False),
        ('car', -8.0, -LANE_WIDTH_M, 7.5, False),
        ('car', -17.0, 0.0, 7.8, False),
        ('pedestrian', 17.0, -9.2, 1.3, False),
        ('pedestrian', 9.0, 9.4, 1.2, True),
    ]
    reach_m = 60.0 + (EGO_SPEED_MPS + _ONCOMING_SPEED_MPS) * duration_s
    kinds: Sequence[str] = ('car', 'bus', 'car', 'truck')
    for index, s_m in enumerate(np.arange(12.0, reach_m, 27.0).tolist()):
        kind = kinds[index % len(kinds)]
        plan.append((kind, s_m, LANE_WIDTH_M, _ONCOMING_SPEED_MPS, True))
    return plan


def _parked(
    random: np.random.Generator, duration_s: float
) -> list[tuple[str, float, float, float, bool]]:
    plan = []
    last_m = 55.0 + EGO_SPEED_MPS * duration_s
    for side in (-1.0, 1.0):
        for s_m in np.arange(-45.0, last_m, 7.5).tolist():
            present, jitter = random.random() < 0.55, random.uniform(-0.8, 0.8)
            if present:
                plan.append(('car', s_m + jitter, side * PARKING_CENTER_M, 0.0, side > 0))
    return plan


def _build(
    random: np.random.Generator,
    track_id: int,
    class_name: str,
    s_m: float,
    d_m: float,
    speed_mps: float,
    oncoming: bool,
) -> RoadUser:
    scale = random.uniform(0.94, 1.06, 3)
    length, width, height = (round(v, 2) for v in (scale * _SIZES[class_name]).tolist())
    color = _PAINTS[int(random.integers(len(_PAINTS)))]
    return RoadUser(
        track_id, class_name, (length, width, height), color, s_m, d_m, speed_mps, oncoming
    )
