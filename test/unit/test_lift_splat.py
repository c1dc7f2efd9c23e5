"""Lift-splat against a scalar restatement, numbers by hand and the properties it promises."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.random_rigs import random_camera, random_geometry, ray_by_hand
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import DepthBins, LiftMatrix, LiftSplat, splat


def random_setup(seed: int) -> tuple[LiftSplat, list[Camera | None]]:
    """Returns geometry and 1 to 8 cameras: pitched, rolled, some equidistant, some absent."""
    rng = np.random.default_rng(seed)
    lift = random_geometry(rng, (5, 40), 0.3, 0.2, 30)
    cameras: list[Camera | None] = []
    for index in range(rng.integers(1, 9)):
        width = lift.feature_width * lift.stride - int(rng.integers(0, lift.stride))
        height = lift.feature_height * lift.stride - int(rng.integers(0, lift.stride))
        camera = random_camera(rng, index, (width, height))
        absent = rng.random() < 0.15
        cameras.append(None if absent else camera)
    return lift, cameras


def random_inputs(lift: LiftMatrix, channels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns float64 features and depth of the batch."""
    generator = torch.Generator().manual_seed(seed)
    outer, inner = (lift.batch, lift.cameras), lift.feature_shape
    features = torch.randn(*outer, channels, *inner, generator=generator, dtype=torch.float64)
    logits = torch.randn(*outer, lift.depth_bins, *inner, generator=generator, dtype=torch.float64)
    return features, logits.softmax(dim=2)


def cells_by_hand(
    lift: LiftSplat, cameras: Sequence[Camera | None]
) -> dict[tuple[int, int], set[tuple[int, int, int, int]]]:
    """Returns (camera, v, u, bin) of the points per cell (iy, ix), point by point."""
    grid, bins = lift.grid, lift.bins
    found = defaultdict(set)
    for n, camera in enumerate(cameras):
        if camera is None:
            continue
        pose = camera.base_T_camera.tolist()
        for v in range(lift.feature_height):
            for u in range(lift.feature_width):
                ray = ray_by_hand(
                    camera, (u + 0.5) * lift.stride - 0.5, (v + 0.5) * lift.stride - 0.5
                )
                for b in range(bins.count):
                    depth = bins.min_m + (bins.max_m - bins.min_m) * (2 * b + 1) / (2 * bins.count)
                    x, y, z = (
                        sum(pose[row][k] * ray[k] * depth for k in range(3)) + pose[row][3]
                        for row in range(3)
                    )
                    if not lift.z_range_m[0] <= z < lift.z_range_m[1]:
                        continue
                    ix = math.floor((x - grid.x_min_m) / grid.resolution_m)
                    iy = math.floor((y - grid.y_min_m) / grid.resolution_m)
                    if 0 <= ix < grid.size_x and 0 <= iy < grid.size_y:
                        found[iy, ix].add((n, v, u, b))
    return found


def splat_by_hand(
    lift: LiftSplat, cameras: Sequence[Camera | None], features: Tensor, depth: Tensor
) -> np.ndarray:
    """Returns float64 [C, Y, X] of features and depth without batch, [N, ., h, w]."""
    bev = np.zeros((features.shape[1], *lift.grid.shape))
    for (iy, ix), points in cells_by_hand(lift, cameras).items():
        for n, v, u, b in points:
            bev[:, iy, ix] += depth[n, b, v, u].item() * features[n, :, v, u].double().numpy()
    return bev


def points_of(matrix: LiftMatrix) -> dict[tuple[int, int], set[tuple[int, int, int, int]]]:
    """Returns (camera, v, u, bin) of the entries per cell (iy, ix)."""
    found = defaultdict(set)
    height, width = matrix.feature_shape
    for cell in range(matrix.cells):
        for e in range(int(matrix.cell_offsets[cell]), int(matrix.cell_offsets[cell + 1])):
            pixel, b = divmod(int(matrix.depth_index[e]), matrix.depth_bins)
            assert pixel == matrix.pixel_index[e]
            n, rest = divmod(pixel, height * width)
            found[divmod(cell, matrix.grid_shape[1])].add((n, *divmod(rest, width), b))
    return found


