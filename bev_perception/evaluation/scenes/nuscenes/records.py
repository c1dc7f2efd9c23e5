"""What is kept of nuScenes tables for one scene: enough to read it without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import Matrix

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Image:
    """One picture of one camera.

    Attributes:
        channel: of the camera, such as 'CAM_FRONT'.
        stamp_ns: when it was taken.
        filename: relative to the root.
        camera: its calibration: where it sits on the vehicle.
        global_T_base: [4, 4] ego pose at that instant.
        sample: of a key frame: token of its sample; else empty.
    """

    channel: str
    stamp_ns: int
    filename: str
    camera: Camera
    global_T_base: Matrix
    sample: str


@dataclass(frozen=True, eq=False)
class Annotations:
    """The n boxes of a sample, in the global frame.

    Attributes:
        instance: token of each.
        category: name of each, such as 'vehicle.car'.
        pose: [n, 4, 4] of the box centres, x along the length.
        size_m: [n, 3] length, width, height.
        velocity_mps: [n, 3] as the development kit's `box_velocity` has it; NaN where unknown.
        visibility: [n] visible share, the middle of its bin; NaN where unknown.
        points: int64 [n] of lidar and radar.
    """

    instance: tuple[str, ...]
    category: tuple[str, ...]
    pose: FloatArray
    size_m: FloatArray
    velocity_mps: FloatArray
    visibility: FloatArray
    points: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sample:
    """A key frame.

    Attributes:
        token: of its row.
        stamp_ns: of the reference instant.
        global_T_base: [4, 4] ego pose then.
        annotations: what is around.
    """

    token: str
    stamp_ns: int
    global_T_base: Matrix
    annotations: Annotations


@dataclass(frozen=True, eq=False)
class SceneRecord:
    """A scene.

    Attributes:
        name: such as 'scene-0061'.
        samples: by rising stamps.
        images: of all cameras, by rising stamps; sweeps only where they were asked for.
        ego_stamps_ns: int64 [k] rising, instants of the ego poses.
        ego_poses: [k, 4, 4] global_T_base at them.
    """

    name: str
    samples: tuple[Sample, ...]
    images: tuple[Image, ...]
    ego_stamps_ns: NDArray[np.int64]
    ego_poses: FloatArray

    @property
    def channels(self) -> tuple[str, ...]:
        """Its cameras, sorted by name."""
        return tuple(sorted({image.channel for image in self.images}))
