"""Which frames of a scene have labels: ground truth at their instant, and of the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.pose import Matrix, invert
from bev_perception.units import NS_PER_S
from bev_trainer.data.scene_table import FrameTable

# How far the truth of a frame may be off in time: as in evaluations where everybody can be
# followed to the frame's own instant, else so little that it does not matter.
FOLLOWED_TOLERANCE_S, TOLERANCE_S = 0.15, 0.05
_JITTER_SHARE = 0.02  # of a period: stamps are not exact
_LONGEST_STEP = 2.5  # in periods: truth that comes more seldom makes no clip
_LONGEST_GAP_S = 1.5  # as `SceneTruth`: nothing is interpolated over more


@dataclass(frozen=True)
class Needs:
    """What a model must be told of a frame.

    Attributes:
        objects: the road users.
        horizon_s: where they are that much later.
        every_s: frames with labels are at least so far apart.
    """

    objects: bool = True
    horizon_s: float = 0.0
    every_s: float = 0.5


@dataclass(frozen=True, eq=False)
class LabelPlace:
    """A frame with labels.

    Attributes:
        frame: number of the frame set.
        truth: number of the frame of ground truth.
        instant_ns: at which its road users are asked for: the frame's own where they can be
            followed to it, else that of the truth.
        base_T_truth: [4, 4] maps the base frame of the truth to that of the frame; None: they are
            the same, or how the vehicle moved in between is not known.
    """

    frame: int
    truth: int
    instant_ns: int
    base_T_truth: Matrix | None = None


def label_places(truth: SceneTruth, table: FrameTable, needs: Needs) -> tuple[LabelPlace, ...]:
    """Returns the frames that can be labelled, `needs.every_s` apart, in order.

    Where some of the truth carries maps, that without is not taken.

    Args:
        truth: of the scene.
        table: of its frame sets.
        needs: of the model.
    """
    linked = _Links(truth)
    found: list[LabelPlace] = []
    for index, frame in _pairs(truth, table, needs):
        stamp_ns = truth.frames[index].stamp_ns
        if found and _early(stamp_ns - truth.frames[found[-1].truth].stamp_ns, needs):
            continue
        place = _place(truth, index, table, frame, linked)
        if place is not None and linked.covers(index, place.instant_ns, needs.horizon_s):
            found.append(place)
    return tuple(found)


def clip_starts(
    places: Sequence[LabelPlace], stamps_ns: NDArray[np.int64], frames: int, every_s: float
) -> tuple[int, ...]:
    """Returns at which places a clip of so many labelled frames without a gap can begin."""
    stamps = stamps_ns[[place.frame for place in places]]
    close = np.diff(stamps) <= _LONGEST_STEP * every_s * NS_PER_S
    return tuple(
        first
        for first in range(len(places) - frames + 1)
        if close[first : first + frames - 1].all()
    )


def _early(passed_ns: int, needs: Needs) -> bool:
    return passed_ns < round((1.0 - _JITTER_SHARE) * needs.every_s * NS_PER_S)


class _Links:
    """From which frames of ground truth road users can be followed, and how far.

    That takes names of all of them, and ego poses, without a gap in time.
    """

    def __init__(self, truth: SceneTruth) -> None:
        self._stamps = truth.stamps_ns
        named = [
            f.objects is not None and all(f.objects.track) and f.odom_T_base is not None
            for f in truth.frames
        ]
        self._named = np.array(named, np.bool_)
        near = np.diff(self._stamps) <= _LONGEST_GAP_S * NS_PER_S
        self._joined = self._named[:-1] & self._named[1:] & near
        self._reach_ns = self._stamps.copy()
        for index in range(len(self._joined) - 1, -1, -1):
            if self._joined[index]:
                self._reach_ns[index] = self._reach_ns[index + 1]

    def reaches(self, index: int, stamp_ns: int) -> bool:
        """Returns whether an instant lies between a frame and one that it is joined to."""
        if stamp_ns < self._stamps[index]:
            return index > 0 and bool(
                self._joined[index - 1] and self._stamps[index - 1] <= stamp_ns
            )
        return bool(self._named[index] and stamp_ns <= self._reach_ns[index])

    def covers(self, index: int, instant_ns: int, horizon_s: float) -> bool:
        """Returns whether road users can be followed from an instant on for a time."""
        if horizon_s == 0.0:
            return True
        return self.reaches(index, instant_ns + round(horizon_s * NS_PER_S))


def _pairs(truth: SceneTruth, table: FrameTable, needs: Needs) -> list[tuple[int, int]]:
    """Returns which frame of ground truth and which frame set are the nearest to each other."""
    mapped = any(frame.layers for frame in truth.frames)
    rows = [
        index
        for index, frame in enumerate(truth.frames)
        if (frame.layers or not mapped) and (frame.objects is not None or not needs.objects)
    ]
    if not rows or not len(table):
        return []
    stamps_ns = truth.stamps_ns[rows]
    nearest = _nearest(table.stamps_ns, stamps_ns)
    back = _nearest(stamps_ns, table.stamps_ns[nearest])
    return [(rows[n], int(nearest[n])) for n in range(len(rows)) if back[n] == n]


def _nearest(stamps_ns: NDArray[np.int64], wanted_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns [n], which of some rising stamps is the nearest to each wanted, of two the first."""
    after = np.minimum(np.searchsorted(stamps_ns, wanted_ns), len(stamps_ns) - 1)
    before = np.maximum(after - 1, 0)
    first = np.abs(stamps_ns[before] - wanted_ns) <= np.abs(stamps_ns[after] - wanted_ns)
    return np.where(first, before, after)


def _place(
    truth: SceneTruth, index: int, table: FrameTable, nearest: int, linked: _Links
) -> LabelPlace | None:
    """Returns the frame set of a frame of ground truth; None if it is too far off in time."""
    truth_ns, stamp_ns = truth.frames[index].stamp_ns, int(table.stamps_ns[nearest])
    followed = linked.reaches(index, stamp_ns)
    away_s = abs(stamp_ns - truth_ns) / NS_PER_S
    if away_s > (FOLLOWED_TOLERANCE_S if followed else TOLERANCE_S):
        return None
    if stamp_ns == truth_ns:
        return LabelPlace(nearest, index, stamp_ns)
    instant_ns = stamp_ns if followed else truth_ns
    return LabelPlace(nearest, index, instant_ns, _moved(truth, index, table, nearest))


def _moved(truth: SceneTruth, index: int, table: FrameTable, frame: int) -> Matrix | None:
    """Returns base_T_truth [4, 4], both poses from one source; None if unknown."""
    stamp_ns, one = int(table.stamps_ns[frame]), truth.frames[index]
    then, now = one.odom_T_base, truth.pose_at(stamp_ns)
    if then is None or now is None:
        then, now = table.pose_between(one.stamp_ns, _LONGEST_GAP_S), table.pose(frame)
    return None if then is None or now is None else invert(now) @ then
