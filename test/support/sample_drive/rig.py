"""Cameras for the sample street: a demo rig of mixed lenses, and rings of any number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion

# Coefficients of the size that real automotive lenses have.
LENSES = {
    'none': Distortion('none'),
    'plumb_bob': Distortion('plumb_bob', (-0.27, 0.085, 0.0006, -0.0004, -0.011)),
    'rational_polynomial': Distortion(
        'rational_polynomial', (0.42, 0.06, 0.0003, -0.0002, 0.001, 0.76, 0.21, 0.012)
    ),
    'equidistant': Distortion('equidistant', (0.03, -0.006, 0.0012, -0.0002)),
}


@dataclass(frozen=True)
class SampleCamera:
    """A camera and how it is recorded.

    Attributes:
        camera: in the base frame.
        encoding: 'jpeg', or a raw `sensor_msgs` encoding.
        trigger_offset_s: its stamps minus the reference instants.
    """

    camera: Camera
    encoding: str = 'jpeg'
    trigger_offset_s: float = 0.0


def default_cameras() -> tuple[SampleCamera, ...]:
    """Returns the demo rig: five cameras of four sizes and all four lens models."""
    plan = (
        ('front', 832, 468, 'plumb_bob', 70.0, (1.9, 0.0, 1.5), 0.0, 4.0, 0.0),
        ('left', 512, 384, 'rational_polynomial', 100.0, (1.2, 0.9, 1.4), 82.0, 10.0, 0.012),
        ('right', 512, 384, 'rational_polynomial', 100.0, (1.2, -0.9, 1.4), -82.0, 10.0, 0.018),
        ('rear_fisheye', 600, 560, 'equidistant', 185.0, (-0.9, 0.0, 1.1), 180.0, 22.0, 0.026),
        ('front_narrow', 640, 320, 'none', 34.0, (1.8, 0.2, 1.5), 0.0, 1.0, 0.005),
    )
    return tuple(
        SampleCamera(make_camera(*entry[:-1]), trigger_offset_s=entry[-1]) for entry in plan
    )


def camera_ring(
    count: int,
    width: int = 320,
    height: int = 240,
    lenses: Sequence[str] = ('none',),
    hfov_deg: float = 90.0,
) -> tuple[Camera, ...]:
    """Returns `count` cameras looking around evenly, the first one straight ahead.

    Args:
        count: how many, turning to the left from camera to camera.
        width: of every image in pixels.
        height: likewise.
        lenses: lens models, repeated along the ring.
        hfov_deg: horizontal field of view of each.
    """
    cameras = []
    for index in range(count):
        yaw_deg = 360.0 * index / count
        at = (1.0 + math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg)), 1.6)
        lens = lenses[index % len(lenses)]
        cameras.append(
            make_camera(f'camera_{index}', width, height, lens, hfov_deg, at, yaw_deg, 6.0)
        )
    return tuple(cameras)


def make_camera(
    name: str,
    width: int,
    height: int,
    lens: str,
    hfov_deg: float,
    at_m: tuple[float, float, float],
    yaw_deg: float,
    pitch_down_deg: float,
) -> Camera:
    """Returns a camera whose middle row spans `hfov_deg` through the named lens of `LENSES`."""
    distortion = LENSES[lens]
    half = math.radians(hfov_deg) / 2
    rim = float(distortion.distort([math.sin(half), 0.0, math.cos(half)])[0])
    focal = width / 2 / rim
    K = np.array([[focal, 0, width / 2 - 0.5], [0, focal, height / 2 - 0.5], [0, 0, 1.0]])
    pose = looking(at_m, math.radians(yaw_deg), math.radians(pitch_down_deg))
    return Camera(name, f'{name}_optical', width, height, K, distortion, pose)


def looking(
    at_m: tuple[float, float, float], yaw_rad: float, pitch_down_rad: float
) -> NDArray[np.float64]:
    """Returns [4, 4] base_T_camera of an upright camera that looks along yaw, tilted down."""
    forward = np.array(
        [
            math.cos(yaw_rad) * math.cos(pitch_down_rad),
            math.sin(yaw_rad) * math.cos(pitch_down_rad),
            -math.sin(pitch_down_rad),
        ]
    )
    right = np.array([math.sin(yaw_rad), -math.cos(yaw_rad), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
    pose[:3, 3] = at_m
    return pose
