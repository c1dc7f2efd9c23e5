"""The view transform of interpretable features: how much of which class lies in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.model.layers import init_output
from bev_perception.model.view_transform.base import ViewTransform
from bev_perception.model.view_transform.camera_mask import check_inputs, without_masked
from bev_perception.model.view_transform.lift_matrix import splat
from bev_perception.model.view_transform.lift_splat import LiftSplat
from bev_perception.model.view_transform.lift_splat_transform import LiftSplatMatrices

_DENSITY_FLOOR = 1e-6


class SemanticPoints(ViewTransform):
    """Pixels as points with depth and class, counted per cell (Ng et al. 2020, BEV-Seg).

    The first stage of BEV-Seg, differentiable: in place of the most likely depth and class of a
    pixel, both distributions are splatted, so that BEV channel k is the expected number of points
    of class k in the cell; the last channel is the number of points of any class. What follows
    sees no image features, only this, and thus carries over to other cameras and looks.

    Args:
        geometry: of the lifted points.
        context_channels: of the context from which classes are told.
        classes: K of the pixels.
        shares: divide the class channels by the number of points (of at least 1e-6).
    """

    needs_depth: ClassVar[bool] = True

    def __init__(
        self, geometry: LiftSplat, context_channels: int, classes: int, *, shares: bool = False
    ) -> None:
        super().__init__()
        if classes < 1:
            raise ConfigError(f'semantic_points: classes must be >= 1, got {classes}')
        self.geometry = geometry
        self.context_channels = context_channels
        self.out_channels = classes + 1
        self.shares = shares
        self.classify = nn.Conv2d(context_channels, classes, 1)
        init_output(self.classify)

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> LiftSplatMatrices:
        return LiftSplatMatrices.from_lift(self.geometry.build(cameras, valid))

    def image_semantics(self, context: Tensor) -> Tensor:
        """Returns class logits [B, N, K, h, w] of the feature pixels, for supervision.

        Args:
            context: [B, N, C, h, w].
        """
        logits: Tensor = self.classify(context.flatten(0, 1))
        return logits.unflatten(0, context.shape[:2])

    def forward(
        self,
        context: Tensor,
        depth: Tensor | None,
        camera_mask: Tensor,
        matrices: LiftSplatMatrices,
    ) -> Tensor:
        lift = matrices.lift
        expected = (lift.batch, lift.cameras, self.context_channels, lift.depth_bins)
        depth = check_inputs(context, depth, (*expected, *lift.feature_shape))
        depth = without_masked(depth, camera_mask)
        logits = self.image_semantics(without_masked(context, camera_mask))
        # Softmax copies its input unless the reduced axis is the innermost one in memory.
        classes = logits.permute(0, 1, 3, 4, 2).softmax(dim=-1).permute(0, 1, 4, 2, 3)
        mass = splat(classes, depth, lift)
        density = mass.sum(dim=1, keepdim=True)
        if self.shares:
            mass = mass / density.clamp(min=_DENSITY_FLOOR)
        bev = torch.cat([mass, density], dim=1)
        return bev.contiguous(memory_format=torch.channels_last)
