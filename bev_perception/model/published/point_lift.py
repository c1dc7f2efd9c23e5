"""Pixels spread over depths and summed into the grid, binned as published (PowerBEV, LSS)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform.base import RigMatrices
from bev_perception.model.view_transform.lift_matrix import LiftMatrix, check_index_range
from bev_perception.model.view_transform.rig_checks import check_image, masks_of


@dataclass(frozen=True, eq=False)
class SplatMatrices(RigMatrices):
    """Which pixel and depth falls into which cell, for a batch of rigs.

    Attributes:
        lift: see `LiftMatrix`.
    """

    lift: LiftMatrix

    def to(self, device: torch.device | str) -> SplatMatrices:
        return replace(self, reached=self.reached.to(device), lift=self.lift.to(device))

    @classmethod
    def collate(cls, matrices: Sequence[SplatMatrices]) -> SplatMatrices:
        lift = LiftMatrix.collate([m.lift for m in matrices])
        return cls(torch.cat([m.reached for m in matrices]), lift)


@dataclass(frozen=True)
class PointLift:
    """Lift-splat geometry with the published places of pixels, depths and cells.

    PowerBEV (Li et al. 2023, section 3.1) takes it from Lift-Splat-Shoot (Philion and Fidler
    2020). It differs from `LiftSplat` in three ways: the first and last feature of a row lie on
    the first and last pixel of the image, the depths are points rather than middles of bins, and
    cells are found by cutting towards zero, so that points up to one cell below the lower ends of
    the grid (and one `height_m` below its floor) still count to its first cells.

    Attributes:
        grid: in the base frame.
        floor_m: lower end along z.
        height_m: of the one cell along z.
        first_depth_m: nearest depth.
        depth_step_m: between depths.
        depths: number of depths.
        image_height: of the images that the model sees, pixels.
        image_width: likewise.
        stride: image pixels per feature, in both directions.
    """

    grid: BevGrid
    floor_m: float
    height_m: float
    first_depth_m: float
    depth_step_m: float
    depths: int
    image_height: int
    image_width: int
    stride: int

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(h, w) of the features of a camera."""
        return self.image_height // self.stride, self.image_width // self.stride

    def image_pixels(self) -> NDArray[np.float64]:
        """Returns [h, w, 2]: (u, v) image coordinates of the features."""
        height, width = self.feature_shape
        u = np.linspace(0.0, self.image_width - 1.0, width)
        v = np.linspace(0.0, self.image_height - 1.0, height)
        return np.stack(np.meshgrid(u, v, indexing='xy'), axis=-1)

    def depths_m(self) -> NDArray[np.float64]:
        """Returns [D]."""
        steps = np.arange(self.depths, dtype=np.float64)
        return self.first_depth_m + steps * self.depth_step_m

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> SplatMatrices:
        """Returns the matrix of one rig (batch 1) on the CPU; see `ViewTransform.build`.

        Raises:
            ConfigError: no cameras, or a size does not fit.
        """
        masks = masks_of(cameras, valid, 'lift')
        height, width = self.feature_shape
        points = height * width * self.depths
        check_index_range(len(cameras) * points)
        reached = np.zeros((1, len(cameras), *self.grid.shape), bool)
        cells, positions = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for index, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
            if camera is None:
                continue
            cell, position = self._camera_entries(camera, mask)
            reached[0, index].flat[cell] = True
            cells.append(cell)
            positions.append(position + index * points)
        return SplatMatrices(
            torch.from_numpy(reached),
            self._matrix(np.concatenate(cells), np.concatenate(positions), len(cameras)),
        )

    def _camera_entries(
        self, camera: Camera, mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (cell, pixel * D + depth) of the points of one camera that count."""
        check_image(camera, mask, (self.image_height, self.image_width), 'lift')
        uv = self.image_pixels()
        rays = camera.rays(uv).reshape(-1, 3)
        usable = np.isfinite(rays).all(axis=-1)
        if mask is not None:
            column, row = np.moveaxis(np.rint(uv).astype(np.int64), -1, 0)
            usable &= mask[row, column].ravel()
        rays_base = rays[usable] @ camera.base_T_camera[:3, :3].T
        points_m = camera.base_T_camera[:3, 3] + rays_base[:, None] * self.depths_m()[:, None]
        grid = self.grid
        first_m = np.array([grid.x_min_m, grid.y_min_m, self.floor_m])
        steps_m = np.array([grid.resolution_m, grid.resolution_m, self.height_m])
        index = np.trunc((points_m - first_m) / steps_m)
        count = np.array([grid.size_x, grid.size_y, 1])
        inside = ((index >= 0) & (index < count)).all(axis=-1)
        pixel = np.flatnonzero(usable)
        position = pixel[:, None] * self.depths + np.arange(self.depths)
        cell = index[..., 1] * grid.size_x + index[..., 0]
        return cell[inside].astype(np.int64), position[inside]

    def _matrix(
        self, cell: NDArray[np.int64], position: NDArray[np.int64], cameras: int
    ) -> LiftMatrix:
        order = np.argsort(cell, kind='stable')
        depth_index = position[order].astype(np.int32)
        cells = self.grid.size_x * self.grid.size_y
        offsets = np.zeros(cells + 1, np.int32)
        np.cumsum(np.bincount(cell, minlength=cells), out=offsets[1:])
        return LiftMatrix(
            pixel_index=torch.from_numpy(depth_index // self.depths),
            depth_index=torch.from_numpy(depth_index),
            cell_offsets=torch.from_numpy(offsets),
            batch=1,
            cameras=cameras,
            feature_shape=self.feature_shape,
            depth_bins=self.depths,
            grid_shape=self.grid.shape,
        )
