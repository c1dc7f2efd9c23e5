"""Lidar scans of nuScenes samples, and the depth that they give to a camera's pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.scenes.nuscenes.rows import rows
from bev_perception.evaluation.scenes.nuscenes.tables import Version
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import Matrix, invert, transform
from bev_trainer.augment.turn import turn_pose
from bev_trainer.errors import DatasetError

_COLUMNS = 5  # x, y, z, intensity, ring
_NEAREST_M = 1.0  # nearer points are of the vehicle itself


@dataclass(frozen=True, eq=False)
class LidarPoints:
    """What a lidar has measured.

    Attributes:
        origin_m: [3] where it was, in the base frame of a reference instant.
        points_m: float32 [n, 3] what it hit, likewise.
    """

    origin_m: NDArray[np.float64]
    points_m: NDArray[np.float32]

    def turned(self, turn_rad: float) -> LidarPoints:
        """Returns the same in the turned base frame, see `bev_trainer.augment.turn`."""
        if turn_rad == 0.0:
            return self
        turned_T_base = turn_pose(turn_rad)
        points = transform(turned_T_base, self.points_m).astype(np.float32)
        return LidarPoints(transform(turned_T_base, self.origin_m), points)


@dataclass(frozen=True, eq=False)
class LidarScan:
    """Where the scan of a sample is.

    Attributes:
        filename: relative to the root of the data set.
        base_T_lidar: [4, 4] where the lidar sits on the vehicle.
    """

    filename: str
    base_T_lidar: Matrix

    def read(self, root: Path) -> LidarPoints:
        """Returns the points in the base frame at the instant of the scan.

        Raises:
            DatasetError: there is no such file, or it is no scan.
        """
        path = root / self.filename
        try:
            content = np.fromfile(path, '<f4')
        except OSError as error:
            raise DatasetError(f'{path}: cannot be read: {error.strerror}') from error
        if content.size % _COLUMNS:
            raise DatasetError(f'{path}: is cut off: no whole number of points of 5 numbers')
        points = content.reshape(-1, _COLUMNS)[:, :3]
        points = points[np.isfinite(points).all(axis=-1)]
        points = transform(self.base_T_lidar, points).astype(np.float32)
        return LidarPoints(self.base_T_lidar[:3, 3], points)


def read_lidar_scans(version: Version, samples: Collection[str]) -> dict[str, LidarScan]:
    """Returns the scans of the top lidar at samples, by token of the sample.

    The tables are read row by row.

    Args:
        version: of the data set.
        samples: tokens.

    Raises:
        BevError: a table is missing or wrong.
    """
    folder = version.folder
    lidars = {
        row.text('token')
        for row in rows(folder / 'sensor.json')
        if row.text('modality') == 'lidar'
    }
    mounts = {
        row.text('token'): row.pose()
        for row in rows(folder / 'calibrated_sensor.json')
        if row.text('sensor_token') in lidars
    }
    wanted, found = set(samples), dict[str, LidarScan]()
    for row in rows(folder / 'sample_data.json'):
        mount = mounts.get(row.text('calibrated_sensor_token'))
        sample = row.text('sample_token')
        if mount is not None and sample in wanted and row.flag('is_key_frame'):
            found.setdefault(sample, LidarScan(row.text('filename'), mount))
    return found


def projected_depth(
    points: NDArray[np.float32], camera: Camera, base_T_camera_base: Matrix | None = None
) -> NDArray[np.float32]:
    """Returns float32 [H, W] depth of the pixels of a camera that points fall on, 0 elsewhere.

    It is what `Camera.rays` of a pixel must be multiplied by to reach the point; of several
    points in a pixel the nearest counts.

    Args:
        points: [n, 3] in the base frame of the reference instant.
        camera: any; its pose is that on the vehicle.
        base_T_camera_base: [4, 4] maps the base frame at the camera's instant to that at the
            reference instant; None: the same.
    """
    pose = camera.base_T_camera
    if base_T_camera_base is not None:
        pose = base_T_camera_base @ pose
    local = transform(invert(pose), points)
    local = local[np.linalg.norm(local, axis=-1) > _NEAREST_M]
    uv, inside = camera.project(local)
    local, pixel = local[inside], np.rint(uv[inside]).astype(np.int64)
    ray_m = local[:, 2]
    if camera.distortion.model == 'equidistant':
        ray_m = np.linalg.norm(local, axis=-1)
    depth_m = np.full((camera.height, camera.width), np.inf, np.float32)
    u = np.clip(pixel[:, 0], 0, camera.width - 1)
    v = np.clip(pixel[:, 1], 0, camera.height - 1)
    np.minimum.at(depth_m, (v, u), ray_m.astype(np.float32))
    return np.where(np.isfinite(depth_m), depth_m, 0.0).astype(np.float32)