@pytest.mark.parametrize('seed', range(25))
def test_random_rigs_agree_with_the_definition(seed: int) -> None:
    lift, cameras = random_setup(seed)
    matrix = lift.build(cameras)
    features, depth = random_inputs(matrix, channels=5, seed=seed)

    assert points_of(matrix) == cells_by_hand(lift, cameras)
    expected = splat_by_hand(lift, cameras, features[0], depth[0])
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        found = splat(features.to(dtype), depth.to(dtype), matrix)
        assert found.shape == (1, 5, *lift.grid.shape)
        error = np.abs(found[0].double().numpy() - expected).max()
        assert error <= tolerance * max(np.abs(expected).max(), 1e-300)


def test_random_rigs_are_not_all_empty() -> None:
    setups = [random_setup(seed) for seed in range(25)]
    counts = [len(lift.build(cameras).pixel_index) for lift, cameras in setups]
    assert np.median(counts) > 100 and max(counts) > 1000


def test_axes_by_hand() -> None:
    """One ray each forward, left and back-down: three cells far apart, in [y, x]."""
    lift = LiftSplat(BevGrid(-20.0, -10.0, 1.0, 50, 25), DepthBins(9.5, 12.5, 3), (-9, 9), 1, 1, 1)
    cameras = [
        level_camera(1, 1, 1.0, position_m=(1.25, 0.5, 1.0)),
        level_camera(1, 1, 1.0, yaw_deg=90.0, position_m=(0.25, 0.25, 1.0)),
        level_camera(1, 1, 1.0, yaw_deg=180.0, pitch_deg=30.0, position_m=(0.0, 0.5, 1.0)),
    ]
    matrix = lift.build(cameras)
    depth = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [64.0, 128.0, 256.0]])

    bev = splat(torch.ones(1, 3, 1, 1, 1), depth.view(1, 3, 3, 1, 1), matrix)[0, 0]
    # Depths 10, 11, 12: forward x = 11.25 .. 13.25 in row y 0.5; left y = 10.25 .. 12.25 in
    # column x 0.25; backward x = -8.66, -9.53, -10.39, all in z = 1 - depth / 2 > -9.
    expected = {(10, 31): 1.0, (10, 32): 2.0, (10, 33): 4.0}
    expected |= {(20, 20): 8.0, (21, 20): 16.0, (22, 20): 32.0}
    expected |= {(10, 11): 64.0, (10, 10): 128.0, (10, 9): 256.0}
    found = {(int(iy), int(ix)): bev[iy, ix].item() for iy, ix in bev.nonzero()}
    assert found == expected


def test_left_half_of_the_image_is_left_of_the_vehicle() -> None:
    lift = LiftSplat(BevGrid(-10.0, -10.0, 1.0, 20, 20), DepthBins(1, 9, 8), (-9, 9), 2, 8, 4)
    matrix = lift.build([level_camera(32, 8, 20.0)])
    features = torch.zeros(1, 1, 1, 2, 8)
    features[..., :4] = 1.0

    bev = splat(features, torch.ones(1, 1, 8, 2, 8), matrix)[0, 0]
    assert bev[10:].sum() == 2 * 4 * 8
    assert bev[:10].sum() == 0.0


def test_depth_is_along_the_axis_or_along_the_ray() -> None:
    """45 degrees to the side at depth 4: x = 4 for a pinhole, 4 cos 45 = 2.83 for equidistant."""
    grid = BevGrid(-10.25, -10.25, 1.0, 21, 21)
    lift = LiftSplat(grid, DepthBins(3.5, 4.5, 1), (-1, 1), 1, 2, 1)
    pinhole = level_camera(2, 1, 0.5)
    wide = level_camera(2, 1, 0.5 / (math.pi / 4), wide=True)

    assert set(points_of(lift.build([pinhole]))) == {(14, 14), (6, 14)}
    assert set(points_of(lift.build([wide]))) == {(13, 13), (7, 13)}


def test_fisheye_beyond_180_degrees_lifts_backwards() -> None:
    lift = LiftSplat(BevGrid(-10.0, -10.0, 0.5, 40, 40), DepthBins(4.5, 5.5, 1), (-1, 1), 1, 21, 1)
    camera = level_camera(21, 1, 21 / math.radians(220), wide=True)

    cells = points_of(lift.build([camera]))
    assert sum(map(len, cells.values())) == 21
    behind = {points for (_, ix), group in cells.items() if ix < 20 for points in group}
    # Column u looks (u - 10) * 220 / 21 degrees to the side: the outer two beyond 90.
    assert {u for _, _, u, _ in behind} == {0, 1, 19, 20}


