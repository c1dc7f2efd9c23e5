"""Ground truth of one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import transform, twist_about_z, wrap_angle

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TruthObjects:
    """M objects at one instant; the frame is the caller's to know (base frame of a stamp, mostly).

    Attributes:
        track: of each, the same for an object in all frames of a scene; empty where unknown.
        class_name: of each, as the source names it.
        center_m: [M, 3] box centres.
        size_m: [M, 3] length (along yaw), width, height.
        yaw_rad: [M].
        velocity_mps: [M, 2] over ground, in the axes of the frame; NaN where unknown.
        visibility: [M] visible share over all cameras, 0..1; NaN where unknown.
        points: int64 [M] lidar and radar points on it; -1 where unknown.
    """

    track: tuple[str, ...]
    class_name: tuple[str, ...]
    center_m: FloatArray
    size_m: FloatArray
    yaw_rad: FloatArray
    velocity_mps: FloatArray
    visibility: FloatArray
    points: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.class_name)
        shapes = {
            'track': ((len(self.track),), (count,)),
            'center_m': (self.center_m.shape, (count, 3)),
            'size_m': (self.size_m.shape, (count, 3)),
            'yaw_rad': (self.yaw_rad.shape, (count,)),
            'velocity_mps': (self.velocity_mps.shape, (count, 2)),
            'visibility': (self.visibility.shape, (count,)),
            'points': (self.points.shape, (count,)),
        }
        for name, (found, wanted) in shapes.items():
            if found != wanted:
                raise ValueError(
                    f'{name} of {count} objects must have shape {wanted}, not {found}'
                )

    def __len__(self) -> int:
        return len(self.class_name)

    @classmethod
    def none(cls) -> TruthObjects:
        """Returns no objects."""
        return cls(
            (), (), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 2)),
            np.zeros(0), np.zeros(0, np.int64),
        )  # fmt: skip

    def selected(self, rows: ArrayLike) -> TruthObjects:
        """Returns the objects of some rows: indices, or a mask [M]."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == np.bool_ else index.astype(np.int64)
        return TruthObjects(
            tuple(self.track[row] for row in index.tolist()),
            tuple(self.class_name[row] for row in index.tolist()),
            self.center_m[index],
            self.size_m[index],
            self.yaw_rad[index],
            self.velocity_mps[index],
            self.visibility[index],
            self.points[index],
        )

    def transformed(self, target_T_source: ArrayLike) -> TruthObjects:
        """Returns the objects in another frame, given its pose [4, 4]; boxes stay upright.

        Headings and velocities over ground are turned about z only, by the twist of the rotation:
        going back undoes it exactly, however tilted the frames are against each other.
        """
        pose = np.asarray(target_T_source, np.float64)
        yaw = twist_about_z(pose)
        cos, sin = np.cos(yaw), np.sin(yaw)
        turn = np.array([[cos, -sin], [sin, cos]])
        return TruthObjects(
            self.track,
            self.class_name,
            transform(pose, self.center_m),
            self.size_m,
            wrap_angle(self.yaw_rad + yaw),
            self.velocity_mps @ turn.T,
            self.visibility,
            self.points,
        )


@dataclass(frozen=True, eq=False)
class TruthLayer:
    """A map of one class in the base frame.

    Attributes:
        grid: of the cells.
        cells: int8 [Y, X]: 1 there, 0 not there, -1 not known (seen by no camera).
    """

    grid: BevGrid
    cells: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class TruthFrame:
    """Ground truth at one instant, in the base frame of that instant.

    Attributes:
        stamp_ns: of the instant.
        objects: None when the source says nothing about objects here.
        odom_T_base: [4, 4] ego pose in a continuous frame; None when unknown.
        layers: maps by name of the class, as the source names it; empty when there are none.
        token: of the frame in the source's own numbering (nuScenes sample); empty without.
    """

    stamp_ns: int
    objects: TruthObjects | None = None
    odom_T_base: FloatArray | None = None
    layers: Mapping[str, TruthLayer] = field(default_factory=dict)
    token: str = ''


def stamps_of(frames: Sequence[TruthFrame]) -> NDArray[np.int64]:
    """Returns int64 [n], the stamps of frames."""
    return np.array([frame.stamp_ns for frame in frames], np.int64)
