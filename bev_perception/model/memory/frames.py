"""Where the memory lies: ego poses in, the motion of each step out. Host side, float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import wrap_angle
from bev_perception.model.memory.motion import MemoryMotion
from bev_perception.model.memory.planar import IDENTITY, PlanarPose
from bev_perception.units import NS_PER_S

MemoryKind = Literal['recurrent', 'ring']

# A pose may be off by this much however short the gap: odometry is not exact.
POSE_SLACK_M = 0.5
POSE_SLACK_RAD = 0.1
# Faster turns than a full one per second are not a vehicle's.
MAX_YAW_RATE_RADPS = 2.0 * math.pi
# Turning away again by this share of the bound, in the direction of the turn, lets the memory
# frame rest for almost twice the bound in a curve.
YAW_LEAD = 0.8

UNKNOWN_POSE = 'the ego pose is unknown'


class MemoryFrames:
    """Follows one vehicle and says per frame where its past maps are.

    Call `step` once per frame that is given to the memory module, in order. What was remembered
    is dropped (`keep` False) when it would be wrong: time does not advance, too long a gap, a
    pose that jumped, an unknown pose. A frame of unknown pose is not remembered itself either.

    Args:
        kind: 'recurrent' or 'ring'.
        slots: number of past maps; 1 for 'recurrent'.
        grid: of the BEV features.
        max_gap_s: longest time between two frames that is bridged.
        max_speed_mps: a pose farther away than this speed explains is a jump.
        max_yaw_residual_rad: how far a recurrent memory may be turned against the vehicle.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        kind: MemoryKind,
        slots: int,
        grid: BevGrid,
        max_gap_s: float,
        max_speed_mps: float = 70.0,
        max_yaw_residual_rad: float = math.radians(5.0),
    ) -> None:
        if kind not in ('recurrent', 'ring'):
            raise ConfigError(f"memory kind '{kind}' is unknown; choose recurrent or ring")
        if slots < 1 or (kind == 'recurrent' and slots != 1):
            raise ConfigError(f'a {kind} memory cannot have {slots} slots')
        if not (max_gap_s > 0 and max_speed_mps > 0 and max_yaw_residual_rad > 0):
            raise ConfigError(
                f'memory: max_gap_s, max_speed_mps and max_yaw_residual_rad must be > 0, got '
                f'{max_gap_s}, {max_speed_mps} and {max_yaw_residual_rad}'
            )
        self._max_gap_s, self._max_speed_mps = max_gap_s, max_speed_mps
        self._track: _Track = (
            _RecurrentTrack(grid.resolution_m, max_yaw_residual_rad)
            if kind == 'recurrent'
            else _RingTrack(slots)
        )
        self._last: tuple[int, PlanarPose] | None = None
        self._blind = False  # a frame without ego pose came last: nothing connects to it
        self._forgotten = ''

    @property
    def forgotten(self) -> str:
        """Why the last step dropped the past, one line for people; empty if it did not."""
        return self._forgotten

    def reset(self) -> None:
        """Drops the past: the next step keeps nothing."""
        self._last, self._blind = None, False

    def step(self, stamp_ns: int, odom_T_base: NDArray[np.floating] | None) -> MemoryMotion:
        """Returns the motion (batch 1, CPU) of the frame at `stamp_ns`.

        Args:
            stamp_ns: of the frame.
            odom_T_base: [4, 4] ego pose in a continuous frame; None (or one that is not finite)
                when unknown.
        """
        known = odom_T_base is not None and bool(np.all(np.isfinite(odom_T_base)))
        pose = PlanarPose.of(odom_T_base) if odom_T_base is not None and known else None
        if self._last is not None:
            self._forgotten = self._break(stamp_ns, pose)
        else:
            self._forgotten = UNKNOWN_POSE if self._blind else ''
        if self._last is None or self._forgotten:
            self._track.clear()
        motion = self._track.advance(stamp_ns, IDENTITY if pose is None else pose)
        self._last, self._blind = (None, True) if pose is None else ((stamp_ns, pose), False)
        return motion

    def _break(self, stamp_ns: int, pose: PlanarPose | None) -> str:
        """Returns why the past does not connect to this frame; empty if it does."""
        assert self._last is not None
        gap_s = (stamp_ns - self._last[0]) / NS_PER_S
        if gap_s <= 0.0:
            return f'time went back by {-gap_s:.3f} s'
        if gap_s > self._max_gap_s:
            return f'{gap_s:.3f} s without a frame, more than {self._max_gap_s:g} s'
        if pose is None:
            return UNKNOWN_POSE
        step = self._last[1].between(pose)
        distance_m, yaw_rad = math.hypot(step.x_m, step.y_m), abs(step.yaw_rad)
        if (
            distance_m > self._max_speed_mps * gap_s + POSE_SLACK_M
            or yaw_rad > MAX_YAW_RATE_RADPS * gap_s + POSE_SLACK_RAD
        ):
            return f'the ego pose jumped by {distance_m:.2f} m and {yaw_rad:.2f} rad'
        return ''