def test_z_range_is_half_open() -> None:
    grid, bins = BevGrid(0.0, -5.0, 1.0, 20, 10), DepthBins(3.5, 4.5, 1)
    camera = level_camera(1, 1, 1.0, position_m=(0.0, 0.5, 1.5))
    counts = {
        z_range: len(LiftSplat(grid, bins, z_range, 1, 1, 1).build([camera]).pixel_index)
        for z_range in ((1.5, 2.0), (1.0, 1.5))
    }
    assert counts == {(1.5, 2.0): 1, (1.0, 1.5): 0}


def test_points_just_below_the_grid_do_not_count() -> None:
    """Truncation towards zero would put x = -0.5 into the first cell."""
    lift = LiftSplat(BevGrid(0.0, -5.0, 1.0, 20, 10), DepthBins(3.5, 4.5, 1), (-1, 1), 1, 1, 1)

    assert not points_of(lift.build([level_camera(1, 1, 1.0, position_m=(-4.5, 0.0, 0.0))]))
    inside = lift.build([level_camera(1, 1, 1.0, position_m=(-3.5, 0.0, 0.0))])
    assert set(points_of(inside)) == {(5, 0)}


@pytest.mark.parametrize('seed', [1, 2, 7, 11])
def test_masked_cameras_contribute_exactly_nothing(seed: int) -> None:
    lift, cameras = random_setup(seed)
    present = [level_camera(1, 1, 1.0) if c is None else c for c in cameras]
    present = [
        replace(
            c, width=lift.feature_width * lift.stride, height=lift.feature_height * lift.stride
        )
        for c in (*present, present[0])
    ]
    whole = lift.build(present)
    features, depth = (t.float() for t in random_inputs(whole, 16, seed))
    for masked in range(len(present)):
        some: list[Camera | None] = [None if n == masked else c for n, c in enumerate(present)]
        without = features.clone()
        without[:, masked] = torch.nan
        zeroed = features.clone()
        zeroed[:, masked] = 0.0
        expected = splat(without, depth, lift.build(some))
        assert torch.isfinite(expected).all()
        assert torch.equal(splat(zeroed, depth, whole), expected)


def test_no_camera_at_all_gives_zeros() -> None:
    lift, _ = random_setup(0)
    matrix = lift.build([None, None])
    features, depth = random_inputs(matrix, 3)
    assert len(matrix.pixel_index) == 0
    assert torch.equal(
        splat(features, depth, matrix), torch.zeros(1, 3, *lift.grid.shape).double()
    )


@pytest.mark.parametrize('seed', range(6))
def test_order_of_cameras_does_not_matter(seed: int) -> None:
    lift, cameras = random_setup(seed)
    order = np.random.default_rng(seed).permutation(len(cameras))
    features, depth = random_inputs(lift.build(cameras), 8, seed)

    before = splat(features, depth, lift.build(cameras))
    shuffled = lift.build([cameras[n] for n in order])
    after = splat(features[:, order], depth[:, order], shuffled)
    torch.testing.assert_close(after, before, rtol=0.0, atol=1e-13)


def test_order_of_cameras_that_share_no_cell_does_not_matter_at_all() -> None:
    lift = LiftSplat(BevGrid(-20.0, -20.0, 0.7, 57, 57), DepthBins(1, 19, 30), (-9, 9), 6, 10, 4)
    cameras: list[Camera | None] = [
        level_camera(40, 24, 30.0, yaw_deg=yaw, pitch_deg=4.0) for yaw in (0.0, 90.0, -90.0)
    ]
    cameras.append(None)
    features, depth = (t.float() for t in random_inputs(lift.build(cameras), 32))
    seen = [set(points_of(lift.build([camera]))) for camera in cameras[:3]]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])

    before = splat(features, depth, lift.build(cameras))
    for order in ([2, 0, 1, 3], [3, 1, 0, 2], [1, 3, 2, 0]):
        shuffled = lift.build([cameras[n] for n in order])
        assert torch.equal(splat(features[:, order], depth[:, order], shuffled), before)


def test_absent_cameras_may_be_added_anywhere() -> None:
    lift, cameras = random_setup(3)
    padded = [None, *cameras[:1], None, *cameras[1:]]
    places = [n for n in range(len(padded)) if n not in (0, 2)]
    features, depth = random_inputs(lift.build(padded), 4)

    before = splat(features[:, places], depth[:, places], lift.build(cameras))
    assert torch.equal(splat(features, depth, lift.build(padded)), before)


