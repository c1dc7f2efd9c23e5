"""Where the vehicle was at a given stamp, from odometry samples or from transforms."""

from __future__ import annotations

from bisect import bisect_left
from typing import Protocol

from bev_perception.errors import TransformUnavailable
from bev_perception.frame import FloatArray
from bev_perception.geometry.pose import interpolate
from bev_perception.inputs.calibration import TransformSource
from bev_perception.units import NS_PER_S


class EgoMotionSource(Protocol):
    """Whatever answers ego poses; must not wait."""

    def covers(self, stamp_ns: int) -> bool:
        """Returns whether nothing better than `pose_at` is to come for `stamp_ns`."""
        ...

    def pose_at(self, stamp_ns: int) -> FloatArray | None:
        """Returns odom_T_base [4, 4] at `stamp_ns`; None when unknown."""
        ...

    def clear(self) -> None:
        """Forgets all samples (time jumped)."""
        ...


class TransformEgoMotion:
    """Ego poses out of the transforms between a continuous frame and the base frame."""

    def __init__(self, transforms: TransformSource, odom_frame: str, base_frame: str) -> None:
        self._transforms = transforms
        self._frames = odom_frame, base_frame

    def covers(self, stamp_ns: int) -> bool:
        """Returns whether the transform is known at `stamp_ns`."""
        return self.pose_at(stamp_ns) is not None

    def pose_at(self, stamp_ns: int) -> FloatArray | None:
        """Returns odom_T_base [4, 4] at `stamp_ns`; None when unknown."""
        try:
            return self._transforms.lookup(*self._frames, stamp_ns)
        except TransformUnavailable:
            return None

    def clear(self) -> None:
        """Has nothing of its own to forget: the owner of the transforms does that."""


class EgoMotion:
    """Poses odom_T_base over time, answered at any stamp inside or shortly after them.

    Args:
        history_s: how long samples are kept behind the newest one.
        max_extrapolation_s: how far beyond the newest (or before the oldest) sample a pose is
            still given, continuing the motion between the two nearest samples.
    """

    def __init__(self, history_s: float = 10.0, max_extrapolation_s: float = 0.2) -> None:
        self._history_ns = round(history_s * NS_PER_S)
        self._max_extrapolation_ns = round(max_extrapolation_s * NS_PER_S)
        self._stamps_ns: list[int] = []
        self._poses: list[FloatArray] = []

    def add(self, stamp_ns: int, odom_T_base: FloatArray) -> None:
        """Stores one sample; samples may come out of order, a repeated stamp replaces."""
        at = bisect_left(self._stamps_ns, stamp_ns)
        if at < len(self._stamps_ns) and self._stamps_ns[at] == stamp_ns:
            self._poses[at] = odom_T_base
            return
        self._stamps_ns.insert(at, stamp_ns)
        self._poses.insert(at, odom_T_base)
        while self._stamps_ns[-1] - self._stamps_ns[0] > self._history_ns:
            del self._stamps_ns[0], self._poses[0]

    def covers(self, stamp_ns: int) -> bool:
        """Returns whether a sample at or after `stamp_ns` is known: nothing better will come."""
        return bool(self._stamps_ns) and self._stamps_ns[-1] >= stamp_ns

    def pose_at(self, stamp_ns: int) -> FloatArray | None:
        """Returns odom_T_base [4, 4] at `stamp_ns`; None when no sample is near enough."""
        stamps = self._stamps_ns
        if not stamps:
            return None
        after = bisect_left(stamps, stamp_ns)
        if after < len(stamps) and stamps[after] == stamp_ns:
            return self._poses[after]
        nearest = min(abs(stamps[0] - stamp_ns), abs(stamps[-1] - stamp_ns))
        if after in (0, len(stamps)) and nearest > self._max_extrapolation_ns:
            return None
        if len(stamps) == 1:
            return self._poses[0]
        low = min(max(after - 1, 0), len(stamps) - 2)
        share = (stamp_ns - stamps[low]) / (stamps[low + 1] - stamps[low])
        return interpolate(self._poses[low], self._poses[low + 1], share)

    def clear(self) -> None:
        """Forgets all samples (time jumped)."""
        self._stamps_ns.clear()
        self._poses.clear()
