"""The matrix of bilinear sampling at voxels, for any subset of the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bev_perception.model.view_transform.base import RigMatrices
from bev_perception.model.view_transform.known_mask import known_all
from bev_perception.ops.bev_pool.weighted import WeightedEntries, check_int32


@dataclass(frozen=True, eq=False)
class BilinearMatrices(RigMatrices):
    """The mean over cameras of bilinear samples, summed over the voxels of a cell.

    A voxel is a cell at one of Z heights: voxel = cell * Z + z, cell = (sample * Y + iy) * X + ix.
    Feature row = pixel * Z + z, pixel = ((sample * N + camera) * h + v) * w + u.

    Attributes:
        entries: up to four taps per camera that sees a voxel; weights for all cameras in use.
        tap_weight: float32 [E], bilinear weight of an entry, before the mean over cameras.
        voxel_index: int32 [E].
        seen: bool [B, N, Y, X, Z], camera n sees the voxel.
        feature_shape: (h, w) of the feature map of a camera.
    """

    entries: WeightedEntries
    tap_weight: Tensor
    voxel_index: Tensor
    seen: Tensor
    feature_shape: tuple[int, int]

    def weights(self, camera_mask: Tensor) -> Tensor:
        """Returns float32 [E]: weights of the mean over those cameras that are used.

        Entries of masked cameras have a finite weight; their features must be zero.

        Args:
            camera_mask: bool [B, N].
        """
        if known_all(camera_mask | ~self.reached.flatten(2).any(dim=2)):
            return self.entries.weight
        used = self.seen & camera_mask[:, :, None, None, None]
        return mean_weights(self.tap_weight, self.voxel_index, used)

    def to(self, device: torch.device | str) -> BilinearMatrices:
        return replace(
            self,
            reached=self.reached.to(device),
            entries=self.entries.to(device),
            tap_weight=self.tap_weight.to(device),
            voxel_index=self.voxel_index.to(device),
            seen=self.seen.to(device),
        )

    @classmethod
    def collate(cls, matrices: Sequence[BilinearMatrices]) -> BilinearMatrices:
        shapes = {(m.seen.shape[1:], m.feature_shape) for m in matrices}
        if len(shapes) != 1:
            raise ValueError(f'collate: expected bilinear matrices of one shape, got {shapes}')
        (cameras, size_y, size_x, levels), (height, width) = shapes.pop()
        batches = [len(m.seen) for m in matrices]
        rows = cameras * height * width * levels
        voxels = size_y * size_x * levels
        check_int32(sum(batches) * voxels, 'voxels')
        first = np.cumsum([0, *batches[:-1]]) * voxels
        voxel_index = [m.voxel_index + int(f) for m, f in zip(matrices, first, strict=True)]
        return cls(
            reached=torch.cat([m.reached for m in matrices]),
            entries=WeightedEntries.collate(
                [m.entries for m in matrices], [batch * rows for batch in batches]
            ),
            tap_weight=torch.cat([m.tap_weight for m in matrices]),
            voxel_index=torch.cat(voxel_index),
            seen=torch.cat([m.seen for m in matrices]),
            feature_shape=(height, width),
        )


def mean_weights(tap_weight: Tensor, voxel_index: Tensor, used: Tensor) -> Tensor:
    """Returns float32 [E]: bilinear weights divided by the number of cameras of their voxel.

    Args:
        tap_weight: float32 [E].
        voxel_index: int32 [E].
        used: bool [B, N, Y, X, Z], camera n counts for the voxel.
    """
    share = used.sum(dim=1, dtype=torch.int32).clamp(min=1).to(torch.float32).reciprocal()
    return tap_weight * share.flatten().index_select(0, voxel_index)
