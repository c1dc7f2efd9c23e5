"""The lift-splat view transform as one sparse matrix, and its product with image features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bev_perception.ops.bev_pool import SparseEntries, bev_pool


@dataclass(frozen=True, eq=False)
class LiftMatrix(SparseEntries):
    """Entries of the lift-splat transform of a batch of rigs (see `SparseEntries`).

    Feature row = ((sample * cameras + camera) * feature_height + v) * feature_width + u;
    cell = (sample * Y + iy) * X + ix.

    Attributes:
        batch: number of samples B.
        cameras: cameras per sample N, those without a calibration included.
        feature_shape: (height, width) of the feature map of a camera.
        depth_bins: number of depth bins D.
        grid_shape: (Y, X).
    """

    batch: int
    cameras: int
    feature_shape: tuple[int, int]
    depth_bins: int
    grid_shape: tuple[int, int]

    @classmethod
    def collate(cls, matrices: Sequence[LiftMatrix]) -> LiftMatrix:
        """Returns the block-diagonal matrix of a batch, in the order of `matrices`.

        Raises:
            ValueError: nothing to collate, or the shapes differ (pad rigs with absent cameras).
        """
        shapes = {(m.cameras, m.feature_shape, m.depth_bins, m.grid_shape) for m in matrices}
        if len(shapes) != 1:
            raise ValueError(f'collate: expected lift matrices of one shape, got {shapes}')
        cameras, feature_shape, depth_bins, grid_shape = shapes.pop()
        check_index_range(sum(matrix.pixels for matrix in matrices) * depth_bins)
        first_pixel, first_entry = 0, 0
        pixel, depth, offsets = [], [], [matrices[0].cell_offsets[:1]]
        for matrix in matrices:
            pixel.append(matrix.pixel_index + first_pixel)
            depth.append(matrix.depth_index + first_pixel * depth_bins)
            offsets.append(matrix.cell_offsets[1:] + first_entry)
            first_pixel += matrix.pixels
            first_entry += len(matrix.pixel_index)
        return cls(
            pixel_index=torch.cat(pixel),
            depth_index=torch.cat(depth),
            cell_offsets=torch.cat(offsets),
            batch=sum(matrix.batch for matrix in matrices),
            cameras=cameras,
            feature_shape=feature_shape,
            depth_bins=depth_bins,
            grid_shape=grid_shape,
        )

    @property
    def pixels(self) -> int:
        """Number of feature rows over all samples and cameras."""
        height, width = self.feature_shape
        return self.batch * self.cameras * height * width


def check_index_range(points: int) -> None:
    """Raises ValueError when that many lifted points cannot be counted in int32."""
    if points > torch.iinfo(torch.int32).max:
        raise ValueError(
            f'lift: {points} points (batch x cameras x height x width x depth bins) do not fit '
            f'int32 indices; use a smaller batch'
        )


def splat(features: Tensor, depth: Tensor, lift: LiftMatrix) -> Tensor:
    """Returns [B, C, Y, X] bird's-eye-view features, a channels-last view (no copy).

    Sum over all pixels and depth bins of a cell of depth * feature (Lift-Splat-Shoot, Philion &
    Fidler 2020, eq. 1, then sum pooling). Inputs whose channels are innermost in memory
    (channels-last, as `depth` is after a softmax over the last axis of [B, N, h, w, D]) are read
    in place; others are copied once.

    Args:
        features: [B, N, C, h, w].
        depth: [B, N, D, h, w] weights. Cameras that must not contribute are zero here or in
            `features`, or absent from `lift`.
        lift: matrix of the same batch, on the same device.

    Raises:
        ValueError: a shape does not fit the matrix.
    """
    outer = (lift.batch, lift.cameras)
    channels = features.shape[2] if features.dim() == 5 else -1
    for name, tensor, inner in (
        ('features', features, channels),
        ('depth', depth, lift.depth_bins),
    ):
        expected = (*outer, inner, *lift.feature_shape)
        if tuple(tensor.shape) != expected:
            raise ValueError(f'splat: {name} is {tuple(tensor.shape)}, expected {expected}')
    rows = features.permute(0, 1, 3, 4, 2).reshape(lift.pixels, channels)
    weights = depth.permute(0, 1, 3, 4, 2).reshape(lift.pixels, lift.depth_bins)
    bev = bev_pool(rows, weights, lift)
    return bev.view(lift.batch, *lift.grid_shape, channels).permute(0, 3, 1, 2)