@pytest.mark.parametrize('stride', [1, 4, 5])
def test_features_of_invalid_pixels_are_left_out(stride: int) -> None:
    lift = LiftSplat(BevGrid(-20, -20, 1.0, 40, 40), DepthBins(1, 9, 8), (-9, 9), 3, 7, stride)
    camera = level_camera(7 * stride, 3 * stride, 6.0 * stride)
    mask = np.ones((3 * stride, 7 * stride), bool)
    mask[:stride] = False
    mask[:, 5 * stride :] = False

    every = lift.build([camera])
    some = lift.build([camera, camera], valid=[mask, None])
    expected = {
        cell: {p for p in points if p[1] >= 1 and p[2] < 5} | {(1, *p[1:]) for p in points}
        for cell, points in points_of(every).items()
    }
    assert points_of(some) == expected
    nothing = lift.build([camera], valid=[np.zeros_like(mask)])
    assert len(nothing.pixel_index) == 0


@pytest.mark.parametrize('rows', [False, True])
@pytest.mark.parametrize(('stride', 'deciding'), [(4, 6), (3, 4), (1, 1)])
def test_the_pixel_under_the_centre_decides(rows: bool, stride: int, deciding: int) -> None:
    """Stride 4: feature 1 lies at image pixel 5.5, so pixel 6 decides; stride 3: at 4, pixel 4."""
    size = (3, 1) if rows else (1, 3)
    lift = LiftSplat(BevGrid(0, -10, 1.0, 20, 20), DepthBins(1, 9, 8), (-9, 9), *size, stride)
    camera = level_camera(size[1] * stride, size[0] * stride, 10.0)
    for pixel in range(3 * stride):
        mask = np.ones((camera.height, camera.width), bool)
        mask[(pixel, slice(None)) if rows else (slice(None), pixel)] = False
        seen = lift.build([camera], valid=[mask]).pixel_index.unique().tolist()
        assert (1 in seen) == (pixel != deciding)


def test_a_mask_may_end_before_the_last_centre() -> None:
    """Width 9 at stride 4: the third feature lies at 9.5, beyond the image; pixel 8 decides."""
    lift = LiftSplat(BevGrid(0, -10, 1.0, 20, 20), DepthBins(1, 9, 8), (-9, 9), 1, 3, 4)
    camera = level_camera(9, 4, 10.0)
    mask = np.ones((4, 9), bool)
    assert lift.build([camera], valid=[mask]).pixel_index.unique().tolist() == [0, 1, 2]
    mask[:, 8] = False
    assert lift.build([camera], valid=[mask]).pixel_index.unique().tolist() == [0, 1]


@pytest.mark.filterwarnings('error')
def test_pixels_without_a_ray_are_left_out() -> None:
    """21 degrees per pixel: beyond 180 degrees from the axis an equidistant image is empty."""
    lift = LiftSplat(BevGrid(-10.2, -10.2, 1.0, 20, 20), DepthBins(1, 9, 8), (-9, 9), 1, 21, 1)
    camera = level_camera(21, 1, 1 / math.radians(21), wide=True)
    assert lift.build([camera]).pixel_index.unique().tolist() == list(range(2, 19))


def test_a_batch_is_its_samples() -> None:
    lift, cameras = random_setup(4)
    rigs: list[list[Camera | None]] = [cameras, cameras[::-1], [None] * len(cameras)]
    matrices = [lift.build(rig) for rig in rigs]
    batch = LiftMatrix.collate(matrices)
    features, depth = (t.float() for t in random_inputs(batch, 12))

    found = splat(features, depth, batch)
    assert batch.batch == 3 and found.shape == (3, 12, *lift.grid.shape)
    for sample, matrix in enumerate(matrices):
        one = slice(sample, sample + 1)
        assert torch.equal(found[one], splat(features[one], depth[one], matrix))
    nested = LiftMatrix.collate([LiftMatrix.collate(matrices[:2]), matrices[2]])
    assert torch.equal(nested.depth_index, batch.depth_index)
    assert torch.equal(nested.cell_offsets, batch.cell_offsets)


def test_collate_refuses_different_shapes() -> None:
    lift, cameras = random_setup(4)
    with pytest.raises(ValueError, match='one shape'):
        LiftMatrix.collate([lift.build(cameras), lift.build([*cameras, None])])
    with pytest.raises(ValueError, match='one shape'):
        LiftMatrix.collate([])


