"""Random rigs, and what their cameras show worked out point by point from the definitions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftSplat
from support.level_camera import level_camera


@dataclass(frozen=True, eq=False)
class RandomRig:
    """A lift geometry with cameras that fit its feature map; some are absent, some masked."""

    lift: LiftSplat
    cameras: list[Camera | None]
    valid: list[NDArray[np.bool_] | None]

    def pixel_shown(self, n: int) -> NDArray[np.bool_]:
        """Returns bool [h, w]: feature pixels of camera n with a ray and a valid centre."""
        lift, camera, mask = self.lift, self.cameras[n], self.valid[n]
        assert camera is not None
        shown = np.zeros((lift.feature_height, lift.feature_width), bool)
        for v, u in np.ndindex(*shown.shape):
            ray = ray_by_hand(camera, (u + 0.5) * lift.stride - 0.5, (v + 0.5) * lift.stride - 0.5)
            row = min(v * lift.stride + lift.stride // 2, camera.height - 1)
            column = min(u * lift.stride + lift.stride // 2, camera.width - 1)
            shown[v, u] = not math.isnan(ray[0]) and (mask is None or mask[row, column])
        return shown

    def shuffled(self, order: NDArray[np.int64]) -> RandomRig:
        """Returns the rig with its cameras in another order."""
        return RandomRig(
            self.lift, [self.cameras[n] for n in order], [self.valid[n] for n in order]
        )


def random_geometry(
    rng: np.random.Generator,
    cells: tuple[int, int] = (8, 26),
    least_resolution_m: float = 0.5,
    least_reach: float = 0.3,
    most_bins: int = 25,
) -> LiftSplat:
    """Returns a lift onto a grid of so many cells (from, below) along each side."""
    stride = int(rng.choice([1, 3, 4, 8, 16]))
    rows, columns = (int(n) for n in rng.integers(1, 9, size=2))
    size_x, size_y = (int(n) for n in rng.integers(*cells, size=2))
    resolution_m = rng.uniform(least_resolution_m, 2.5)
    grid = BevGrid(
        x_min_m=-rng.uniform(0.0, 1.0) * size_x * resolution_m,
        y_min_m=-rng.uniform(0.0, 1.0) * size_y * resolution_m,
        resolution_m=resolution_m,
        size_x=size_x,
        size_y=size_y,
    )
    near = rng.uniform(0.1, 2.0)
    far = near + rng.uniform(least_reach, 1.2) * max(size_x, size_y) * resolution_m
    bins = DepthBins(near, far, int(rng.integers(1, most_bins)))
    z_range_m = (rng.uniform(-9, -1), rng.uniform(0, 9))
    return LiftSplat(grid, bins, z_range_m, rows, columns, stride)


def random_camera(
    rng: np.random.Generator,
    index: int,
    size: tuple[int, int],
    longest: float = 1.5,
    wide_share: float = 0.4,
) -> Camera:
    """Returns a tilted camera of a size (width, height), focal length up to `longest` widths."""
    width, height = size
    camera = level_camera(
        width,
        height,
        focal=width * rng.uniform(0.2, longest),
        yaw_deg=rng.uniform(-180, 180),
        pitch_deg=rng.normal(0, 15),
        roll_deg=rng.normal(0, 10),
        position_m=rng.normal(0, 1.5, size=3).tolist(),
        wide=bool(rng.random() < wide_share),
    )
    return replace(camera, name=f'camera_{index}')


def random_rig(seed: int, cameras: int | None = None) -> RandomRig:
    """Returns 1 to 8 cameras over a random grid: pitched, rolled, some equidistant."""
    rng = np.random.default_rng(seed)
    lift = random_geometry(rng)
    count = int(rng.integers(1, 9)) if cameras is None else cameras
    return random_cameras(lift, count, rng)


def random_cameras(lift: LiftSplat, count: int, rng: np.random.Generator) -> RandomRig:
    """Returns `count` cameras whose images fit the feature map of `lift`."""
    rig = RandomRig(lift, [], [])
    for index in range(count):
        width = lift.feature_width * lift.stride - int(rng.integers(0, lift.stride))
        height = lift.feature_height * lift.stride - int(rng.integers(0, lift.stride))
        camera = random_camera(rng, index, (width, height))
        mask = rng.random((height, width)) < 0.8 if rng.random() < 0.3 else None
        absent = count > 1 and rng.random() < 0.15
        rig.cameras.append(None if absent else camera)
        rig.valid.append(None if absent else mask)
    return rig


def random_inputs(
    lift: LiftSplat, outer: tuple[int, int], channels: int, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Returns float64 context [B, N, C, h, w] and depth [B, N, D, h, w]."""
    generator = torch.Generator().manual_seed(seed)
    inner = (lift.feature_height, lift.feature_width)
    context = torch.randn(*outer, channels, *inner, generator=generator, dtype=torch.float64)
    logits = torch.randn(*outer, lift.bins.count, *inner, generator=generator, dtype=torch.float64)
    return context, logits.softmax(dim=2)


def ray_by_hand(camera: Camera, u: float, v: float) -> list[float]:
    """Returns the direction whose multiple by depth is the point, from the camera's definition."""
    x = (u - camera.K[0, 2]) / camera.K[0, 0]
    y = (v - camera.K[1, 2]) / camera.K[1, 1]
    if camera.distortion.model == 'none':
        return [x, y, 1.0]
    theta = math.hypot(x, y)
    if theta >= math.pi:
        return [math.nan] * 3
    share = math.sin(theta) / theta if theta > 0 else 1.0
    return [x * share, y * share, math.cos(theta)]


def pixel_by_hand(camera: Camera, point_base: NDArray[np.float64]) -> tuple[float, float, float]:
    """Returns (u, v, depth) of a point in the base frame; NaN where it has no image."""
    pose = camera.base_T_camera
    x, y, z = pose[:3, :3].T @ (point_base - pose[:3, 3])
    if camera.distortion.model == 'none':
        if z <= 0:
            return math.nan, math.nan, math.nan
        along, depth = 1.0 / z, z
    else:
        across = math.hypot(x, y)
        along, depth = math.atan2(across, z) / across, math.hypot(x, y, z)
    u = camera.K[0, 0] * x * along + camera.K[0, 2]
    v = camera.K[1, 1] * y * along + camera.K[1, 2]
    return u, v, depth


def points_by_hand(rig: RandomRig) -> Iterator[tuple[tuple[int, int], tuple[int, int, int, int]]]:
    """Yields ((iy, ix), (camera, v, u, bin)) of every lifted point in the grid."""
    lift = rig.lift
    grid, bins = lift.grid, lift.bins
    for n, camera in enumerate(rig.cameras):
        if camera is None:
            continue
        pose = camera.base_T_camera
        for v, u in np.argwhere(rig.pixel_shown(n)):
            ray = ray_by_hand(camera, (u + 0.5) * lift.stride - 0.5, (v + 0.5) * lift.stride - 0.5)
            for b in range(bins.count):
                depth = bins.min_m + (bins.max_m - bins.min_m) * (2 * b + 1) / (2 * bins.count)
                x, y, z = pose[:3, :3] @ ray * depth + pose[:3, 3]
                ix = math.floor((x - grid.x_min_m) / grid.resolution_m)
                iy = math.floor((y - grid.y_min_m) / grid.resolution_m)
                if lift.z_range_m[0] <= z < lift.z_range_m[1] and (
                    0 <= ix < grid.size_x and 0 <= iy < grid.size_y
                ):
                    yield (iy, ix), (n, int(v), int(u), b)
