"""What the cameras of a rig look at, as far as geometry tells; what hides what is not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.visibility import cell_visibility
from bev_trainer.augment.turn import turned_lookup

BoolArray = NDArray[np.bool_]

# Points of a box, as shares of its size: corners, middles of edges and faces, centre.
_LATTICE = np.stack(np.meshgrid(*[(-0.5, 0.0, 0.5)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)


class RigView:
    """The view of a rig of N cameras, computed once for each grid.

    Args:
        cameras: the real ones; None for one without a calibration, which sees nothing.
    """

    def __init__(self, cameras: Sequence[Camera | None]) -> None:
        self.cameras = tuple(cameras)
        self._cells: dict[BevGrid, tuple[BevGrid, BoolArray]] = {}

    def cells(self, grid: BevGrid, turn_rad: float, which: BoolArray) -> BoolArray:
        """Returns bool [Y, X]: some camera of those that count looks at the cell.

        Args:
            grid: cells in the turned base frame.
            turn_rad: see `bev_trainer.augment.turn`.
            which: bool [N], cameras that count.
        """
        if grid not in self._cells:
            wide = _turnable(grid)
            self._cells[grid] = wide, cell_visibility(self.cameras, wide)
        wide, seen = self._cells[grid]
        some: BoolArray = np.asarray(seen[which].any(axis=0), np.bool_)
        return turned_lookup(some, wide, grid, turn_rad)

    def box_shares(self, objects: TruthObjects, which: BoolArray) -> NDArray[np.float64]:
        """Returns [M], the share of each box (base frame) that lies in some picture.

        Args:
            objects: M of them.
            which: bool [N], cameras that count.
        """
        points = _lattice(objects)
        inside = np.zeros(points.shape[:2], np.bool_)
        for camera, counts in zip(self.cameras, which.tolist(), strict=True):
            if counts and camera is not None:
                inside |= camera.project_base(points)[1]
        return np.asarray(inside.mean(axis=-1), np.float64)


def _lattice(objects: TruthObjects) -> NDArray[np.float64]:
    """Returns [M, 27, 3] points of boxes."""
    local = _LATTICE * objects.size_m[:, None]
    cos, sin = np.cos(objects.yaw_rad)[:, None], np.sin(objects.yaw_rad)[:, None]
    x, y, z = np.moveaxis(local, -1, 0)
    turned = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)
    return np.asarray(turned + objects.center_m[:, None])


def _turnable(grid: BevGrid) -> BevGrid:
    """Returns the grid, continued so far that it holds it turned by any angle."""
    corners = [(x, y) for x in (grid.x_min_m, grid.x_max_m) for y in (grid.y_min_m, grid.y_max_m)]
    reach_m = float(np.linalg.norm(corners, axis=-1).max())

    def beyond(edge_m: float) -> int:
        return max(0, int(np.ceil((reach_m - edge_m) / grid.resolution_m)))

    left, right = beyond(-grid.x_min_m), beyond(grid.x_max_m)
    low, high = beyond(-grid.y_min_m), beyond(grid.y_max_m)
    return BevGrid(
        grid.x_min_m - left * grid.resolution_m,
        grid.y_min_m - low * grid.resolution_m,
        grid.resolution_m,
        grid.size_x + left + right,
        grid.size_y + low + high,
    )
