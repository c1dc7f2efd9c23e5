"""A cloud of points as a spinning lidar would give, taken from the cameras' depth images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import Matrix, transform

RINGS = 32
ELEVATION_DEG = (-30.0, 10.0)
AZIMUTHS = 1080
MAX_RANGE_M = 100.0
_FULL_INTENSITY_RANGE_M = 5.0


class _Beams(NamedTuple):
    """The beams that one camera measures."""

    pixel: NDArray[np.int64]
    ray: NDArray[np.float64]
    ring: NDArray[np.float32]


class LidarScan:
    """Where the beams of a scan fall in the images of a rig.

    Beams point `azimuths` steps around and `rings` up, in the base frame. Each starts at the
    centre of a camera instead of a common one, so that what the camera sees is what the beam hits:
    of the cameras in whose image it lies, the one whose optical axis is nearest. Its point is
    where the ray of the nearest pixel hits. Beams outside all images give no point.

    Args:
        cameras: of the rig.
        rings: number of beams above each other.
        elevation_deg: of the lowest and the highest ring, against the base frame's x-y plane.
        azimuths: number of steps of a turn, counter-clockwise from straight ahead.
        max_range_m: from the camera; farther points are left out.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        rings: int = RINGS,
        elevation_deg: tuple[float, float] = ELEVATION_DEG,
        azimuths: int = AZIMUTHS,
        max_range_m: float = MAX_RANGE_M,
    ) -> None:
        self._cameras = tuple(cameras)
        self._max_range_m = max_range_m
        elevation = np.deg2rad(np.linspace(*elevation_deg, rings))[:, None]
        azimuth = 2.0 * np.pi * np.arange(azimuths) / azimuths
        directions = np.stack(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.broadcast_to(np.sin(elevation), (rings, azimuths)),
            ],
            axis=-1,
        ).reshape(-1, 3)
        self._beams = _beams(self._cameras, directions, np.repeat(np.arange(rings), azimuths))

    def points(
        self,
        depths: Sequence[NDArray[np.float32]],
        base_T_camera_base: Sequence[Matrix] | None = None,
    ) -> NDArray[np.float32]:
        """Returns float32 [n, 5]: x, y, z in the base frame, intensity 0..255, ring from below.

        Intensity is that of equal targets: it falls with the square of the range beyond 5 m.

        Args:
            depths: [H, W] per camera, as `Shot.depth_m`.
            base_T_camera_base: one [4, 4] per camera: maps the base frame at the camera's instant
                to that at the reference instant, whose base frame the points then are in. None:
                all cameras fire at the reference instant.
        """
        clouds = [np.zeros((0, 5), np.float32)]
        for index, camera in enumerate(self._cameras):
            beams = self._beams[index]
            depth = depths[index].ravel()[beams.pixel].astype(np.float64)
            local = beams.ray * depth[:, None]
            range_m = np.linalg.norm(local, axis=-1)
            hit = (depth > 0) & (range_m <= self._max_range_m)
            pose = camera.base_T_camera
            if base_T_camera_base is not None:
                pose = base_T_camera_base[index] @ pose
            near = np.maximum(range_m[hit], _FULL_INTENSITY_RANGE_M)
            intensity = 255.0 * (_FULL_INTENSITY_RANGE_M / near) ** 2
            cloud = np.column_stack([transform(pose, local[hit]), intensity, beams.ring[hit]])
            clouds.append(cloud.astype(np.float32))
        return np.concatenate(clouds)

    def instances(
        self, depths: Sequence[NDArray[np.float32]], instances: Sequence[NDArray[np.uint16]]
    ) -> NDArray[np.uint16]:
        """Returns uint16 [n]: the instance that each of `points` lies on, 0 for none."""
        found = [np.zeros(0, np.uint16)]
        for beams, depth, instance in zip(self._beams, depths, instances, strict=True):
            depth_m = depth.ravel()[beams.pixel].astype(np.float64)
            range_m = np.linalg.norm(beams.ray * depth_m[:, None], axis=-1)
            hit = (depth_m > 0) & (range_m <= self._max_range_m)
            found.append(instance.ravel()[beams.pixel[hit]])
        return np.concatenate(found)

    def counts(
        self,
        depths: Sequence[NDArray[np.float32]],
        instances: Sequence[NDArray[np.uint16]],
        of: NDArray[np.uint16],
    ) -> NDArray[np.int64]:
        """Returns int64 [k]: how many points lie on each of k instances."""
        return np.bincount(self.instances(depths, instances), minlength=65536)[of]


def _beams(
    cameras: Sequence[Camera], directions: NDArray[np.float64], ring: NDArray[np.int64]
) -> list[_Beams]:
    """Shares the beams [n, 3] out among the cameras that see them."""
    pixels = np.zeros((len(cameras), len(directions), 2), np.int64)
    nearness = np.full((len(cameras), len(directions)), -np.inf)
    for index, camera in enumerate(cameras):
        local = directions @ camera.base_T_camera[:3, :3]
        uv, seen = camera.project(local)
        rays = camera.rays(np.rint(uv))
        seen &= np.isfinite(rays).all(axis=-1)
        pixels[index, seen] = np.rint(uv[seen]).astype(np.int64)
        nearness[index, seen] = local[seen, 2]
    best = nearness.argmax(axis=0)
    any_sees = np.isfinite(nearness.max(axis=0))
    shares = []
    for index, camera in enumerate(cameras):
        mine = np.flatnonzero(any_sees & (best == index))
        uv = pixels[index, mine]
        flat = uv[:, 1] * camera.width + uv[:, 0]
        shares.append(_Beams(flat, camera.rays(uv), ring[mine].astype(np.float32)))
    return shares
