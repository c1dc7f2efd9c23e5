"""Lift of Simple-BEV: every voxel averages what the cameras that see it show at its centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform.base import RigMatrices
from bev_perception.model.view_transform.camera_mask import without_masked
from bev_perception.model.view_transform.rig_checks import check_image, masks_of

# The published mean divides by this much more than the number of cameras.
MEAN_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class VoxelMatrices(RigMatrices):
    """Bilinear taps of the voxels of a batch of rigs.

    A voxel's number is ((sample * Z + row) * X + column) * levels + level, with rows ahead,
    columns to the right and levels downwards: the published order. Entries are sorted by voxel.

    Attributes:
        pixel_index: int32 [E], feature row ((sample * N + camera) * h + v) * w + u.
        weight: float32 [E], bilinear weight.
        voxel_offsets: int32 [B * voxels + 1], rising from 0 to E.
        seen: bool [B, N, voxels], camera n counts in the mean of the voxel.
        levels: voxels above one another.
        feature_shape: (h, w) of a camera.
    """

    pixel_index: Tensor
    weight: Tensor
    voxel_offsets: Tensor
    seen: Tensor
    levels: int
    feature_shape: tuple[int, int]

    def to(self, device: torch.device | str) -> VoxelMatrices:
        names = 'reached', 'pixel_index', 'weight', 'voxel_offsets', 'seen'
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    @classmethod
    def collate(cls, matrices: Sequence[VoxelMatrices]) -> VoxelMatrices:
        if len({(m.seen.shape[1:], m.reached.shape[1:], m.feature_shape) for m in matrices}) != 1:
            raise ValueError('collate: the rigs differ in cameras, image size or grid')
        pixels = np.cumsum([0, *(m.pixels for m in matrices)]).tolist()
        entries = np.cumsum([0, *(len(m.weight) for m in matrices)]).tolist()
        offsets = [m.voxel_offsets[1:] + n for m, n in zip(matrices, entries, strict=False)]
        return cls(
            reached=torch.cat([m.reached for m in matrices]),
            pixel_index=torch.cat(
                [m.pixel_index + n for m, n in zip(matrices, pixels, strict=False)]
            ),
            weight=torch.cat([m.weight for m in matrices]),
            voxel_offsets=torch.cat([matrices[0].voxel_offsets[:1], *offsets]),
            seen=torch.cat([m.seen for m in matrices]),
            levels=matrices[0].levels,
            feature_shape=matrices[0].feature_shape,
        )

    @property
    def pixels(self) -> int:
        """Number of feature rows over all samples and cameras."""
        return (
            self.seen.shape[0] * self.seen.shape[1] * self.feature_shape[0] * self.feature_shape[1]
        )


class _CameraTaps(NamedTuple):
    """Taps of one camera: voxel [e], pixel [e], weight [e]; voxels seen [voxels]."""

    voxel: NDArray[np.int64]
    pixel: NDArray[np.int64]
    weight: NDArray[np.float64]
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class VoxelLift:
    """Where the voxels' centres fall in the images, worked out once per calibration.

    Simple-BEV (Harley et al. 2022, section 3.1, "lifting"): bilinear samples at the projected
    centres, then the mean over the cameras in whose images they fall. As published, the features
    are read at `pixel * w / (w - 1) - 0.5`, which stretches an image of w features by one, and
    image coordinates count from the upper left corner of the image, half a pixel before those of
    `Camera`.

    The published reference frame is that of the front camera, tilt included. Here the voxels
    stand upright on `grid` in the base frame: the same when a level reference camera looks along
    x at the place that `grid` and `top_m` are centred on.

    Attributes:
        grid: columns of voxels, in the base frame.
        top_m: height of the upper face of the topmost voxels.
        level_height_m: height of a voxel.
        levels: voxels above one another.
        image_height: of the images that the model sees, pixels.
        image_width: likewise.
        stride: image pixels per feature, in both directions.
    """

    grid: BevGrid
    top_m: float
    level_height_m: float
    levels: int
    image_height: int
    image_width: int
    stride: int

    @property
    def feature_shape(self) -> tuple[int, int]:
        """(h, w) of the features of a camera."""
        return self.image_height // self.stride, self.image_width // self.stride

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return self.grid.size_x * self.grid.size_y * self.levels

    def centers(self) -> NDArray[np.float64]:
        """Returns [voxels, 3] in the base frame, in the order of the voxels' numbers."""
        x_m, y_m = self.grid.axis_centers()
        z_m = self.top_m - (np.arange(self.levels) + 0.5) * self.level_height_m
        mesh = np.meshgrid(x_m, y_m[::-1], z_m, indexing='ij')
        return np.stack(mesh, axis=-1).reshape(-1, 3)

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> VoxelMatrices:
        """Returns the taps of one rig (batch 1) on the CPU; see `ViewTransform.build`.

        Raises:
            ConfigError: no cameras, or a size does not fit.
        """
        masks = masks_of(cameras, valid, 'lift')
        centers = self.centers()
        taps = [
            self._camera_taps(camera, mask, centers)
            for camera, mask in zip(cameras, masks, strict=True)
        ]
        return self._matrices(taps)

    def _camera_taps(
        self, camera: Camera | None, mask: NDArray[np.bool_] | None, centers: NDArray[np.float64]
    ) -> _CameraTaps:
        if camera is None:
            none = np.zeros(0, np.int64)
            return _CameraTaps(none, none, np.zeros(0), np.zeros(self.voxels, bool))
        check_image(camera, mask, (self.image_height, self.image_width), 'lift')
        uv, _ = camera.project_base(centers)
        shape = np.array(self.feature_shape[::-1], dtype=np.float64)
        place = (uv + 0.5) / self.stride
        # Comparisons with NaN (no image: behind the camera) are false.
        inside = ((place > -0.5) & (place < shape - 0.5)).all(axis=-1) & _shown(uv, mask)
        voxel = np.flatnonzero(inside)
        place = place[voxel] * shape / (shape - 1.0) - 0.5
        low = np.floor(place)
        corner = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
        column_row = low[:, None, :] + corner
        share = (place - low)[:, None, :]
        weight = np.where(corner == 1, share, 1.0 - share).prod(axis=-1)
        counts = ((column_row >= 0) & (column_row < shape)).all(axis=-1) & (weight > 0.0)
        pixel = (column_row[..., 1] * shape[0] + column_row[..., 0]).astype(np.int64)
        seen = np.zeros(self.voxels, bool)
        seen[voxel] = counts.any(axis=-1)
        repeated = np.broadcast_to(voxel[:, None], counts.shape)
        return _CameraTaps(repeated[counts], pixel[counts], weight[counts], seen)

    def _matrices(self, taps: Sequence[_CameraTaps]) -> VoxelMatrices:
        height, width = self.feature_shape
        voxel = np.concatenate([tap.voxel for tap in taps])
        pixel = np.concatenate([tap.pixel + n * height * width for n, tap in enumerate(taps)])
        order = np.argsort(voxel, kind='stable')
        offsets = np.zeros(self.voxels + 1, np.int32)
        np.cumsum(np.bincount(voxel, minlength=self.voxels), out=offsets[1:])
        seen = torch.from_numpy(np.stack([tap.seen for tap in taps]))[None]
        reached = seen.unflatten(2, (self.grid.size_x, self.grid.size_y, self.levels)).any(dim=4)
        return VoxelMatrices(
            reached=reached.flip(3).transpose(2, 3).contiguous(),
            pixel_index=torch.from_numpy(pixel[order].astype(np.int32)),
            weight=torch.from_numpy(
                np.concatenate([tap.weight for tap in taps])[order].astype(np.float32)
            ),
            voxel_offsets=torch.from_numpy(offsets),
            seen=seen,
            levels=self.levels,
            feature_shape=self.feature_shape,
        )


