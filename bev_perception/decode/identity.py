"""Identities of objects kept from frame to frame."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bev_perception.frame import BevObject, FloatArray
from bev_perception.geometry.pose import transform
from bev_perception.units import NS_PER_S

CLASS_GROUPS: tuple[tuple[str, ...], ...] = (
    ('car', 'truck', 'bus', 'trailer', 'construction_vehicle', 'van', 'vehicle'),
    ('motorcycle', 'bicycle', 'two_wheeler', 'rider'),
    ('pedestrian', 'person'),
)

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, 'bev_perception/identity')


@dataclass
class _Track:
    """One identity; position and velocity in the continuous frame `odom`."""

    object_id: bytes
    group: str
    position_m: NDArray[np.float64]
    velocity_mps: NDArray[np.float64]
    stamp_ns: int
    age_frames: int = 0
    missed_frames: int = 0


class IdentityTracker:
    """Gives objects of consecutive frames ids that stay with them.

    A track moves with constant velocity in the continuous frame `odom`, so the vehicle's own
    motion does not move it. Objects and tracks of the same class group are paired one to one with
    the least sum of squared distances in units of the gate, a pair beyond the gate being worth as
    much as leaving both alone (assignment by `linear_sum_assignment`). Objects without a track
    begin one.

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
        self, objects: Sequence[BevObject], stamp_ns: int, odom_T_base: FloatArray | None
    ) -> tuple[BevObject, ...]:
        """Returns the objects of this frame in the same order, with `object_id`, `age_frames`.

        Args:
            objects: in the base frame at `stamp_ns`.
            stamp_ns: later than in the call before; otherwise everything is forgotten first.
            odom_T_base: [4, 4] vehicle pose in a continuous frame; None when unknown.
        """
        if self._stamp_ns is not None:
            gap_ns = stamp_ns - self._stamp_ns
            if gap_ns <= 0 or gap_ns > self._max_gap_ns:
                self.reset()
        self._stamp_ns = stamp_ns
        if odom_T_base is not None:
            self._move_vehicle(np.asarray(odom_T_base, dtype=np.float64))

        positions_m = transform(
            self._odom_T_base, np.array([item.center_m for item in objects]).reshape(-1, 3)
        )[:, :2]
        groups = [self._group(item) for item in objects]
        pairs = self._associate(positions_m, groups, stamp_ns)
        for track in self._tracks:
            track.missed_frames += 1
        tracks = []
        for index, item in enumerate(objects):
            velocity = self._velocity_in_odom(item)
            track = pairs.get(index) or self._begin(groups[index], positions_m[index], stamp_ns)
            _see(track, positions_m[index], velocity, stamp_ns)
            tracks.append(track)
        self._tracks = [t for t in self._tracks if t.missed_frames <= self._max_age_frames]
        return tuple(
            replace(item, object_id=track.object_id, age_frames=track.age_frames)
            for item, track in zip(objects, tracks, strict=True)
        )

    def _move_vehicle(self, odom_T_base: NDArray[np.float64]) -> None:
        if not self._has_odom:
            # Until now tracks were kept in the base frame of a vehicle that stands still.
            for track in self._tracks:
                track.position_m = transform(odom_T_base, [*track.position_m, 0.0])[:2]
                track.velocity_mps = odom_T_base[:2, :2] @ track.velocity_mps
        self._odom_T_base, self._has_odom = odom_T_base, True

    def _associate(
        self, positions_m: NDArray[np.float64], groups: list[str], stamp_ns: int
    ) -> dict[int, _Track]:
        """Returns the track of each object that has one, by the object's index."""
        if not len(positions_m) or not self._tracks:
            return {}
        age_s = np.array([(stamp_ns - t.stamp_ns) / NS_PER_S for t in self._tracks])
        places_m = np.array([t.position_m for t in self._tracks])
        speeds_mps = np.array([t.velocity_mps for t in self._tracks])
        places_m = places_m + speeds_mps * age_s[:, None]
        gate_m = self._gate_m + self._gate_rate_mps * age_s
        distance = np.linalg.norm(positions_m[:, None] - places_m[None], axis=-1) / gate_m
        same = np.array(groups)[:, None] == np.array([t.group for t in self._tracks])[None]
        cost = np.where(same & (distance < 1.0), distance**2, 1.0)
        rows, columns = linear_sum_assignment(cost)
        return {
            int(i): self._tracks[j] for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1.0
        }

    def _begin(self, group: str, position_m: NDArray[np.float64], stamp_ns: int) -> _Track:
        object_id = uuid.uuid5(_NAMESPACE, f'{stamp_ns}/{self._begun}').bytes
        self._begun += 1
        track = _Track(object_id, group, position_m, np.zeros(2), stamp_ns)
        self._tracks.append(track)
        return track

    def _group(self, item: BevObject) -> str:
        name = item.classes[0].name
        return self._group_of.get(name, name)

    def _velocity_in_odom(self, item: BevObject) -> NDArray[np.float64] | None:
        if item.velocity_mps is None:
            return None
        return self._odom_T_base[:2, :2] @ np.array(item.velocity_mps)


def _see(
    track: _Track,
    position_m: NDArray[np.float64],
    velocity_mps: NDArray[np.float64] | None,
    stamp_ns: int,
) -> None:
    """Takes the observation of a track into it; unmeasured velocity follows from the positions."""
    age_s = (stamp_ns - track.stamp_ns) / NS_PER_S
    if velocity_mps is None:
        velocity_mps = (position_m - track.position_m) / age_s if age_s else np.zeros(2)
    track.position_m, track.velocity_mps, track.stamp_ns = position_m, velocity_mps, stamp_ns
    track.age_frames += 1
    track.missed_frames = 0
