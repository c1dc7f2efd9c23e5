"""Radar points as one more input of the BEV features: a raster beside them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.layers import ConvBnRelu, init_trunk


def rasterise_radar(points: ArrayLike, grid: BevGrid) -> NDArray[np.float32]:
    """Returns float32 [1 + F, Y, X]: occupancy (0 or 1), then the mean of each point feature.

    Simple-BEV (Harley et al. 2022, section 3.3) rasterises occupancy and the features of a point
    in each cell; the mean of its points depends on none of their orders. Height is not used,
    automotive radar hardly measures it. Cells without points are zero.

    Args:
        points: [P, 2 + F]: x_m, y_m in the base frame, then features such as the radar cross
            section and the velocity (along the axes of the base frame). Points outside the grid
            and points with a number that is not finite are left out. Without points, [0, 2 + F].
        grid: raster of the BEV features.

    Raises:
        ConfigError: the points are not [P, 2 + F].
    """
    given = np.asarray(points, np.float64)
    if given.ndim != 2 or given.shape[1] < 2:
        raise ConfigError(f'radar: expected points [P, 2 + features], got {given.shape}')
    finite = given[np.isfinite(given).all(axis=1)]
    iy, ix, inside = grid.to_cell(finite[:, 0], finite[:, 1])
    cell = (iy * grid.size_x + ix)[inside]
    cells = grid.size_y * grid.size_x
    count = np.bincount(cell, minlength=cells)
    raster = np.empty((given.shape[1] - 1, cells), np.float32)
    raster[0] = count > 0
    for channel, values in enumerate(finite[inside, 2:].T, start=1):
        raster[channel] = np.bincount(cell, values, minlength=cells) / np.maximum(count, 1)
    return raster.reshape(-1, *grid.shape)


class RadarInput(nn.Module):
    """Image BEV features and the radar raster compressed to the channels of the former.

    The fusion of Simple-BEV (Harley et al. 2022, section 3.3): concatenate, then a 3x3
    convolution. Models without radar have no such layer.

    Args:
        channels: of the BEV features.
        raster_channels: 1 + F of `rasterise_radar`.
    """

    def __init__(self, channels: int, raster_channels: int) -> None:
        super().__init__()
        self.fuse = ConvBnRelu(channels + raster_channels, channels)
        init_trunk(self)

    def forward(self, bev: Tensor, raster: Tensor) -> Tensor:
        """Returns [B, channels, Y, X], channels-last.

        Args:
            bev: [B, channels, Y, X].
            raster: [B, raster_channels, Y, X].
        """
        both = torch.cat([bev, raster.to(bev.dtype)], dim=1)
        fused: Tensor = self.fuse(both.contiguous(memory_format=torch.channels_last))
        return fused
