"""Ground truth of a whole scene, asked by time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.frame import FloatArray, TruthFrame, TruthObjects, stamps_of
from bev_perception.geometry.pose import interpolate, invert, wrap_angle
from bev_perception.units import NS_PER_S


class SceneTruth:
    """Frames of ground truth, oldest first.

    Args:
        frames: their stamps must rise.
        max_gap_s: between two frames farther apart than this nothing is interpolated.

    Raises:
        ValueError: stamps do not rise.
    """

    def __init__(self, frames: Sequence[TruthFrame], max_gap_s: float = 1.5) -> None:
        self.frames = tuple(frames)
        self._stamps = stamps_of(self.frames)
        self._max_gap_ns = round(max_gap_s * NS_PER_S)
        if bool(np.any(np.diff(self._stamps) <= 0)):
            raise ValueError('stamps of ground-truth frames must rise')

    @property
    def stamps_ns(self) -> NDArray[np.int64]:
        """Stamps of the frames, [n]."""
        return self._stamps

    def nearest(self, stamp_ns: int, tolerance_s: float) -> TruthFrame | None:
        """Returns the frame nearest to an instant; None when none is within the tolerance."""
        if not len(self._stamps):
            return None
        index = int(np.argmin(np.abs(self._stamps - stamp_ns)))
        away_ns = abs(int(self._stamps[index]) - stamp_ns)
        return self.frames[index] if away_ns <= round(tolerance_s * NS_PER_S) else None

    def pose_at(self, stamp_ns: int) -> FloatArray | None:
        """Returns the ego pose [4, 4] at an instant, between frames interpolated; None if unknown.

        Between frames the vehicle goes straight from one pose to the other.
        """
        after = int(np.searchsorted(self._stamps, stamp_ns))
        if after < len(self._stamps) and self._stamps[after] == stamp_ns:
            return self.frames[after].odom_T_base
        if after in (0, len(self._stamps)):
            return None
        old, new = self.frames[after - 1], self.frames[after]
        if old.odom_T_base is None or new.odom_T_base is None:
            return None
        if new.stamp_ns - old.stamp_ns > self._max_gap_ns:
            return None
        share = (stamp_ns - old.stamp_ns) / (new.stamp_ns - old.stamp_ns)
        return np.asarray(interpolate(old.odom_T_base, new.odom_T_base, share))

    def objects_at(self, stamp_ns: int, in_base_of: TruthFrame) -> TruthObjects | None:
        """Returns the objects at any instant, in the base frame of a frame of this scene.

        Between two frames an object's box goes straight from one to the other and turns the
        shorter way; one that is in a single of them is not there in between.

        Returns:
            None when the instant is not covered: outside the scene, between frames that are too
            far apart, without objects or, for another frame's, without ego poses.
        """
        after = int(np.searchsorted(self._stamps, stamp_ns))
        if after < len(self._stamps) and self._stamps[after] == stamp_ns:
            return self._in_base(self.frames[after], in_base_of)
        if after in (0, len(self._stamps)):
            return None
        old, new = self.frames[after - 1], self.frames[after]
        if new.stamp_ns - old.stamp_ns > self._max_gap_ns:
            return None
        first, second = self._in_base(old, in_base_of), self._in_base(new, in_base_of)
        if first is None or second is None:
            return None
        share = (stamp_ns - old.stamp_ns) / (new.stamp_ns - old.stamp_ns)
        return between(first, second, share)

    def _in_base(self, frame: TruthFrame, target: TruthFrame) -> TruthObjects | None:
        if frame is target or frame.objects is None:
            return frame.objects
        if frame.odom_T_base is None or target.odom_T_base is None:
            return None
        return frame.objects.transformed(invert(target.odom_T_base) @ frame.odom_T_base)


def between(first: TruthObjects, second: TruthObjects, share: float) -> TruthObjects:
    """Returns the objects that are in both, at a share of the way from the first to the second."""
    place = {track: row for row, track in enumerate(second.track) if track}
    rows = [row for row, track in enumerate(first.track) if track in place]
    old = first.selected(np.array(rows, np.int64))
    new = second.selected(np.array([place[track] for track in old.track], np.int64))

    def mixed(a: FloatArray, b: FloatArray) -> FloatArray:
        return a + share * (b - a)

    turn = wrap_angle(new.yaw_rad - old.yaw_rad)
    return TruthObjects(
        old.track,
        old.class_name,
        mixed(old.center_m, new.center_m),
        mixed(old.size_m, new.size_m),
        wrap_angle(old.yaw_rad + share * turn),
        mixed(old.velocity_mps, new.velocity_mps),
        mixed(old.visibility, new.visibility),
        np.minimum(old.points, new.points),
    )
