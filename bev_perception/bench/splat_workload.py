"""Sizes and inputs of the view-transform benchmark."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from bev_perception.bench.surround_rig import surround_rig
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftMatrix, LiftSplat


@dataclass(frozen=True)
class Workload:
    """One size of the problem: six cameras, batch 1.

    Attributes:
        lift: geometry.
        channels: feature channels C.
    """

    lift: LiftSplat
    channels: int

    @property
    def name(self) -> str:
        """Feature rows x columns x depth bins, channels -> cells."""
        lift = self.lift
        return (
            f'{lift.feature_height} x {lift.feature_width} x {lift.bins.count}, '
            f'C {self.channels} -> {lift.grid.size_y} x {lift.grid.size_x}'
        )

    def cameras(self) -> tuple[Camera, ...]:
        """Returns the rig as this model size sees it."""
        lift = self.lift
        return surround_rig(lift.feature_width * lift.stride, lift.feature_height * lift.stride)


def workloads() -> tuple[Workload, Workload]:
    """Returns the sizes of BEVDet and BEVFusion, and of FIERY and PowerBEV."""
    bevdet_grid = BevGrid(-51.2, -51.2, 0.8, 128, 128)
    fiery_grid = BevGrid(-50.0, -50.0, 0.5, 200, 200)
    bevdet = LiftSplat(bevdet_grid, DepthBins(0.5, 59.5, 59), (-5.0, 3.0), 16, 44, 16)
    fiery = LiftSplat(fiery_grid, DepthBins(1.5, 49.5, 48), (-10.0, 10.0), 28, 60, 8)
    return Workload(bevdet, channels=80), Workload(fiery, channels=64)


@dataclass(frozen=True)
class Inputs:
    """What every row of the benchmark gets.

    Attributes:
        features: float32 [1, N, C, h, w], contiguous.
        depth: float32 [1, N, D, h, w], contiguous; a softmax over D.
        matrix: cells of all points, binned once in float64.
    """

    features: Tensor
    depth: Tensor
    matrix: LiftMatrix

    @classmethod
    def random(cls, workload: Workload, cameras: tuple[Camera, ...]) -> Inputs:
        """Returns seeded inputs."""
        lift = workload.lift
        generator = torch.Generator().manual_seed(0)
        size = (lift.feature_height, lift.feature_width)
        features = torch.randn(1, len(cameras), workload.channels, *size, generator=generator)
        logits = torch.randn(1, len(cameras), lift.bins.count, *size, generator=generator)
        return cls(features, logits.softmax(dim=2), lift.build(cameras))

    def channels_last(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Returns features and depth of the same shapes, channels innermost in memory."""
        features, depth = (
            tensor.to(dtype).permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
            for tensor in (self.features, self.depth)
        )
        return features, depth

    def rows(self) -> tuple[Tensor, Tensor]:
        """Returns features [P, C] and depth [P, D], contiguous."""
        features, depth = (
            tensor.permute(0, 1, 3, 4, 2).flatten(0, 3) for tensor in self.channels_last()
        )
        return features, depth

    def sha256(self) -> str:
        """Returns a hash of features, depth and matrix."""
        digest = hashlib.sha256()
        matrix = self.matrix
        for tensor in (self.features, self.depth, matrix.depth_index, matrix.cell_offsets):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()
