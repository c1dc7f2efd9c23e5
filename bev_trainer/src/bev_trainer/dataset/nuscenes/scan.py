"""The point cloud of a key frame, and which boxes its points lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import invert
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.labels.lidar import LidarScan

# Points lie on the surface, so on the border of boxes; those near the ground belong to it.
_MARGIN_M, _GROUND_M = 0.05, 0.1


def scan_points(drive: Drive, frame: int) -> NDArray[np.float32]:
    """Returns float32 [n, 5]: x, y, z in base_link of a label frame, intensity and ring.

    Every camera's points are where they were when it fired, seen from where the vehicle is at the
    reference instant.
    """
    base_T_world = invert(drive.world_T_base[frame])
    cameras = [
        camera.with_pose(base_T_world @ world_T_base @ camera.base_T_camera)
        for camera, world_T_base in zip(
            drive.cameras, drive.camera_world_T_base[frame], strict=True
        )
    ]
    depths = [drive.depth_m(frame, index) for index in range(len(cameras))]
    return LidarScan(cameras).points(depths)


def write_scan(path: Path, points: NDArray[np.float32]) -> None:
    """Writes points [n, 5] as the `.pcd.bin` of nuScenes: float32, little-endian, no header."""
    path.write_bytes(np.ascontiguousarray(points, '<f4').tobytes())


def points_in_boxes(
    drive: Drive, frame: int, instances: NDArray[np.uint16], points: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Returns [k] how many points of a frame's scan lie on each of some road users.

    A point counts when it lies in the box of the reference instant or in that of the instant at
    which one of the cameras fired; the lowest 0.1 m are the ground's.
    """
    inside = np.zeros((len(instances), len(points)), np.bool_)
    stamp_ns = drive.description.frame_stamps_ns[frame]
    for offset_ns in sorted({0, *drive.description.camera_offsets_ns}):
        boxes = drive.boxes_at(stamp_ns + offset_ns, in_base_of_frame=frame)
        for row in np.flatnonzero(np.isin(boxes.instance, instances)).tolist():
            target = int(np.flatnonzero(instances == boxes.instance[row])[0])
            inside[target, _inside(boxes, row, points)] = True
    return inside.sum(axis=1)


def _inside(boxes: BoxArray, row: int, points: NDArray[np.float32]) -> NDArray[np.intp]:
    """Returns the indices of the points [n, 5] in a box."""
    center, half = boxes.center_m[row], 0.5 * boxes.size_m[row]
    reach_m = float(np.hypot(half[0], half[1])) + _MARGIN_M
    near = np.flatnonzero((np.abs(points[:, :2] - center[:2]) <= reach_m).all(axis=1))
    local = boxes.local_xy(points[near, :2], np.full(len(near), row))
    height_m = points[near, 2] - center[2]
    inside = (np.abs(local) <= half[:2] + _MARGIN_M).all(axis=1)
    inside &= (height_m <= half[2] + _MARGIN_M) & (height_m >= _GROUND_M - half[2])
    return near[inside]
