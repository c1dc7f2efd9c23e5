"""Lift-splat, then the cells that it left empty look back into the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.model.view_transform.base import ViewTransform
from bev_perception.model.view_transform.camera_mask import check_inputs, without_masked
from bev_perception.model.view_transform.depth_taps import tap_pool
from bev_perception.model.view_transform.forward_backward_geometry import (
    ForwardBackwardMatrices,
    LookBack,
)
from bev_perception.model.view_transform.lift_matrix import splat
from bev_perception.model.view_transform.lift_splat import LiftSplat
from bev_perception.ops.bev_pool import bev_pool


class ForwardBackward(ViewTransform):
    """Forward projection with a depth-aware backward refinement (Li et al. 2023, FB-BEV).

    Far from the vehicle neighbouring pixels and bins lie more than a cell apart, so that
    lift-splat leaves holes. A cell whose summed depth weight stays below a threshold therefore
    samples the images itself. A plain backward projection smears the context along its ray; here
    each sample is weighed with the probability that the surface lies at its depth (the depth
    consistency of FB-BEV). Which cells look back is decided from the depth that was found, in
    place of the region proposal network of FB-BEV.

    Args:
        geometry: of the lifted points.
        channels: of context and BEV features.
        levels: heights over the height range at which a cell looks back.
        empty_below: a cell is empty when the depth weights of its lifted points sum to less.
    """

    needs_depth: ClassVar[bool] = True

    def __init__(
        self, geometry: LiftSplat, channels: int, *, levels: int, empty_below: float = 0.05
    ) -> None:
        super().__init__()
        if not empty_below > 0.0:
            raise ConfigError(f'forward_backward: empty_below must be > 0, got {empty_below}')
        self.geometry = LookBack(geometry, levels)
        self.context_channels = channels
        self.out_channels = channels
        self.empty_below = empty_below
        # No bias: cells that no camera sees stay zero. Starts as the plain sum of both.
        self.merge = nn.Conv2d(channels, channels, 1, bias=False)
        nn.init.dirac_(self.merge.weight)

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> ForwardBackwardMatrices:
        return self.geometry.build(cameras, valid)

    def forward(
        self,
        context: Tensor,
        depth: Tensor | None,
        camera_mask: Tensor,
        matrices: ForwardBackwardMatrices,
    ) -> Tensor:
        lift = matrices.lift
        expected = (lift.batch, lift.cameras, self.context_channels, lift.depth_bins)
        depth = check_inputs(context, depth, (*expected, *lift.feature_shape))
        depth = without_masked(depth, camera_mask)
        context = without_masked(context, camera_mask)
        empty = depth_weight(depth, matrices) < self.empty_below
        refined: Tensor = self.merge(look_back(context, depth, camera_mask, matrices))
        return splat(context, depth, lift) + torch.where(empty, refined, 0.0)


def depth_weight(depth: Tensor, matrices: ForwardBackwardMatrices) -> Tensor:
    """Returns [B, 1, Y, X]: summed depth weight of the lifted points in each cell.

    Args:
        depth: [B, N, D, h, w] probabilities, zero for masked cameras.
        matrices: of the same batch.
    """
    lift = matrices.lift
    rows = depth.permute(0, 1, 3, 4, 2).reshape(lift.pixels, lift.depth_bins)
    return bev_pool(rows.new_ones(lift.pixels, 1), rows, lift).view(
        lift.batch, 1, *lift.grid_shape
    )


def look_back(
    context: Tensor, depth: Tensor, camera_mask: Tensor, matrices: ForwardBackwardMatrices
) -> Tensor:
    """Returns [B, C, Y, X]: context at the cells, weighed by how well its depth fits.

    Mean over the samples of a cell that used cameras see (heights and cameras) of the bilinear
    sum over feature pixels of depth consistency * context; zero where none does. A channels-last
    view.

    Args:
        context: [B, N, C, h, w], zero for masked cameras.
        depth: [B, N, D, h, w] probabilities, zero for masked cameras. Ones everywhere give the
            plain backward projection.
        camera_mask: bool [B, N].
        matrices: of the same batch.
    """
    pixels = matrices.look_back.rows
    rows = context.permute(0, 1, 3, 4, 2).reshape(pixels, -1)
    weights = depth.permute(0, 1, 3, 4, 2).reshape(pixels, -1)
    bev = tap_pool(rows, weights, matrices.look_back)
    bev = bev.view(len(context), *matrices.lift.grid_shape, -1).permute(0, 3, 1, 2)
    used = matrices.seen_levels * camera_mask[:, :, None, None]
    samples = used.sum(dim=1, keepdim=True).clamp(min=1).to(bev.dtype)
    return bev / samples
