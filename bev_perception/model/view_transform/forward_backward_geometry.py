"""Where the cells of the grid look in the images, and at which depth: once per calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, transform
from bev_perception.model.view_transform.base import RigMatrices
from bev_perception.model.view_transform.depth_taps import DepthTaps, reached_by
from bev_perception.model.view_transform.lift_matrix import LiftMatrix
from bev_perception.model.view_transform.lift_splat import DepthBins, LiftSplat
from bev_perception.model.view_transform.rig_checks import masks_of

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ForwardBackwardMatrices(RigMatrices):
    """Both directions between images and cells.

    Attributes:
        lift: forward, feature pixels lifted into cells.
        look_back: backward, up to four entries per sample (cell, height, camera); two depth taps.
        seen_levels: uint8 [B, N, Y, X], number of heights of the cell that camera n sees.
    """

    lift: LiftMatrix
    look_back: DepthTaps
    seen_levels: Tensor

    def to(self, device: torch.device | str) -> ForwardBackwardMatrices:
        return ForwardBackwardMatrices(
            reached=self.reached.to(device),
            lift=self.lift.to(device),
            look_back=self.look_back.to(device),
            seen_levels=self.seen_levels.to(device),
        )

    @classmethod
    def collate(cls, matrices: Sequence[ForwardBackwardMatrices]) -> ForwardBackwardMatrices:
        return cls(
            lift=LiftMatrix.collate([m.lift for m in matrices]),
            look_back=DepthTaps.collate([m.look_back for m in matrices]),
            reached=torch.cat([m.reached for m in matrices]),
            seen_levels=torch.cat([m.seen_levels for m in matrices]),
        )


@dataclass(frozen=True)
class LookBack:
    """Samples of the images at points above the cells, with their depth.

    A sample is a point over a cell centre at one of `levels` heights, the centres of equal slices
    of the height range. A camera sees it when it falls into the image, its depth lies within the
    depth bins, and the nearest feature pixel shows the scene. The context around it is taken
    bilinearly from the feature pixels that show the scene (weights that add up to one, the border
    continued); the depth distribution of each is taken at the depth of the sample, linearly
    between the centres of the two bins around it, constant beyond the outermost ones.

    Attributes:
        lift: the forward geometry, whose grid, bins, heights and feature map are used.
        levels: number of heights.
    """

    lift: LiftSplat
    levels: int

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= 255:
            raise ConfigError(f'forward_backward: levels must be 1 .. 255, got {self.levels}')

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> ForwardBackwardMatrices:
        """Returns the matrices of one rig (batch 1) on the CPU.

        Args:
            cameras: in rig order; None for one without a calibration.
            valid: per camera, bool [height, width] of the image pixels that show the scene.

        Raises:
            ConfigError: no cameras, or a size does not fit.
        """
        forward = self.lift.build(cameras, valid)
        masks = masks_of(cameras, valid, 'forward_backward')
        pixels = self.lift.feature_height * self.lift.feature_width
        seen = np.zeros((len(cameras), forward.cells), np.uint8)
        parts: list[_Entries] = []
        for n, (camera, mask) in enumerate(zip(cameras, masks, strict=True)):
            if camera is not None:
                entries, seen[n] = self._camera_entries(camera, mask)
                entries.pixel += n * pixels
                parts.append(entries)
        taps = self._taps(parts, (forward.cells, forward.pixels, self.lift.bins.count))
        camera_of_entry = forward.pixel_index // pixels
        shape = forward.grid_shape
        seen_levels = torch.from_numpy(seen).view(1, len(cameras), *shape)
        reached = reached_by(forward.cell_offsets, camera_of_entry, len(cameras), shape)
        return ForwardBackwardMatrices(
            reached=reached | (seen_levels > 0),
            lift=forward,
            look_back=taps,
            seen_levels=seen_levels,
        )

    def points_base(self) -> FloatArray:
        """Returns [Y * X, levels, 3]: the points above the cells, in the base frame, metres."""
        low, high = self.lift.z_range_m
        z = low + (np.arange(self.levels) + 0.5) * (high - low) / self.levels
        centers = self.lift.grid.cell_centers().reshape(-1, 1, 2)
        shape = (len(centers), self.levels)
        return np.concatenate(
            [np.broadcast_to(centers, (*shape, 2)), np.broadcast_to(z[:, None], (*shape, 1))], -1
        )

    def _camera_entries(
        self, camera: Camera, mask: NDArray[np.bool_] | None
    ) -> tuple[_Entries, NDArray[np.uint8]]:
        """Returns the entries of one camera, and how many heights of each cell it sees [Y * X]."""
        points = transform(invert(camera.base_T_camera), self.points_base()).reshape(-1, 3)
        uv, inside = camera.project(points)
        planar = camera.distortion.is_planar
        depth_m = points[:, 2] if planar else np.linalg.norm(points, axis=-1)
        bins = self.lift.bins
        inside &= (depth_m >= bins.min_m) & (depth_m < bins.max_m)
        sample = np.flatnonzero(inside)
        pixel, weight, seen = _bilinear(uv[sample], self._shown(camera, mask), self.lift.stride)
        sample, pixel, weight = sample[seen], pixel[seen], weight[seen]
        bin_index, bin_share = _between_bins(depth_m[sample], bins)

        which, tap = np.nonzero(weight)
        cell = sample // self.levels
        entries = _Entries(
            cell=cell[which],
            pixel=pixel[which, tap],
            weight=weight[which, tap],
            bin_index=bin_index[which],
            bin_share=bin_share[which],
        )
        return entries, np.bincount(cell, minlength=len(points) // self.levels).astype(np.uint8)

    def _shown(self, camera: Camera, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Returns bool [h, w]: feature pixels that have a ray and show the scene."""
        shown = np.isfinite(camera.rays(self.lift.image_pixels())).all(axis=-1)
        return np.asarray(shown & self.lift.shown(mask))

    def _taps(self, parts: list[_Entries], shape: tuple[int, int, int]) -> DepthTaps:
        none = np.zeros(0, np.int64)
        no_taps = np.zeros((0, 2), np.int64)
        return DepthTaps.from_cells(
            np.concatenate([none, *(part.cell for part in parts)]),
            np.concatenate([none, *(part.pixel for part in parts)]),
            np.concatenate([none, *(part.weight for part in parts)]),
            (
                np.concatenate([no_taps, *(part.bin_index for part in parts)]),
                np.concatenate([no_taps, *(part.bin_share for part in parts)]),
            ),
            shape,
        )


