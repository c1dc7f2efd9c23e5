"""The point cloud of a key frame, and on whom its points lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import invert
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.lidar import LidarScan


class DriveScan:
    """The scans of a drive's label frames.

    Args:
        drive: open.
    """

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._scan = LidarScan(drive.cameras)

    def measure(
        self, frame: int, instances: NDArray[np.uint16]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Returns the scan of a label frame, and how many points lie on each of k instances.

        Points are float32 [n, 5]: x, y, z in base_link of the reference instant, intensity and
        ring. Every camera's points are where they were when it fired: what moves fast may lie up
        to its way within the trigger offset outside its box.
        """
        drive = self._drive
        base_T_world = invert(drive.world_T_base[frame])
        moved = [base_T_world @ pose for pose in drive.camera_world_T_base[frame]]
        cameras = range(len(drive.cameras))
        depths = [drive.depth_m(frame, index) for index in cameras]
        masks = [drive.instances(frame, index) for index in cameras]
        counts = self._scan.counts(depths, masks, of=instances)
        return self._scan.points(depths, moved), counts


def write_scan(path: Path, points: NDArray[np.float32]) -> None:
    """Writes points [n, 5] as the `.pcd.bin` of nuScenes: float32, little-endian, no header."""
    path.write_bytes(np.ascontiguousarray(points, '<f4').tobytes())
