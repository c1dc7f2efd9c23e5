"""View transforms: image features to bird's-eye view as products with sparse matrices."""

from __future__ import annotations

from bev_perception.model.view_transform.base import RigMatrices, ViewTransform
from bev_perception.model.view_transform.lift_matrix import LiftMatrix, splat
from bev_perception.model.view_transform.lift_splat import DepthBins, LiftSplat

__all__ = ['DepthBins', 'LiftMatrix', 'LiftSplat', 'RigMatrices', 'ViewTransform', 'splat']