@dataclass(eq=False)
class _Entries:
    """Entries of one camera: cell, pixel and weight [E], bin_index and bin_share [E, 2]."""

    cell: IntArray
    pixel: IntArray
    weight: FloatArray
    bin_index: IntArray
    bin_share: FloatArray


def _bilinear(
    uv: FloatArray, shown: NDArray[np.bool_], stride: int
) -> tuple[IntArray, FloatArray, NDArray[np.bool_]]:
    """Returns (pixel [S, 4], weight [S, 4], seen [S]) of image points [S, 2] on the feature map.

    Weights of a seen point add up to one over its feature pixels that are shown; seen: its
    nearest feature pixel is.
    """
    height, width = shown.shape
    steps, shares = [], []
    for axis, size in ((1, height), (0, width)):
        place = np.clip((uv[:, axis] + 0.5) / stride - 0.5, 0, size - 1)
        first = np.minimum(np.floor(place), max(size - 2, 0)).astype(np.int64)
        steps.append(np.stack([first, np.minimum(first + 1, size - 1)], axis=-1))
        shares.append(np.stack([first + 1 - place, place - first], axis=-1))
    pixel = (steps[0][:, :, None] * width + steps[1][:, None, :]).reshape(-1, 4)
    weight = (shares[0][:, :, None] * shares[1][:, None, :]).reshape(-1, 4)
    visible = shown.ravel()[pixel]
    seen = np.take_along_axis(visible, weight.argmax(axis=1)[:, None], axis=1)[:, 0]
    weight *= visible
    total = weight.sum(axis=1, keepdims=True)
    return pixel, weight / np.where(total > 0.0, total, 1.0), seen


def _between_bins(depth_m: FloatArray, bins: DepthBins) -> tuple[IntArray, FloatArray]:
    """Returns (bin [S, 2], share [S, 2]) that interpolate a distribution at depths [S]."""
    place = np.clip((depth_m - bins.min_m) / bins.width_m - 0.5, 0, bins.count - 1)
    first = np.minimum(np.floor(place), max(bins.count - 2, 0)).astype(np.int64)
    second = np.minimum(first + 1, bins.count - 1)
    share = place - first
    return np.stack([first, second], axis=-1), np.stack([1.0 - share, share], axis=-1)
