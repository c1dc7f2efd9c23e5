"""BEV features around objects, each in the object's own frame."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.geometry.grid import BevGrid
from bev_perception.model.heads.attention import init_linear

POINTS = 12
PATCH_M = 36.0
AHEAD_SHARE = 0.75


class ObjectPatches(nn.Module):
    """A square of BEV features per object as tokens, direct from the map.

    What Gu et al. (2024, Direct BEV Feature Attention, section 3) let agents attend to: the
    features themselves instead of map elements decoded from them. The square turns with the
    object and reaches further ahead than behind, so that a token's position, which is learned,
    means the same for every object: straight ahead is straight ahead.

    Args:
        grid: of the BEV features.
        in_channels: of the BEV features.
        channels: of the tokens.
    """

    points_m: Tensor

    def __init__(self, grid: BevGrid, in_channels: int, channels: int) -> None:
        super().__init__()
        self.grid = grid
        points_m = patch_points(POINTS, PATCH_M, AHEAD_SHARE)
        self.register_buffer('points_m', torch.from_numpy(points_m).float(), persistent=False)
        self.project = nn.Linear(in_channels, channels)
        self.position = nn.Parameter(torch.empty(len(points_m), channels))
        self.norm = nn.LayerNorm(channels)
        init_linear(self)
        nn.init.normal_(self.position, std=0.5)

    def forward(self, bev: Tensor, places: Tensor) -> Tensor:
        """Returns tokens [B, M, Q, channels].

        Args:
            bev: [B, in_channels, Y, X].
            places: [B, M, 4], (x, y) in metres, sine and cosine of the heading, of norm 1 or 0.
        """
        features = sample_around(bev, self.grid, places, self.points_m)
        return self.norm(self.project(features) + self.position)


def patch_points(count: int, length_m: float, ahead_share: float) -> NDArray[np.float64]:
    """Returns [count^2, 2]: centres (ahead, left) of equal squares that tile the patch.

    Args:
        count: along each side.
        length_m: of a side.
        ahead_share: part of the length that lies ahead of the object.
    """
    step = (np.arange(count) + 0.5) / count
    ahead, left = np.meshgrid(step - (1.0 - ahead_share), step - 0.5, indexing='ij')
    return np.stack([ahead, left], axis=-1).reshape(-1, 2) * length_m


def sample_around(bev: Tensor, grid: BevGrid, places: Tensor, points_m: Tensor) -> Tensor:
    """Returns [B, M, Q, C]: features at points in the frame of each object.

    Bilinear between cell centres; what is outside of the grid counts as zero.

    Args:
        bev: [B, C, Y, X] over `grid`.
        grid: geometry of the features.
        places: [B, M, 4], (x, y) in metres, sine and cosine of the heading.
        points_m: [Q, 2], (ahead, left) of the object's centre.
    """
    turned_m = to_base_axes(points_m, places[:, :, None, 2:])
    low = places.new_tensor([grid.x_min_m, grid.y_min_m])
    size_m = places.new_tensor([grid.size_x, grid.size_y]) * grid.resolution_m
    share = (places[:, :, None, :2] + turned_m - low) / size_m
    # In half precision a place would be known to decimetres only.
    exact = torch.promote_types(bev.dtype, places.dtype)
    where = 2.0 * share.to(exact) - 1.0
    found = functional.grid_sample(bev.to(exact), where, align_corners=False)
    return found.permute(0, 2, 3, 1).to(bev.dtype)


def to_base_axes(vectors: Tensor, sin_cos: Tensor) -> Tensor:
    """Returns vectors (ahead, left) [..., 2] of an object along (x, y) of the base frame."""
    sin, cos = sin_cos.unbind(dim=-1)
    ahead, left = vectors.unbind(dim=-1)
    return torch.stack([cos * ahead - sin * left, sin * ahead + cos * left], dim=-1)


def to_object_axes(vectors: Tensor, sin_cos: Tensor) -> Tensor:
    """Returns vectors (x, y) [..., 2] of the base frame as (ahead, left) of an object."""
    sin, cos = sin_cos.unbind(dim=-1)
    return to_base_axes(vectors, torch.stack([-sin, cos], dim=-1))
