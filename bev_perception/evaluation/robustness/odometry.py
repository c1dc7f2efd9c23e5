"""Ego motion that is missing or wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from bev_perception.evaluation.robustness.seeds import generator
from bev_perception.frame import FloatArray, FrameSet
from bev_perception.geometry.pose import Matrix, invert, pose_from_yaw
from bev_perception.inputs.ego_motion import EgoMotion
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class OdometryMissing:
    """No ego pose is ever known."""

    group: str = 'odometry'

    @property
    def name(self) -> str:
        """For tables."""
        return 'odometry missing'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets without ego poses."""
        for frame in frames:
            yield replace(frame, odom_T_base=None)


@dataclass(frozen=True)
class OdometryLate:
    """Ego poses of some time ago under present stamps, as from a filter that hides its latency.

    Poses between those of frame sets are interpolated; before the first, none has arrived.

    Attributes:
        delay_s: how much older the poses are than their stamps say.
    """

    delay_s: float
    group: str = 'odometry'

    @property
    def name(self) -> str:
        """For tables."""
        return f'odometry late {self.delay_s:g} s'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with old poses; keeps the poses of the time of the delay."""
        poses, epoch = self._no_poses(), None
        for frame in frames:
            if frame.epoch != epoch:
                poses, epoch = self._no_poses(), frame.epoch
            if frame.odom_T_base is None:
                yield frame
                continue
            poses.add(frame.stamp_ns, frame.odom_T_base)
            late_ns = frame.stamp_ns - round(self.delay_s * NS_PER_S)
            yield replace(frame, odom_T_base=poses.pose_at(late_ns))

    def _no_poses(self) -> EgoMotion:
        # A recording of one frame set a second has to keep more than the delay.
        return EgoMotion(history_s=self.delay_s + 5.0, max_extrapolation_s=0.0)


@dataclass(frozen=True)
class OdometryNoise:
    """White noise on every ego pose, in the plane, independent from frame to frame.

    Attributes:
        position_m: standard deviation along x and y of the base frame, each.
        yaw_deg: standard deviation of the heading.
    """

    position_m: float
    yaw_deg: float
    group: str = 'odometry'

    @property
    def name(self) -> str:
        """For tables."""
        return f'odometry noise {self.position_m:g} m {self.yaw_deg:g} deg'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with noisy poses."""
        for frame in frames:
            if frame.odom_T_base is None:
                yield frame
                continue
            error = _planar_error('noise', frame.stamp_ns, self.position_m, self.yaw_deg)
            yield replace(frame, odom_T_base=frame.odom_T_base @ error)


@dataclass(frozen=True)
class OdometryDrift:
    """Dead reckoning whose errors add up: a random walk of the ego pose, in the plane.

    Each motion between frame sets is off by noise whose variance grows with the time between
    them; poses are the chain of such motions, so they stay smooth but leave the truth.

    Attributes:
        position_m: standard deviation along x and y after one second, each; it grows with the
            square root of time.
        yaw_deg: likewise of the heading.
    """

    position_m: float
    yaw_deg: float
    group: str = 'odometry'

    @property
    def name(self) -> str:
        """For tables."""
        return f'odometry drift {self.position_m:g} m {self.yaw_deg:g} deg per sqrt(s)'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with drifting poses."""
        last: tuple[int, int, FloatArray, FloatArray] | None = None
        for frame in frames:
            if frame.odom_T_base is None:
                yield frame
                continue
            pose = frame.odom_T_base
            if last is not None and last[0] == frame.epoch:
                _, stamp_ns, true_pose, drifted = last
                motion = invert(true_pose) @ frame.odom_T_base
                growth = math.sqrt(max(frame.stamp_ns - stamp_ns, 0) / NS_PER_S)
                pose = drifted @ motion @ self._error(frame.stamp_ns, growth)
            last = frame.epoch, frame.stamp_ns, frame.odom_T_base, pose
            yield replace(frame, odom_T_base=pose)

    def _error(self, stamp_ns: int, growth: float) -> Matrix:
        return _planar_error('drift', stamp_ns, self.position_m * growth, self.yaw_deg * growth)


@dataclass(frozen=True)
class OdometryScale:
    """Distances are measured too long or too short, as with wheels of another size.

    Attributes:
        percent: by how much too long.
    """

    percent: float
    group: str = 'odometry'

    @property
    def name(self) -> str:
        """For tables."""
        return f'odometry scale {self.percent:+g} %'

    def apply(self, frames: Iterator[FrameSet]) -> Iterator[FrameSet]:
        """Yields the frame sets with positions scaled about the first one; headings stay."""
        start: tuple[int, FloatArray] | None = None
        for frame in frames:
            if frame.odom_T_base is None:
                yield frame
                continue
            pose = np.array(frame.odom_T_base, np.float64)
            if start is None or start[0] != frame.epoch:
                start = frame.epoch, pose[:3, 3].copy()
            pose[:3, 3] = start[1] + (1.0 + self.percent / 100.0) * (pose[:3, 3] - start[1])
            yield replace(frame, odom_T_base=pose)


def _planar_error(kind: str, stamp_ns: int, position_m: float, yaw_deg: float) -> Matrix:
    """Returns a random transform [4, 4] in the plane, drawn for a stamp."""
    x, y, yaw = generator('odometry', kind, stamp_ns).standard_normal(3).tolist()
    return pose_from_yaw(position_m * x, position_m * y, 0.0, math.radians(yaw_deg) * yaw)
