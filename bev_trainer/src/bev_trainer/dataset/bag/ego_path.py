"""Where the vehicle of a drive was at any stamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bev_perception.geometry.pose import Matrix, interpolate, invert
from bev_perception.units import NS_PER_S
from bev_trainer.dataset.reader import Drive

_HALF_SPAN_NS = 10_000_000

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EgoPath:
    """Poses known at some stamps, interpolated between them, going on evenly beyond them.

    Attributes:
        stamps_ns: int64 [k], rising, all different.
        poses: float64 [k, 4, 4] of base_link in one fixed frame.
    """

    stamps_ns: NDArray[np.int64]
    poses: FloatArray

    def pose(self, stamp_ns: int) -> Matrix:
        """Returns the pose [4, 4] at a stamp."""
        if len(self.stamps_ns) == 1:
            return self.poses[0].copy()
        index = int(np.searchsorted(self.stamps_ns, stamp_ns, side='right')) - 1
        index = min(max(index, 0), len(self.stamps_ns) - 2)
        start_ns, end_ns = self.stamps_ns[index : index + 2].tolist()
        alpha = (stamp_ns - start_ns) / (end_ns - start_ns)
        return interpolate(self.poses[index], self.poses[index + 1], alpha)

    def twist(self, stamp_ns: int) -> tuple[FloatArray, FloatArray]:
        """Returns (m/s [3], rad/s [3]) at a stamp, in the axes of base_link."""
        before, after = self.pose(stamp_ns - _HALF_SPAN_NS), self.pose(stamp_ns + _HALF_SPAN_NS)
        span_s = 2 * _HALF_SPAN_NS / NS_PER_S
        base_R_fixed = self.pose(stamp_ns)[:3, :3].T
        linear = base_R_fixed @ (after[:3, 3] - before[:3, 3]) / span_s
        turn = Rotation.from_matrix(before[:3, :3].T @ after[:3, :3]).as_rotvec()
        return linear, turn / span_s


def ego_path(drive: Drive, fixed_T_world: Matrix) -> EgoPath:
    """Returns the path of a drive in a frame fixed to the world.

    It goes through the poses at all reference instants and at the instants of all images.
    """
    known = {
        stamp_ns + offset_ns: fixed_T_world @ pose
        for stamp_ns, poses in zip(
            drive.description.frame_stamps_ns, drive.camera_world_T_base, strict=True
        )
        for offset_ns, pose in zip(drive.description.camera_offsets_ns, poses, strict=True)
    }
    for stamp_ns, pose in zip(drive.description.frame_stamps_ns, drive.world_T_base, strict=True):
        known[stamp_ns] = fixed_T_world @ pose
    stamps_ns = sorted(known)
    return EgoPath(np.array(stamps_ns, np.int64), np.stack([known[s] for s in stamps_ns]))


def odom_T_world(drive: Drive) -> Matrix:
    """Returns [4, 4]: odometry begins at the first reference instant, as when switched on."""
    return invert(drive.world_T_base[0])
