"""The view transform whose images are columns: a matrix from calibration times features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.camera import Camera
from bev_perception.model.view_transform.base import ViewTransform
from bev_perception.model.view_transform.camera_mask import check_inputs, without_masked
from bev_perception.model.view_transform.lift_splat import LiftSplat
from bev_perception.model.view_transform.matrix_geometry import RingRayMatrices, TransportMatrices
from bev_perception.model.view_transform.prime_extraction import PrimeExtraction


class MatrixTransform(ViewTransform):
    """Prime extraction, then the feature transporting matrix (Zhou et al. 2022, MatrixVT).

    The matrix is sparse by default and then exactly the lift of whole columns. Split into ring
    and ray it is approximate and slower on most machines, but its forward pass consists of dense
    products alone, for engines without gathers.

    Args:
        geometry: of the lifted points.
        channels: of context and BEV features.
        ring_ray: split the matrix (MatrixVT, section 3.4).
    """

    needs_depth: ClassVar[bool] = True

    def __init__(self, geometry: LiftSplat, channels: int, *, ring_ray: bool = False) -> None:
        super().__init__()
        self.geometry = geometry
        self.context_channels = channels
        self.out_channels = channels
        self.ring_ray = ring_ray
        self.prime = PrimeExtraction(channels)

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> TransportMatrices | RingRayMatrices:
        lift = self.geometry.build(cameras, valid)
        return (RingRayMatrices if self.ring_ray else TransportMatrices).from_lift(lift)

    def forward(
        self,
        context: Tensor,
        depth: Tensor | None,
        camera_mask: Tensor,
        matrices: TransportMatrices | RingRayMatrices,
    ) -> Tensor:
        outer = matrices.reached.shape[:2]
        expected = (*outer, self.context_channels, matrices.depth_bins, *matrices.feature_shape)
        depth = without_masked(check_inputs(context, depth, expected), camera_mask)
        context = without_masked(context, camera_mask)
        features, column_depth = self.prime(context.flatten(0, 1), depth.flatten(0, 1))
        return matrices.transport(features.unflatten(0, outer), column_depth.unflatten(0, outer))
