"""Identities of objects kept from frame to frame."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bev_perception.decode.flow_identity import footprint_iou, state_ahead
from bev_perception.frame import BevObject, FloatArray
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, transform
from bev_perception.units import NS_PER_S

CLASS_GROUPS: tuple[tuple[str, ...], ...] = (
    ('car', 'truck', 'bus', 'trailer', 'construction_vehicle', 'van', 'vehicle'),
    ('motorcycle', 'bicycle', 'two_wheeler', 'rider'),
    ('pedestrian', 'person'),
)

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, 'bev_perception/identity')
# Share of the squared distance that goes when box and instance are the same: twice the reach.
_OVERLAP_SHARE = 0.75
# The gate is so many standard deviations of a place, squared and halved as in a likelihood.
_GATE_LOG = 6.0**2 / 2.0
# Two velocities so different count as much as a distance of a gate, but at most as half a gate.
_VELOCITY_GATE_MPS = 6.0
_MOST_VELOCITY_COST = 0.25
# Velocities that follow from positions are averaged over about this time.
_SMOOTHING_S = 0.3


@dataclass
class _Track:
    """One identity.

    Attributes:
        seen: its object as it was seen last.
        odom_T_seen: [4, 4], base frame in which it was seen.
        stamp_ns: when it was.
        velocity_mps: [2], of the object then, in that base frame.
    """

    object_id: bytes
    group: str
    seen: BevObject
    odom_T_seen: NDArray[np.float64]
    stamp_ns: int
    velocity_mps: tuple[float, float] = (0.0, 0.0)
    age_frames: int = 0
    missed_frames: int = 0

    def age_s(self, stamp_ns: int) -> float:
        return (stamp_ns - self.stamp_ns) / NS_PER_S


@dataclass(frozen=True)
class _Expected:
    """Where the objects of M tracks should be now, in the base frame.

    Attributes:
        boxes: [M, 5], x, y, length, width, yaw.
        velocities_mps: [M, 2].
        gates_m: [M].
    """

    boxes: NDArray[np.float64]
    velocities_mps: NDArray[np.float64]
    gates_m: NDArray[np.float64]


class IdentityTracker:
    """Gives objects of consecutive frames ids that stay with them.

    A track remembers where its object was going: its most probable trajectory, which comes from
    the flow or from modes, else its velocity (`state_ahead`). Places are kept in the continuous
    frame `odom`, so the vehicle's own motion does not move them. Objects and tracks of the same
    class group are paired one to one at the least cost (`linear_sum_assignment`). Only an object
    nearer than the gate to the predicted place can be paired, at the cost

        d^2 + dv^2 + ln(gate^2 / least gate^2) / 18,

    a likelihood with standard deviations of a sixth of the gate: d is the distance in units of
    the gate, dv the difference of the velocities in units of 6 m/s, at most 1/2 (0 if unknown),
    and the last term is what a track not seen for longer loses by its wider gate. Where present
    instances are known, the IoU of the predicted box and the object's instance takes up to three
    quarters off d^2. Any pair is better than none. Objects without a track begin one.

    Ids are a hash of the first frame's stamp and the number of identities begun before (since
    construction or `reset`): the same input gives the same ids in every run.

    Without ego motion the vehicle counts as standing where it was last known to be.

    Args:
        max_age_frames: consecutive frames without its object that an identity survives.
        gate_m: farthest distance from the predicted place at which an object is recognised.
        gate_rate_mps: widening of the gate per second since the track was last seen.
        max_gap_s: frames farther apart than this, or going back in time, share no identities.
        class_groups: classes that may be confused for one another; any other class is a group
            of its own.
    """

    def __init__(
        self,
        max_age_frames: int = 3,
        gate_m: float = 1.5,
        gate_rate_mps: float = 3.0,
        max_gap_s: float = 2.0,
        class_groups: Sequence[Sequence[str]] = CLASS_GROUPS,
    ) -> None:
        self._max_age_frames = max_age_frames
        self._gate_m = gate_m
        self._gate_rate_mps = gate_rate_mps
        self._max_gap_ns = round(max_gap_s * NS_PER_S)
        self._group_of = {name: group[0] for group in class_groups for name in group}
        self.reset()

    def reset(self) -> None:
        """Forgets every identity and the vehicle's place: time jumped."""
        self._tracks: list[_Track] = []
        self._begun = 0
        self._stamp_ns: int | None = None
        self._odom_T_base: NDArray[np.float64] = np.eye(4)
        self._has_odom = False

    def update(
        self,
        objects: Sequence[BevObject],
        stamp_ns: int,
        odom_T_base: FloatArray | None,
        instances: NDArray[np.int32] | None = None,
        grid: BevGrid | None = None,
    ) -> tuple[BevObject, ...]:
        """Returns the objects of this frame in the same order, with `object_id`, `age_frames`.

        Args:
            objects: in the base frame at `stamp_ns`.
            stamp_ns: later than in the call before; otherwise everything is forgotten first.
            odom_T_base: [4, 4] vehicle pose in a continuous frame; None when unknown.
            instances: int32 [Y, X], present labels, to which the objects' `instance` refers;
                None when there are none.
            grid: geometry of `instances`.
        """
        if self._stamp_ns is not None:
            gap_ns = stamp_ns - self._stamp_ns
            if gap_ns <= 0 or gap_ns > self._max_gap_ns:
                self.reset()
        self._stamp_ns = stamp_ns
        if odom_T_base is not None:
            self._move_vehicle(np.asarray(odom_T_base, dtype=np.float64))

        groups = [self._group(item) for item in objects]
        pairs = self._associate(objects, groups, instances, grid)
        for track in self._tracks:
            track.missed_frames += 1
        seen = [
            self._see(item, pairs.get(index) or self._begin(item, groups[index]))
            for index, item in enumerate(objects)
        ]
        self._tracks = [t for t in self._tracks if t.missed_frames <= self._max_age_frames]
        return tuple(seen)

    def _move_vehicle(self, odom_T_base: NDArray[np.float64]) -> None:
        if not self._has_odom:
            # Until now tracks were kept in the base frame of a vehicle that stands still.
            for track in self._tracks:
                track.odom_T_seen = odom_T_base @ track.odom_T_seen
        self._odom_T_base, self._has_odom = odom_T_base, True

    def _associate(
        self,
        objects: Sequence[BevObject],
        groups: list[str],
        instances: NDArray[np.int32] | None,
        grid: BevGrid | None,
    ) -> dict[int, _Track]:
        """Returns the track of each object that has one, by the object's index."""
        if not len(objects) or not self._tracks:
            return {}
        expected = self._expect()
        places_m = np.array([item.center_m[:2] for item in objects])
        offset_m = places_m[:, None] - expected.boxes[None, :, :2]
        squared = np.sum(offset_m**2, axis=-1) / expected.gates_m**2
        if instances is not None and grid is not None:
            iou = footprint_iou(expected.boxes, objects, instances, grid)
            squared *= 1.0 - _OVERLAP_SHARE * iou
        same = np.array(groups)[:, None] == np.array([t.group for t in self._tracks])[None]
        allowed = same & (squared < 1.0)
        wide = 2.0 * np.log(expected.gates_m / expected.gates_m.min()) / _GATE_LOG
        cost = squared + _velocity_cost(objects, expected.velocities_mps) + wide
        none = 1.0 + _MOST_VELOCITY_COST + wide.max()
        rows, columns = linear_sum_assignment(np.where(allowed, cost, none))
        return {
            int(i): self._tracks[j] for i, j in zip(rows, columns, strict=True) if allowed[i, j]
        }

    def _expect(self) -> _Expected:
        ages_s = [track.age_s(self._now_ns()) for track in self._tracks]
        ahead = [
            state_ahead(track.seen, age_s, track.velocity_mps)
            for track, age_s in zip(self._tracks, ages_s, strict=True)
        ]
        base_T_seen = invert(self._odom_T_base) @ np.array([t.odom_T_seen for t in self._tracks])
        center_m = np.array([state.center_m for state in ahead])
        velocity_mps = np.array([state.velocity_mps for state in ahead])
        turn_rad = np.arctan2(base_T_seen[:, 1, 0], base_T_seen[:, 0, 0])
        xy_m = np.einsum('mij,mj->mi', base_T_seen[:, :2, :3], center_m) + base_T_seen[:, :2, 3]
        return _Expected(
            np.column_stack(
                [
                    xy_m,
                    np.array([track.seen.size_m[:2] for track in self._tracks]),
                    np.array([state.yaw_rad for state in ahead]) + turn_rad,
                ]
            ),
            np.einsum('mij,mj->mi', base_T_seen[:, :2, :2], velocity_mps),
            self._gate_m + self._gate_rate_mps * np.array(ages_s),
        )

    def _begin(self, item: BevObject, group: str) -> _Track:
        object_id = uuid.uuid5(_NAMESPACE, f'{self._now_ns()}/{self._begun}').bytes
        self._begun += 1
        track = _Track(object_id, group, item, self._odom_T_base, self._now_ns())
        self._tracks.append(track)
        return track

    def _see(self, item: BevObject, track: _Track) -> BevObject:
        """Takes an object into its track; returns it with the track's id and age."""
        track.velocity_mps = item.velocity_mps or self._velocity(item, track)
        track.seen, track.odom_T_seen = item, self._odom_T_base
        track.stamp_ns = self._now_ns()
        track.age_frames += 1
        track.missed_frames = 0
        return replace(item, object_id=track.object_id, age_frames=track.age_frames)

    def _velocity(self, item: BevObject, track: _Track) -> tuple[float, float]:
        """Returns the velocity that follows from where the track was seen before and is now."""
        age_s = track.age_s(self._now_ns())
        if age_s <= 0.0:
            return track.velocity_mps
        base_T_seen = invert(self._odom_T_base) @ track.odom_T_seen
        before_mps = base_T_seen[:2, :2] @ np.array(track.velocity_mps)
        moved_m = np.array(item.center_m) - transform(base_T_seen, track.seen.center_m)
        newness = max(1.0 / track.age_frames, 1.0 - math.exp(-age_s / _SMOOTHING_S))
        vx, vy = (before_mps + newness * (moved_m[:2] / age_s - before_mps)).tolist()
        return vx, vy

    def _now_ns(self) -> int:
        assert self._stamp_ns is not None
        return self._stamp_ns

    def _group(self, item: BevObject) -> str:
        name = item.classes[0].name
        return self._group_of.get(name, name)


def _velocity_cost(
    objects: Sequence[BevObject], expected_mps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns [N, M], at most `_MOST_VELOCITY_COST`; 0 for objects of unknown velocity."""
    unknown = (math.nan, math.nan)
    measured_mps = np.array(
        [item.velocity_mps or state_ahead(item, 0.0, unknown).velocity_mps for item in objects]
    )
    squared = np.sum((measured_mps[:, None] - expected_mps[None]) ** 2, axis=-1)
    return np.minimum(np.nan_to_num(squared) / _VELOCITY_GATE_MPS**2, _MOST_VELOCITY_COST)
