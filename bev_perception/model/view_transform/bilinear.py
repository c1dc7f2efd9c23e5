"""Bilinear sampling: every voxel takes the image features at its projection, without depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform.base import ViewTransform
from bev_perception.model.view_transform.bilinear_matrix import BilinearMatrices
from bev_perception.model.view_transform.bilinear_sampling import VoxelSampling
from bev_perception.model.view_transform.camera_mask import without_masked
from bev_perception.ops.bev_pool.weighted import weighted_pool


class Bilinear(ViewTransform):
    """Samples at voxels, averaged over cameras, heights compressed (Simple-BEV).

    Harley et al. 2022, section 3.1: a voxel gets the mean of the bilinear samples of the cameras
    that see it, zero if none does, and a learned layer compresses the Z heights of a cell (here
    a 1x1 convolution from Z * C to C' channels). Sampling and mean are linear in the features, so
    the compression comes first: each pixel gets C' channels for each height, and what remains is
    one sparse matrix known from calibration. The volume of voxels never exists, and the result is
    the same but for rounding. Of cameras that see a voxel, only those in use count in its mean.

    Args:
        grid: bird's-eye-view grid.
        z_range_m: height range of the voxels.
        levels: Z, number of voxels over that range.
        feature_shape: (rows, columns) of the feature map of a camera.
        stride: image pixels per feature pixel.
        context_channels: C of the image features.
        out_channels: C' of the BEV features.
    """

    needs_depth: ClassVar[bool] = False

    def __init__(
        self,
        grid: BevGrid,
        z_range_m: tuple[float, float],
        levels: int,
        feature_shape: tuple[int, int],
        stride: int,
        context_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        self.sampling = VoxelSampling(grid, z_range_m, levels, *feature_shape, stride)
        self.context_channels = context_channels
        self.out_channels = out_channels
        self.compress = nn.Linear(context_channels, levels * out_channels, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        # Of the layer behind the lift that this one stands for (Glorot and Bengio 2010, eq. 16).
        fans = levels * context_channels + out_channels
        nn.init.normal_(self.compress.weight, std=math.sqrt(2.0 / fans))

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> BilinearMatrices:
        return self.sampling.build(cameras, valid)

    def forward(
        self,
        context: Tensor,
        depth: Tensor | None,
        camera_mask: Tensor,
        matrices: BilinearMatrices,
    ) -> Tensor:
        batch, cameras, *grid_shape, _ = matrices.seen.shape
        expected = (batch, cameras, self.context_channels, *matrices.feature_shape)
        if tuple(context.shape) != expected:
            raise ValueError(f'bilinear: context is {tuple(context.shape)}, expected {expected}')
        used = without_masked(context, camera_mask)
        by_height = self.compress(used.permute(0, 1, 3, 4, 2))
        rows = by_height.reshape(-1, self.out_channels)
        pooled = weighted_pool(rows, matrices.entries, matrices.weights(camera_mask))
        bev = pooled + self.bias.to(pooled.dtype)
        return bev.view(batch, *grid_shape, self.out_channels).permute(0, 3, 1, 2)

    def compression(self) -> Tensor:
        """Returns [C', Z, C]: the weights as those of a convolution behind the lift."""
        by_height = self.compress.weight.unflatten(0, (-1, self.out_channels))
        return by_height.transpose(0, 1)
