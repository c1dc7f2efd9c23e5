"""Lift-splat as a view transform: pixels spread along their rays by predicted depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.camera import Camera
from bev_perception.model.view_transform.base import RigMatrices, ViewTransform
from bev_perception.model.view_transform.camera_mask import check_inputs, without_masked
from bev_perception.model.view_transform.depth_taps import reached_by
from bev_perception.model.view_transform.lift_matrix import LiftMatrix, splat
from bev_perception.model.view_transform.lift_splat import LiftSplat


@dataclass(frozen=True, eq=False)
class LiftSplatMatrices(RigMatrices):
    """Which lifted point falls into which cell.

    Attributes:
        lift: feature pixels and depth bins of all cameras, by cell.
    """

    lift: LiftMatrix

    @classmethod
    def from_lift(cls, lift: LiftMatrix) -> LiftSplatMatrices:
        """Returns the matrices of one rig: `lift` is of batch 1, on the CPU."""
        camera = lift.pixel_index // (lift.feature_shape[0] * lift.feature_shape[1])
        reached = reached_by(lift.cell_offsets, camera, lift.cameras, lift.grid_shape)
        return cls(reached, lift)

    def to(self, device: torch.device | str) -> LiftSplatMatrices:
        return LiftSplatMatrices(self.reached.to(device), self.lift.to(device))

    @classmethod
    def collate(cls, matrices: Sequence[LiftSplatMatrices]) -> LiftSplatMatrices:
        lift = LiftMatrix.collate([m.lift for m in matrices])
        return cls(torch.cat([m.reached for m in matrices]), lift)


class LiftSplatTransform(ViewTransform):
    """The sum over a cell's lifted points of depth probability * context.

    Lift-Splat-Shoot (Philion and Fidler 2020, eq. 1 and the sum pooling of its splat), see
    `LiftSplat` and `splat`. It has no parameters.

    Args:
        geometry: of the lifted points.
        channels: of context and BEV features.
    """

    needs_depth: ClassVar[bool] = True

    def __init__(self, geometry: LiftSplat, channels: int) -> None:
        super().__init__()
        self.geometry = geometry
        self.context_channels = channels
        self.out_channels = channels

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> LiftSplatMatrices:
        return LiftSplatMatrices.from_lift(self.geometry.build(cameras, valid))

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
        # Both: zero times NaN is NaN.
        context, depth = (without_masked(t, camera_mask) for t in (context, depth))
        return splat(context, depth, lift)