def lift_voxels(features: Tensor, camera_mask: Tensor, matrices: VoxelMatrices) -> Tensor:
    """Returns the volume [B, levels * C, Z, X], channels-last: the mean over the used cameras.

    Rows ahead, columns to the right; channel level * C + c. Zero where no camera sees the voxel.

    Args:
        features: [B, N, C, h, w].
        camera_mask: bool [B, N]; cameras that are off do not count, whatever their features.
        matrices: of the same batch, on the same device.

    Raises:
        ValueError: the features do not fit the matrices.
    """
    batch, cameras, _ = matrices.seen.shape
    channels = features.shape[2]
    expected = batch, cameras, channels, *matrices.feature_shape
    if tuple(features.shape) != expected:
        raise ValueError(f'lift: features are {tuple(features.shape)}, expected {expected}')
    used = without_masked(features, camera_mask)
    rows = used.permute(0, 1, 3, 4, 2).reshape(-1, channels)
    count = (matrices.seen & camera_mask[:, :, None]).sum(dim=1).flatten()
    share = 1.0 / (count.to(torch.float32) + MEAN_EPSILON)
    entries = matrices.voxel_offsets.diff()
    weight = matrices.weight * share.repeat_interleave(entries, output_size=len(matrices.weight))
    volume = embedding_bag(
        matrices.pixel_index,
        rows,
        matrices.voxel_offsets,
        mode='sum',
        per_sample_weights=weight.to(rows.dtype),
        include_last_offset=True,
    )
    size_y, size_x = matrices.reached.shape[2:]
    shape = batch, size_x, size_y, matrices.levels * channels
    return volume.view(shape).permute(0, 3, 1, 2)


def _shown(uv: NDArray[np.float64], mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Returns bool [n]: the image pixel nearest to uv [n, 2] shows the scene."""
    if mask is None:
        return np.ones(len(uv), bool)
    last = np.array(mask.shape[::-1]) - 1
    pixel = np.clip(np.nan_to_num(np.rint(uv)), 0, last).astype(np.int64)
    return mask[pixel[:, 1], pixel[:, 0]]