class _Track(Protocol):
    """The history of one kind of memory."""

    def clear(self) -> None: ...

    def advance(self, stamp_ns: int, odom_T_base: PlanarPose) -> MemoryMotion: ...


class _RecurrentTrack:
    """A memory frame of its own, which follows the vehicle in whole cells and seldom turns.

    Its content is then moved by exact shifts; only turning it re-samples it.
    """

    def __init__(self, resolution_m: float, max_yaw_residual_rad: float) -> None:
        self._resolution_m, self._max_yaw_rad = resolution_m, max_yaw_residual_rad
        self._last: tuple[int, PlanarPose] | None = None

    def clear(self) -> None:
        self._last = None

    def advance(self, stamp_ns: int, odom_T_base: PlanarPose) -> MemoryMotion:
        if self._last is None:
            self._last = stamp_ns, odom_T_base
            return MemoryMotion.none(1, 1)
        last_ns, old = self._last
        new = self._follow(old, odom_T_base)
        self._last = stamp_ns, new
        return _motion(
            read=[old.between(odom_T_base)],
            move=old.between(new),
            write=odom_T_base.between(new),
            gap_s=[(stamp_ns - last_ns) / NS_PER_S],
            slots=1,
        )

    def _follow(self, odom_T_memory: PlanarPose, odom_T_base: PlanarPose) -> PlanarPose:
        """Returns the memory frame nearest to the vehicle: whole cells on, or turned."""
        residual = odom_T_memory.between(odom_T_base)
        if abs(residual.yaw_rad) > self._max_yaw_rad:
            lead_rad = math.copysign(YAW_LEAD * self._max_yaw_rad, residual.yaw_rad)
            yaw_rad = wrap_angle(odom_T_base.yaw_rad + lead_rad)
            return PlanarPose(odom_T_base.x_m, odom_T_base.y_m, yaw_rad)
        cell_m = self._resolution_m
        cells_x, cells_y = round(residual.x_m / cell_m), round(residual.y_m / cell_m)
        return odom_T_memory.shifted(cells_x * cell_m, cells_y * cell_m)


class _RingTrack:
    """The poses of the last frames, newest first, as the slots of the ring."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._past: list[tuple[int, PlanarPose]] = []

    def clear(self) -> None:
        self._past.clear()

    def advance(self, stamp_ns: int, odom_T_base: PlanarPose) -> MemoryMotion:
        motion = _motion(
            read=[odom_T_past.between(odom_T_base) for _, odom_T_past in self._past],
            move=IDENTITY,
            write=IDENTITY,
            gap_s=[(stamp_ns - past_ns) / NS_PER_S for past_ns, _ in self._past],
            slots=self._slots,
        )
        self._past = [(stamp_ns, odom_T_base), *self._past][: self._slots]
        return motion


def _motion(
    read: Sequence[PlanarPose],
    move: PlanarPose,
    write: PlanarPose,
    gap_s: Sequence[float],
    slots: int,
) -> MemoryMotion:
    """Returns a motion of batch 1 whose first len(read) slots are kept, the others empty."""
    empty = slots - len(read)
    reads = np.stack([pose.matrix() for pose in (*read, *[IDENTITY] * empty)])
    return MemoryMotion(
        read=torch.from_numpy(reads).to(torch.float32)[None],
        move=torch.from_numpy(move.matrix()).to(torch.float32)[None],
        write=torch.from_numpy(write.matrix()).to(torch.float32)[None],
        gap_s=torch.tensor([[*gap_s, *[0.0] * empty]], dtype=torch.float32),
        keep=torch.tensor([[slot < len(read) for slot in range(slots)]]),
    )
