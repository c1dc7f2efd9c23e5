"""From a camera rig to the matrix of bilinear sampling at voxels, once per calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform.bilinear_matrix import BilinearMatrices, mean_weights
from bev_perception.model.view_transform.rig_checks import check_features, masks_of
from bev_perception.ops.bev_pool.weighted import WeightedEntries, check_int32

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class VoxelSampling:
    """Voxels and the places of the feature maps at which they are sampled.

    Simple-BEV (Harley et al. 2022, section 3.1). A camera sees a voxel when the voxel's centre is
    in front of it, within its lens, and projects into the image, onto a pixel that shows the
    scene. The sample is that of `grid_sample` with align_corners=False and padding of zeros.

    Attributes:
        grid: bird's-eye-view grid.
        z_range_m: height range in the base frame, cut into `levels` equal slices; the voxel
            centres lie in their middles.
        levels: number of slices Z.
        feature_height: rows of the feature map.
        feature_width: columns of the feature map.
        stride: image pixels per feature pixel, in both directions. Feature pixel (v, u) lies at
            image pixel ((u + 0.5) * stride - 0.5, (v + 0.5) * stride - 0.5).
    """

    grid: BevGrid
    z_range_m: tuple[float, float]
    levels: int
    feature_height: int
    feature_width: int
    stride: int

    def __post_init__(self) -> None:
        if not self.z_range_m[0] < self.z_range_m[1]:
            raise ConfigError(f'bilinear: z_range_m must rise, got {self.z_range_m}')
        if min(self.levels, self.feature_height, self.feature_width, self.stride) < 1:
            raise ConfigError(
                f'bilinear: levels, feature_height, feature_width and stride must be >= 1, got '
                f'{self.levels}, {self.feature_height}, {self.feature_width}, {self.stride}'
            )

    def voxel_centers(self) -> FloatArray:
        """Returns float64 [Y, X, Z, 3]: voxel centres in metres in the base frame."""
        low, high = self.z_range_m
        z = low + (np.arange(self.levels) + 0.5) * ((high - low) / self.levels)
        centers = np.empty((*self.grid.shape, self.levels, 3))
        centers[..., :2] = self.grid.cell_centers()[:, :, None]
        centers[..., 2] = z
        return centers

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[BoolArray | None] | None = None,
    ) -> BilinearMatrices:
        """Returns the matrices of one rig (batch 1) on the CPU.

        Args:
            cameras: of the images that the model sees, in rig order; None for one without a
                calibration, which then contributes nothing.
            valid: per camera, bool [height, width] of the image pixels that show the scene.

        Raises:
            ConfigError: no cameras, or an image or mask size does not fit the feature map.
        """
        masks = masks_of(cameras, valid, 'bilinear')
        shape = (self.feature_height, self.feature_width)
        rows_per_camera = self.feature_height * self.feature_width * self.levels
        check_int32(len(cameras) * rows_per_camera, 'feature rows')
        centers = self.voxel_centers().reshape(-1, 3)
        check_int32(4 * len(cameras) * len(centers), 'entries')
        seen = np.zeros((len(cameras), len(centers)), bool)
        none = np.zeros(0, np.int64)
        voxels, rows, weights = [none], [none], [np.zeros(0)]
        for index, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
            if camera is None:
                continue
            check_features(camera, mask, shape, self.stride, 'bilinear')
            uv, seen[index] = _project(camera, centers, mask)
            voxel = np.flatnonzero(seen[index])
            owner, row, weight = self._taps(uv[voxel], voxel % self.levels)
            voxels.append(voxel[owner])
            rows.append(row + index * rows_per_camera)
            weights.append(weight)
        return self._matrices(
            np.concatenate(voxels), np.concatenate(rows), np.concatenate(weights), seen
        )

    def _taps(self, uv: FloatArray, level: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Returns (sample, feature row, weight) of the taps of samples that have a weight.

        Args:
            uv: [M, 2] image coordinates of the samples.
            level: [M] height of the voxel of each.
        """
        place = (uv + 0.5) / self.stride - 0.5
        corner = np.floor(place)
        share = place - corner
        samples, rows, weights = [], [], []
        for dv, du in ((0, 0), (0, 1), (1, 0), (1, 1)):
            u, v = (corner + np.array([du, dv])).astype(np.int64).T
            weight = np.abs(1 - du - share[:, 0]) * np.abs(1 - dv - share[:, 1])
            inside = (u >= 0) & (u < self.feature_width) & (v >= 0) & (v < self.feature_height)
            sample = np.flatnonzero(inside & (weight > 0.0))
            pixel = v[sample] * self.feature_width + u[sample]
            samples.append(sample)
            rows.append(pixel * self.levels + level[sample])
            weights.append(weight[sample])
        sample, row, weight = map(np.concatenate, (samples, rows, weights))
        order = np.argsort(sample, kind='stable')
        return sample[order], row[order], weight[order]

    def _matrices(
        self, voxel: IntArray, row: IntArray, weight: FloatArray, seen: BoolArray
    ) -> BilinearMatrices:
        taps, order = WeightedEntries.from_cells(
            voxel // self.levels, row, weight, self.grid.size_x * self.grid.size_y
        )
        voxel_index = torch.from_numpy(voxel[order].astype(np.int32))
        by_voxel = torch.from_numpy(seen).view(1, len(seen), *self.grid.shape, self.levels)
        mean = mean_weights(taps.weight, voxel_index, by_voxel)
        return BilinearMatrices(
            reached=by_voxel.any(dim=-1),
            entries=replace(taps, weight=mean),
            tap_weight=taps.weight,
            voxel_index=voxel_index,
            seen=by_voxel,
            feature_shape=(self.feature_height, self.feature_width),
        )


def _project(
    camera: Camera, points_base: FloatArray, mask: BoolArray | None
) -> tuple[FloatArray, BoolArray]:
    """Returns image coordinates [M, 2] of points [M, 3] and whether the camera shows them [M]."""
    uv, shown = camera.project_base(points_base)
    if mask is not None:
        u, v = np.floor(uv[shown] + 0.5).astype(np.int64).T
        # In floating point the last half pixel may round up to one that does not exist.
        u, v = np.minimum(u, camera.width - 1), np.minimum(v, camera.height - 1)
        shown[shown] = mask[v, u]
    return uv, shown
