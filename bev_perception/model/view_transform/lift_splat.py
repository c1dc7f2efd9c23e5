"""From a camera rig to the lift-splat matrix: geometry and binning, once per calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform.lift_matrix import LiftMatrix, check_index_range
from bev_perception.model.view_transform.rig_checks import (
    check_features,
    masks_of,
    shown_features,
)


@dataclass(frozen=True)
class DepthBins:
    """Depth bins of equal width over [min_m, max_m).

    Attributes:
        min_m: near edge of the first bin, > 0.
        max_m: far edge of the last bin.
        count: number of bins.
    """

    min_m: float
    max_m: float
    count: int

    def __post_init__(self) -> None:
        if not (0.0 < self.min_m < self.max_m < np.inf and self.count >= 1):
            raise ConfigError(
                f'depth bins: need 0 < min_m < max_m and count >= 1, got min_m {self.min_m}, '
                f'max_m {self.max_m}, count {self.count}'
            )

    @property
    def width_m(self) -> float:
        """Width of one bin in metres."""
        return (self.max_m - self.min_m) / self.count

    def centers(self) -> NDArray[np.float64]:
        """Returns float64 [count]: bin centres in metres."""
        steps = np.arange(self.count, dtype=np.float64) + 0.5
        return self.min_m + steps * self.width_m


@dataclass(frozen=True)
class LiftSplat:
    """Lift-splat geometry: a point per feature pixel and depth bin, binned into the grid.

    Lift-Splat-Shoot (Philion & Fidler 2020, section 3: lift, splat) computes and sorts these
    points in every frame; here it happens once per calibration, in float64 on the host, so that
    every device then sums exactly the same entries (precomputed indices as in BEVPoolv2,
    arXiv 2211.17111).

    The depth of a bin runs along the optical axis for pinhole input cameras, and along the ray
    (Euclidean range) for equidistant ones, whose field of view may exceed 180 degrees: the point
    is `Camera.rays` times depth in both cases.

    Attributes:
        grid: bird's-eye-view grid.
        bins: depth bins.
        z_range_m: only points with z_range_m[0] <= z < z_range_m[1] in the base frame count.
        feature_height: rows of the feature map.
        feature_width: columns of the feature map.
        stride: image pixels per feature pixel, in both directions. Feature pixel (v, u) lies at
            image pixel ((u + 0.5) * stride - 0.5, (v + 0.5) * stride - 0.5).
    """

    grid: BevGrid
    bins: DepthBins
    z_range_m: tuple[float, float]
    feature_height: int
    feature_width: int
    stride: int

    def __post_init__(self) -> None:
        if not self.z_range_m[0] < self.z_range_m[1]:
            raise ConfigError(f'lift: z_range_m must rise, got {self.z_range_m}')
        if min(self.feature_height, self.feature_width, self.stride) < 1:
            raise ConfigError(
                f'lift: feature_height, feature_width and stride must be >= 1, got '
                f'{self.feature_height}, {self.feature_width}, {self.stride}'
            )

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> LiftMatrix:
        """Returns the matrix of one rig (batch 1) on the CPU.

        Args:
            cameras: the cameras of the images that the model sees, in rig order; None for one
                without a calibration, which then contributes nothing.
            valid: per camera, bool [height, width] of the image pixels that show the scene; a
                feature pixel counts when the image pixel under its centre does (the lower right
                one of four for an even stride). None: all of them.

        Raises:
            ConfigError: no cameras, or an image or mask size does not fit the feature map.
        """
        masks = masks_of(cameras, valid, 'lift')
        pixels_per_camera = self.feature_height * self.feature_width
        check_index_range(len(cameras) * pixels_per_camera * self.bins.count)
        cells, positions = [], []
        for index, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
            if camera is None:
                continue
            cell, position = self._camera_entries(camera, mask)
            cells.append(cell)
            positions.append(position + index * pixels_per_camera * self.bins.count)
        return self._matrix(cells, positions, len(cameras))

    def image_pixels(self) -> NDArray[np.float64]:
        """Returns float64 [h, w, 2]: (u, v) image coordinates of the feature pixels."""
        u = (np.arange(self.feature_width) + 0.5) * self.stride - 0.5
        v = (np.arange(self.feature_height) + 0.5) * self.stride - 0.5
        return np.stack(np.meshgrid(u, v, indexing='xy'), axis=-1)

    def _camera_entries(
        self, camera: Camera, mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (cell, pixel * D + bin) of the points of one camera that fall in the grid."""
        shape = (self.feature_height, self.feature_width)
        check_features(camera, mask, shape, self.stride, 'lift')
        rays = camera.rays(self.image_pixels()).reshape(-1, 3)
        usable = np.isfinite(rays).all(axis=-1) & self.shown(mask).ravel()
        rays_base = rays[usable] @ camera.base_T_camera[:3, :3].T
        depth_m = self.bins.centers()
        x, y, z = (
            camera.base_T_camera[axis, 3] + rays_base[:, axis, None] * depth_m for axis in range(3)
        )
        iy, ix, inside = self.grid.to_cell(x, y)
        inside &= (z >= self.z_range_m[0]) & (z < self.z_range_m[1])
        pixel = np.flatnonzero(usable)
        position = pixel[:, None] * self.bins.count + np.arange(self.bins.count)
        return (iy * self.grid.size_x + ix)[inside], position[inside]

    def shown(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Returns bool [h, w]: feature pixels whose centre shows the scene."""
        return shown_features(mask, (self.feature_height, self.feature_width), self.stride)

    def _matrix(
        self, cells: list[NDArray[np.int64]], positions: list[NDArray[np.int64]], cameras: int
    ) -> LiftMatrix:
        none = np.zeros(0, np.int64)
        cell = torch.from_numpy(np.concatenate([none, *cells]).astype(np.int32))
        position = torch.from_numpy(np.concatenate([none, *positions]).astype(np.int32))
        # A stable sort keeps camera, pixel, bin order in a cell: summation order is defined,
        # and neighbouring entries share a feature row.
        _, order = torch.sort(cell, stable=True)
        depth_index = position[order]
        grid_cells = self.grid.size_x * self.grid.size_y
        offsets = torch.zeros(grid_cells + 1, dtype=torch.int32)
        offsets[1:] = torch.bincount(cell, minlength=grid_cells).cumsum(0)
        return LiftMatrix(
            pixel_index=depth_index // self.bins.count,
            depth_index=depth_index,
            cell_offsets=offsets,
            batch=1,
            cameras=cameras,
            feature_shape=(self.feature_height, self.feature_width),
            depth_bins=self.bins.count,
            grid_shape=self.grid.shape,
        )
