"""Which cells of the ground each camera sees, occlusion included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import Matrix
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import GROUND_CLASSES

# Along each side, at 1/6 and 5/6 of one cell, at the middle of the next. From the square root of
# two on, a cell holds a point however it is turned.
_POINTS_PER_CELL = 1.5
_MARGIN_M = 4.0  # what a base usually moves until a camera fires, at the corners of the grid
_IS_GROUND = np.isin(np.arange(256), [int(item) for item in GROUND_CLASSES])


class _Lattice(NamedTuple):
    """Ground points that lie in the picture of one camera: place in its base frame, and pixel.

    x and y are in cells, counted from the lower corner of the rimmed grid.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    pixel: NDArray[np.intp]


class ObservedCells:
    """Decides which cells cameras see, for cameras that keep their place on a level base.

    The ground is flat: a pixel that shows ground shows the ground point behind it, and nothing
    hides that point. So a camera observes a cell when a ground point in the cell falls on a pixel
    of a ground class, or on a pixel of the very road user that stands on the point (whose
    footprint holds it). No tolerance is involved but that of a pixel's size.

    Cameras fire at instants of their own, when the base is elsewhere than at the reference
    instant. The points of a camera therefore form a lattice that moves with its base: they always
    fall on the same pixels, looked up once, and every frame asks in which cell of the grid each of
    them lies. The lattice is dense enough to have a point in every cell, however it is turned.

    Args:
        cameras: of the rig; poses relative to the base.
        grid: cells, in the base frame of the reference instant.
    """

    def __init__(self, cameras: Sequence[Camera], grid: BevGrid) -> None:
        self._grid = grid
        self._cameras = tuple(cameras)
        # A rim of one cell takes all points that lie outside.
        self._rimmed = (grid.size_y + 2, grid.size_x + 2)
        self._origin_m = np.array([grid.x_min_m, grid.y_min_m]) - grid.resolution_m
        self._reach(_MARGIN_M)

    def observe(
        self,
        classes: Sequence[NDArray[np.uint8]],
        instances: Sequence[NDArray[np.uint16]],
        boxes: BoxArray,
        base_T_camera_base: Sequence[Matrix] | None = None,
    ) -> NDArray[np.bool_]:
        """Returns bool [N, Y, X]: which cells each camera observes.

        Args:
            classes: [H, W] of `SemanticClass`, one image per camera.
            instances: [H, W], likewise.
            boxes: road users at the reference instant, in its base frame.
            base_T_camera_base: one [4, 4] per camera: maps the base frame at the camera's instant
                to that at the reference instant. None: all cameras fire at the reference instant.

        Raises:
            ValueError: an image does not have its camera's size.
        """
        still = [np.eye(4)] * len(self._cameras)
        motions = still if base_T_camera_base is None else base_T_camera_base
        farthest_m = max((self._largest_move(motion) for motion in motions), default=0.0)
        if farthest_m > self._margin_m:
            self._reach(2.0 * farthest_m)
        observed = np.zeros((len(self._cameras), *self._grid.shape), np.bool_)
        rows = np.full(65536, -1, np.int32)
        rows[boxes.instance] = np.arange(len(boxes))
        outlines = self._outlines(boxes)
        for index, camera in enumerate(self._cameras):
            if not classes[index].shape == instances[index].shape == (camera.height, camera.width):
                raise ValueError(f"images of camera '{camera.name}' do not have its size")
            cells = self._cells_seen(
                self._lattices[index],
                classes[index].ravel(),
                rows,
                instances[index].ravel(),
                outlines,
                motions[index],
            )
            observed[index] = cells.reshape(self._rimmed)[1:-1, 1:-1]
        return observed

    def _cells_seen(
        self,
        lattice: _Lattice,
        classes: NDArray[np.uint8],
        row_of_instance: NDArray[np.int32],
        instances: NDArray[np.uint16],
        outlines: NDArray[np.float32],
        motion: Matrix,
    ) -> NDArray[np.bool_]:
        """Returns which cells of the rimmed grid, ravelled, one camera observes."""
        ground = np.take(_IS_GROUND, np.take(classes, lattice.pixel))
        box = np.take(row_of_instance, np.take(instances, lattice.pixel))
        seen = np.flatnonzero(ground | (box >= 0))
        x, y = np.take(lattice.x, seen), np.take(lattice.y, seen)
        if not np.array_equal(motion, np.eye(4)):
            x, y = self._moved(x, y, motion)
        rows, columns = self._rimmed
        index = _clipped(y, rows)
        index *= columns
        index += _clipped(x, columns)
        ground = np.take(ground, seen)
        standing = np.flatnonzero(~ground)
        stand = _stand_on(x[standing], y[standing], box[seen[standing]], outlines)
        cells = np.zeros(rows * columns, np.bool_)
        cells[index[ground]] = True
        cells[index[standing[stand]]] = True
        return cells

    def _reach(self, margin_m: float) -> None:
        """Lays out the lattices for motion up to a margin: so far they reach beyond the grid."""
        self._margin_m = margin_m
        self._lattices = [self._lattice(camera) for camera in self._cameras]

    def _outlines(self, boxes: BoxArray) -> NDArray[np.float32]:
        """Returns [6, n] in cells: cosine and sine of the heading, centre along it and to its
        left, half the length and half the width.
        """
        center = (boxes.center_m[:, :2] - self._origin_m) / self._grid.resolution_m
        cos, sin = np.cos(boxes.yaw_rad), np.sin(boxes.yaw_rad)
        ahead = cos * center[:, 0] + sin * center[:, 1]
        left = cos * center[:, 1] - sin * center[:, 0]
        half = 0.5 * boxes.size_m[:, :2].T / self._grid.resolution_m
        return np.stack([cos, sin, ahead, left, *half]).astype(np.float32)

    def _moved(
        self, x: NDArray[np.float32], y: NDArray[np.float32], motion: Matrix
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns points from a camera's base frame in the reference one, both in cells."""
        turn, origin = np.asarray(motion)[:2, :2], self._origin_m
        shift = (turn @ origin + np.asarray(motion)[:2, 3] - origin) / self._grid.resolution_m
        (xx, xy), (yx, yy) = turn.astype(np.float32)
        dx, dy = shift.astype(np.float32)
        return xx * x + (xy * y + dx), yx * x + (yy * y + dy)

    def _lattice(self, camera: Camera) -> _Lattice:
        grid, count = self._grid, _POINTS_PER_CELL
        margin = 2 * int(np.ceil(0.5 * self._margin_m / grid.resolution_m))
        x, y = (
            1.0 - margin + (np.arange(int((size + 2 * margin) * count)) + 0.25) / count
            for size in (grid.size_x, grid.size_y)
        )
        points = np.zeros((len(y), len(x), 3))
        points[..., 0] = self._origin_m[0] + x * grid.resolution_m
        points[..., 1] = self._origin_m[1] + y[:, None] * grid.resolution_m
        uv, valid = camera.project_base(points)
        pixel = np.rint(uv[valid]).astype(np.intp)
        row, column = np.nonzero(valid)
        return _Lattice(
            x[column].astype(np.float32),
            y[row].astype(np.float32),
            pixel[:, 1] * camera.width + pixel[:, 0],
        )

    def _largest_move(self, motion: Matrix) -> float:
        """Returns how far a motion of the base moves a corner of the grid, along x or y."""
        grid = self._grid
        corners = [
            (x, y) for x in (grid.x_min_m, grid.x_max_m) for y in (grid.y_min_m, grid.y_max_m)
        ]
        moved = corners @ np.asarray(motion)[:2, :2].T + np.asarray(motion)[:2, 3] - corners
        return float(np.abs(moved).max())


def _clipped(values: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Returns whole numbers from 0 to `count` - 1; what lies below or above goes to the ends."""
    index = values.astype(np.int32)
    np.maximum(index, 0, out=index)
    return np.minimum(index, count - 1, out=index)


def _stand_on(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    at: NDArray[np.int32],
    outlines: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Returns which points [k] lie in the footprint of box `at` [k], a column of `outlines`."""
    cos, sin, ahead, left, half_length, half_width = outlines
    inside = np.abs(cos[at] * x + sin[at] * y - ahead[at]) <= half_length[at]
    rest = np.flatnonzero(inside)
    x, y, at = x[rest], y[rest], at[rest]
    inside[rest] = np.abs(cos[at] * y - sin[at] * x - left[at]) <= half_width[at]
    return inside
