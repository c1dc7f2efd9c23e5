"""Labels of the frames of synthetic drives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import transform
from bev_trainer.augment.turn import turn_pose, turned_ego, turned_lookup, turned_objects
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.labels.bev import BEV_LAYERS, UNIONS, layers_of, semantic_bev
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.labels.future import Trajectories, trajectories
from bev_trainer.targets.labels import ObjectLabels
from bev_trainer.world.classes import SemanticClass

_STATIC = (SemanticClass.BUILDING, SemanticClass.VEGETATION, SemanticClass.STRUCTURE)
_OBSTACLE_Z_M = (0.3, 3.0)  # higher than a kerb, lower than what one drives under
_RANGE_M = 150.0  # road users farther away are no concern of any grid


class DriveFrame:
    """Labels of one label frame of a drive (`bev_trainer.targets.FrameLabels`).

    Args:
        drive: open drive file.
        frame: one of its label frames.
        min_pixels: a road user counts as visible when a camera shows as many pixels of it.
        turn_rad: the base frame is turned by so much, see `bev_trainer.augment.turn`.
        cameras: bool [N], whose view counts; None: that of all.
    """

    def __init__(
        self,
        drive: Drive,
        frame: int,
        min_pixels: int,
        turn_rad: float = 0.0,
        cameras: NDArray[np.bool_] | None = None,
    ) -> None:
        self._drive, self._frame, self._min_pixels = drive, frame, min_pixels
        self._turn_rad = turn_rad
        self._cameras = np.ones(len(drive.cameras), np.bool_) if cameras is None else cameras
        self._semantic: dict[BevGrid, NDArray[np.bool_]] = {}

    def objects(self, times_s: tuple[float, ...]) -> ObjectLabels:
        """Returns the road users, their ways at times relative to the frame, 0 first.

        Raises:
            DatasetError: the place, size or way of one of them is not a number; names it.
        """
        drive, frame = self._drive, self._frame
        boxes = drive.boxes(frame)
        ways = trajectories(drive, frame, times_s)
        self._require_finite(boxes, ways)
        near = np.linalg.norm(boxes.center_m[:, :2], axis=-1) < _RANGE_M
        boxes = boxes.selected(near)
        rows = boxes.instance.astype(np.int64) - 1
        valid = ways.valid[near]
        pixels = drive.objects.visible_pixels[rows, frame][:, self._cameras]
        labels = ObjectLabels(
            label=rows + 1,
            class_name=tuple(SemanticClass(kind).label for kind in boxes.class_id),
            center_m=boxes.center_m,
            size_m=boxes.size_m,
            yaw_rad=boxes.yaw_rad,
            velocity_mps=boxes.velocity_mps,
            path_m=np.where(valid[..., None], ways.xy_m[near], np.nan).transpose(1, 0, 2),
            path_yaw_rad=ways.yaw_rad[near].T,
            visible=pixels.max(axis=-1, initial=0) >= self._min_pixels,
        )
        return turned_objects(labels, self._turn_rad)

    def _require_finite(self, boxes: BoxArray, ways: Trajectories) -> None:
        parts = (boxes.center_m, boxes.size_m, boxes.yaw_rad[:, None], boxes.velocity_mps)
        sound = np.isfinite(np.concatenate(parts, axis=-1)).all(axis=-1)
        sound &= np.isfinite(ways.xy_m).all(axis=(1, 2)) & np.isfinite(ways.yaw_rad).all(axis=1)
        if not sound.all():
            row = int(boxes.instance[~sound][0]) - 1
            name = self._drive.description.objects[row].name
            raise DatasetError(
                f"{self._drive.path}: frame {self._frame}: the box of object {row + 1} ('{name}') "
                'now or on its way is not a number'
            )

    def layer(self, name: str, grid: BevGrid) -> NDArray[np.int8] | None:
        """Returns int8 [Y, X]: 1 where a semantic layer is, else 0; None if there is none."""
        if name not in BEV_LAYERS and name not in UNIONS:
            return None
        if grid not in self._semantic:
            drive, frame = self._drive, self._frame
            boxes: BoxArray = drive.boxes(frame)
            if self._turn_rad != 0.0:
                boxes = boxes.transformed(turn_pose(self._turn_rad))
            world_T_base = turned_ego(drive.world_T_base[frame], self._turn_rad)
            self._semantic[grid] = semantic_bev(drive.ground, world_T_base, boxes, grid)
        return layers_of(self._semantic[grid], (name,))[0].astype(np.int8)

    def obstacles(self, grid: BevGrid) -> NDArray[np.int8]:
        """Returns int8 [Y, X]: 1 where a camera shows a house, a plant or the like, else 0."""
        drive, frame = self._drive, self._frame
        found = np.zeros(grid.shape, np.int8)
        motions = turn_pose(self._turn_rad) @ drive.base_T_camera_base(frame)
        for index in np.flatnonzero(self._cameras).tolist():
            camera = drive.cameras[index]
            static = np.isin(drive.classes(frame, index), _STATIC)
            depth_m = drive.depth_m(frame, index)
            static &= depth_m > 0
            points = _points(drive.rays[index], static, depth_m)
            points = transform(motions[index] @ camera.base_T_camera, points)
            low, high = _OBSTACLE_Z_M
            points = points[(points[:, 2] > low) & (points[:, 2] < high)]
            iy, ix, inside = grid.to_cell(points[:, 0], points[:, 1])
            found[iy[inside], ix[inside]] = 1
        return found

    def observed(self, grid: BevGrid) -> NDArray[np.bool_]:
        """Returns bool [Y, X] which cells some camera sees; none outside the label grid."""
        seen = np.asarray(self._drive.observed(self._frame)[self._cameras].any(axis=0))
        return turned_lookup(seen, self._drive.label_grid, grid, self._turn_rad)

    def depth_m(self, camera: int) -> NDArray[np.float32]:
        """Returns [H, W] depth of a camera's pixels; see `Shot.depth_m`."""
        return self._drive.depth_m(self._frame, camera)


def _points(
    rays: NDArray[np.float64], which: NDArray[np.bool_], depth_m: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Returns [n, 3] in the camera's frame: what the chosen pixels [H, W] show."""
    points = rays[which] * depth_m[which][:, None].astype(np.float64)
    return np.asarray(points[np.isfinite(points).all(axis=-1)])


def label_frames(drive: Drive, horizon_s: float) -> Sequence[int]:
    """Returns the label frames from which the drive goes on for at least `horizon_s`."""
    stamps = drive.description.frame_stamps_ns
    last_ns = stamps[-1] - round(horizon_s * 1e9)
    return [frame for frame in drive.description.label_frames if stamps[frame] <= last_ns]