def test_memory_layout_changes_nothing_and_the_result_is_channels_last() -> None:
    lift, cameras = random_setup(5)
    matrix = LiftMatrix.collate([lift.build(cameras)] * 2)
    features, depth = (t.float() for t in random_inputs(matrix, 24))

    found = splat(features, depth, matrix)
    assert found.is_contiguous(memory_format=torch.channels_last)
    inner = [
        t.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3) for t in (features, depth)
    ]
    assert torch.equal(splat(inner[0], inner[1], matrix), found)
    bfloat16 = splat(features.bfloat16(), depth, matrix)
    assert bfloat16.dtype == torch.bfloat16
    torch.testing.assert_close(bfloat16.float(), found, rtol=0.05, atol=0.05)


def test_gradients() -> None:
    lift = LiftSplat(BevGrid(0.0, -4.0, 2.0, 4, 4), DepthBins(1.0, 8.0, 4), (-9, 9), 2, 3, 2)
    cameras = [level_camera(6, 4, 5.0, pitch_deg=5.0), level_camera(6, 4, 5.0, yaw_deg=20.0)]
    matrix = lift.build(cameras)
    features, depth = random_inputs(matrix, 3)
    assert torch.autograd.gradcheck(
        lambda f, d: splat(f, d, matrix), (features.requires_grad_(), depth.requires_grad_())
    )


def test_gradients_equal_those_of_the_volume() -> None:
    lift, cameras = random_setup(8)
    matrix = lift.build(cameras)
    naive = [tensor.requires_grad_() for tensor in random_inputs(matrix, 6)]
    ours = [tensor.detach().float().requires_grad_() for tensor in naive]
    target = torch.randn(1, 6, *lift.grid.shape, generator=torch.Generator().manual_seed(1))

    (splat(ours[0], ours[1], matrix) * target).sum().backward()
    volume = naive[0][0, :, :, None] * naive[1][0, :, None]
    total = torch.zeros((), dtype=torch.float64)
    for (iy, ix), points in cells_by_hand(lift, cameras).items():
        for n, v, u, b in points:
            total = total + (volume[n, :, b, v, u] * target[0, :, iy, ix]).sum()
    total.backward()
    for mine, theirs in zip(ours, naive, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        error = (mine.grad.double() - theirs.grad).abs().max()
        assert error <= 1e-5 * theirs.grad.abs().max()


def test_depth_bins_by_hand() -> None:
    bins = DepthBins(2.0, 5.0, 4)
    assert bins.width_m == 0.75
    assert bins.centers().tolist() == [2.375, 3.125, 3.875, 4.625]


@pytest.mark.parametrize(
    'values', [(0.0, 5.0, 4), (5.0, 5.0, 4), (1.0, 5.0, 0), (1.0, math.inf, 2)]
)
def test_impossible_depth_bins(values: tuple[float, float, int]) -> None:
    with pytest.raises(ConfigError, match='depth bins'):
        DepthBins(*values)


def test_sizes_that_do_not_fit_name_the_camera() -> None:
    lift = LiftSplat(BevGrid(-5, -5, 1.0, 10, 10), DepthBins(1, 9, 8), (-1, 1), 4, 6, 8)
    camera = level_camera(48, 32, 30.0)
    with pytest.raises(ConfigError, match=r"'yaw_0' of 48 x 40 gives 6 x 5 features .* 6 x 4"):
        lift.build([replace(camera, height=40)])
    with pytest.raises(ConfigError, match="'yaw_0' has a mask"):
        lift.build([camera], valid=[np.ones((4, 6), bool)])
    with pytest.raises(ConfigError, match='2 cameras and 1 masks'):
        lift.build([camera, None], valid=[None])
    with pytest.raises(ConfigError, match='0 cameras'):
        lift.build([])
    with pytest.raises(ConfigError, match='z_range_m'):
        replace(lift, z_range_m=(1.0, 1.0))
    with pytest.raises(ConfigError, match='stride'):
        replace(lift, stride=0)
    matrix = lift.build([camera])
    features, depth = random_inputs(matrix, 3)
    with pytest.raises(ValueError, match='depth is'):
        splat(features, depth[:, :, 1:], matrix)
    with pytest.raises(ValueError, match='features is'):
        splat(features[:, :, :, 1:], depth, matrix)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_sums_the_same_entries() -> None:
    lift, cameras = random_setup(6)
    matrix = lift.build(cameras)
    features, depth = (t.float() for t in random_inputs(matrix, 16))

    found = splat(features.cuda(), depth.cuda(), matrix.to('cuda'))
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.cpu(), splat(features, depth, matrix), rtol=1e-5, atol=1e-6)
