"""Lift-Splat-Shoot's own view transform, restated from its definition with all of its work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from torch import Tensor

from bev_perception.bench.splat_peers import cell_of_points
from bev_perception.geometry.camera import Camera
from bev_perception.model.view_transform import LiftMatrix, LiftSplat


class LssSplat:
    """The view transform that Lift-Splat-Shoot shipped, with all that it does in every frame.

    Philion & Fidler 2020, section 4.2 ("cumulative sum trick"), and as the published code of LSS,
    FIERY and PowerBEV runs it: float32 geometry of every frustum point, outer product into a
    volume, flatten, drop what lies outside the grid, rank, argsort, cumulative sum over all
    points, differences at the last point of each cell, scatter into [C, z, x, y].
    Points are binned by truncation towards zero, so those up to a cell below the lower edges
    count for the first cell.
    """

    def __init__(self, lift: LiftSplat, cameras: Sequence[Camera]) -> None:
        """Takes over the geometry of `lift` for pinhole `cameras`."""
        grid, bins = lift.grid, lift.bins
        pixels = np.broadcast_to(
            lift.image_pixels(), (bins.count, lift.feature_height, lift.feature_width, 2)
        )
        depth_m = np.broadcast_to(bins.centers()[:, None, None, None], (*pixels.shape[:3], 1))
        self._frustum = _float32(np.concatenate([pixels, depth_m], axis=-1))
        poses = _float32(np.stack([camera.base_T_camera for camera in cameras]))[None]
        self._rotation, self._translation = poses[..., :3, :3].contiguous(), poses[..., :3, 3]
        self._intrinsics = _float32(np.stack([camera.K for camera in cameras]))[None]
        self._image_rotation = torch.eye(3).expand(1, len(cameras), 3, 3).contiguous()
        self._image_translation = torch.zeros(1, len(cameras), 3)
        low_z, high_z = lift.z_range_m
        self._lower = torch.tensor([grid.x_min_m, grid.y_min_m, low_z], dtype=torch.float32)
        self._step = torch.tensor([grid.resolution_m, grid.resolution_m, high_z - low_z])
        self._count = (grid.size_x, grid.size_y, 1)

    def __call__(self, features: Tensor, depth: Tensor) -> Tensor:
        """Returns [B, C, X, Y] from features [B, N, C, h, w] and depth [B, N, D, h, w]."""
        points = self.frustum_points()
        volume = depth.unsqueeze(2) * features.unsqueeze(3)
        return self._pool(points, volume.permute(0, 1, 3, 4, 5, 2))

    def frustum_points(self) -> Tensor:
        """Returns [1, N, D, h, w, 3] points in the base frame, image augmentation undone."""
        shape = (1, self._translation.shape[1], 1, 1, 1)
        points = self._frustum - self._image_translation.view(*shape, 3)
        undo = torch.inverse(self._image_rotation).view(*shape, 3, 3)
        points = undo.matmul(points.unsqueeze(-1))
        scaled = points[..., :2, :] * points[..., 2:3, :]
        points = torch.cat([scaled, points[..., 2:3, :]], dim=-2)
        unproject = self._rotation.matmul(torch.inverse(self._intrinsics))
        points = unproject.view(*shape, 3, 3).matmul(points).squeeze(-1)
        return points + self._translation.view(*shape, 3)

    def cell_of_points(self) -> Tensor:
        """Returns int64 [P * D]: cell iy * X + ix per pixel and bin, Y * X for those outside."""
        index = self.cell_indices(self.frustum_points()).permute(0, 1, 3, 4, 2, 5).reshape(-1, 3)
        count_x, count_y, _ = self._count
        cell = index[:, 1] * count_x + index[:, 0]
        return torch.where(self.kept(index), cell, count_x * count_y)

    def cell_indices(self, points: Tensor) -> Tensor:
        """Returns int64 [..., 3]: (ix, iy, iz), not limited to the grid."""
        return ((points - self._lower) / self._step).long()

    def kept(self, index: Tensor) -> Tensor:
        """Returns bool [...]: the cell index [..., 3+] lies in the grid."""
        inside = (index[..., 0] >= 0) & (index[..., 0] < self._count[0])
        inside &= (index[..., 1] >= 0) & (index[..., 1] < self._count[1])
        return inside & (index[..., 2] >= 0) & (index[..., 2] < self._count[2])

    def _pool(self, points: Tensor, volume: Tensor) -> Tensor:
        batch, channels = volume.shape[0], volume.shape[-1]
        rows = volume.reshape(-1, channels)
        index = self.cell_indices(points).view(-1, 3)
        per_sample = len(rows) // batch
        sample = torch.cat([torch.full([per_sample, 1], b) for b in range(batch)])
        index = torch.cat([index, sample], dim=1)
        inside = self.kept(index)
        rows, index = rows[inside], index[inside]

        count_x, count_y, count_z = self._count
        rank = index[:, 0] * (count_y * count_z * batch) + index[:, 1] * (count_z * batch)
        rank = rank + index[:, 2] * batch + index[:, 3]
        order = rank.argsort()
        rows, index, rank = rows[order], index[order], rank[order]

        total = rows.cumsum(0)
        last = torch.ones(len(rows), dtype=torch.bool)
        last[:-1] = rank[1:] != rank[:-1]
        total, index = total[last], index[last]
        sums = torch.cat([total[:1], total[1:] - total[:-1]])

        bev = torch.zeros(batch, channels, count_z, count_x, count_y)
        bev[index[:, 3], :, index[:, 2], index[:, 0], index[:, 1]] = sums
        return torch.cat(bev.unbind(dim=2), dim=1)


def misplaced_share(cell: Tensor, matrix: LiftMatrix) -> float:
    """Returns the share of all points whose `cell` [P * D] is not that of `matrix`."""
    return float((cell != cell_of_points(matrix)).double().mean())


def sum_in_float64(
    cell: Tensor, features: Tensor, depth: Tensor, cells: int
) -> NDArray[np.float64]:
    """Returns float64 [cells, C] over the given `cell` [P * D] of every point; `cells`: none."""
    pixel = np.arange(cell.numel()) // depth.shape[1]
    weights = depth.double().ravel().numpy()
    matrix = coo_matrix((weights, (cell.numpy(), pixel)), shape=(cells + 1, len(features)))
    return (matrix.tocsr() @ features.double().numpy())[:-1]


def _float32(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
