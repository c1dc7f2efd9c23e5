"""Frame sets of a scene without their images, as small arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.frame import CameraSample, FrameSet
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import Matrix, interpolate
from bev_perception.inputs.state import CameraState
from bev_perception.units import NS_PER_S

_STATES = tuple(CameraState)
_NONE = -1
_UNKNOWN_POSE = np.full((4, 4), np.nan)


@dataclass(frozen=True, eq=False)
class FrameTable:
    """F frame sets of N cameras; some hundred bytes for each.

    Attributes:
        names: of the cameras.
        stamps_ns: int64 [F], rising.
        poses: [F, 4, 4] ego poses; NaN where unknown.
        image_ns: int64 [F, N] stamps of the images; -1 where there is none.
        states: int8 [F, N], index in `CameraState`.
        calibrations: int32 [F, N], index in `known_cameras`; -1 where unknown.
        known_cameras: all calibrations that occur.
    """

    names: tuple[str, ...]
    stamps_ns: NDArray[np.int64]
    poses: NDArray[np.float64]
    image_ns: NDArray[np.int64]
    states: NDArray[np.int8]
    calibrations: NDArray[np.int32]
    known_cameras: tuple[Camera, ...]

    def __len__(self) -> int:
        return len(self.stamps_ns)

    def pose(self, frame: int) -> Matrix | None:
        """Returns the ego pose [4, 4] of a frame; None if unknown."""
        pose = self.poses[frame]
        return pose if np.isfinite(pose).all() else None

    def pose_between(self, stamp_ns: int, max_gap_s: float) -> Matrix | None:
        """Returns the ego pose [4, 4] at an instant between two frames that are near enough."""
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        if after in (0, len(self)):
            return None
        first_ns, last_ns = self.stamps_ns[after - 1 : after + 1].tolist()
        first, last = self.pose(after - 1), self.pose(after)
        if first is None or last is None or last_ns - first_ns > max_gap_s * NS_PER_S:
            return None
        return interpolate(first, last, (stamp_ns - first_ns) / (last_ns - first_ns))

    def camera(self, frame: int, camera: int) -> Camera | None:
        """Returns the calibration of a camera at a frame; None if unknown."""
        index = int(self.calibrations[frame, camera])
        return None if index == _NONE else self.known_cameras[index]

    def state(self, frame: int, camera: int) -> CameraState:
        """Returns what became of a camera at a frame."""
        return _STATES[int(self.states[frame, camera])]

    def has_image(self, frame: int, camera: int) -> bool:
        """Returns whether a camera has an image at a frame."""
        return self.state(frame, camera) is CameraState.USED


def frame_table(frame_sets: Iterable[FrameSet]) -> tuple[FrameTable, tuple[str, ...]]:
    """Returns frame sets as a table, and what is left out of it, one line each.

    Where time goes back, what had been before already is left out.
    """
    names: tuple[str, ...] = ()
    cameras: dict[Camera, int] = {}
    stamps_ns: list[int] = []
    poses, image_ns, states, calibrations, lost = [], [], [], [], 0
    for frames in frame_sets:
        if stamps_ns and frames.stamp_ns <= stamps_ns[-1]:
            lost += 1
            continue
        names = tuple(sample.name for sample in frames.samples)
        stamps_ns.append(frames.stamp_ns)
        poses.append(_UNKNOWN_POSE if frames.odom_T_base is None else frames.odom_T_base)
        image_ns.append([_NONE if s.stamp_ns is None else s.stamp_ns for s in frames.samples])
        states.append([_STATES.index(sample.state) for sample in frames.samples])
        calibrations.append([_numbered(sample, cameras) for sample in frames.samples])
    shape = len(stamps_ns), len(names)
    table = FrameTable(
        names,
        np.array(stamps_ns, np.int64),
        np.array(poses, np.float64).reshape(-1, 4, 4),
        np.array(image_ns, np.int64).reshape(shape),
        np.array(states, np.int8).reshape(shape),
        np.array(calibrations, np.int32).reshape(shape),
        tuple(cameras),
    )
    problem = f'time goes back: {lost} of {lost + len(stamps_ns)} frame sets are left out'
    return table, (problem,) if lost else ()


def _numbered(sample: CameraSample, cameras: dict[Camera, int]) -> int:
    if sample.camera is None:
        return _NONE
    return cameras.setdefault(sample.camera, len(cameras))
