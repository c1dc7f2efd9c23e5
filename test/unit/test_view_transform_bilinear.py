"""Bilinear sampling against a lift voxel by voxel, the heights compressed behind it."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.random_rigs import RandomRig, pixel_by_hand, random_inputs, random_rig
from support.view_transform_checks import (
    check_collate,
    check_definition,
    check_gradients,
    check_masked,
    check_order,
    randomise,
    run,
)
from torch import Tensor
from torch.nn import functional

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.view_transform import LiftSplat
from bev_perception.model.view_transform.bilinear import Bilinear
from bev_perception.model.view_transform.bilinear_matrix import mean_weights
from bev_perception.model.view_transform.bilinear_sampling import VoxelSampling

LEVELS = 3


def make(lift: LiftSplat, levels: int = LEVELS) -> Bilinear:
    shape = (lift.feature_height, lift.feature_width)
    return Bilinear(lift.grid, lift.z_range_m, levels, shape, lift.stride, 4, 5)


def make_unbiased(lift: LiftSplat) -> Bilinear:
    """Returns a transform whose cells without a camera are zero, as those of lifts of points."""
    transform = make(lift)
    del transform.bias
    transform.register_buffer('bias', torch.zeros(5))
    return transform


def sample_by_hand(image: np.ndarray, u: float, v: float) -> np.ndarray:
    """Returns [C] of image [C, h, w] at (u, v) in feature pixels; beyond the border is zero."""
    total = np.zeros(len(image))
    for row, column in np.ndindex(image.shape[1:]):
        weight = max(0.0, 1.0 - abs(u - column)) * max(0.0, 1.0 - abs(v - row))
        if weight:
            total += weight * image[:, row, column]
    return total


def shown_by_hand(rig: RandomRig, n: int, point: np.ndarray) -> tuple[float, float] | None:
    """Returns the pixel of a point that camera n sees, None for others."""
    camera, mask = rig.cameras[n], rig.valid[n]
    if camera is None:
        return None
    u, v, _ = pixel_by_hand(camera, point)
    # False for NaN too.
    if not (-0.5 <= u < camera.width - 0.5 and -0.5 <= v < camera.height - 0.5):
        return None
    if mask is not None and not mask[math.floor(v + 0.5), math.floor(u + 0.5)]:
        return None
    return u, v


def volume_by_hand(
    rig: RandomRig, levels: int, context: np.ndarray, used: list[bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean samples [Z, C, Y, X] and bool [N, Z, Y, X], camera n sees the voxel."""
    grid, stride = rig.lift.grid, rig.lift.stride
    low, high = rig.lift.z_range_m
    volume = np.zeros((levels, context.shape[1], *grid.shape))
    seen = np.zeros((len(rig.cameras), levels, *grid.shape), bool)
    for z, iy, ix in np.ndindex(levels, *grid.shape):
        x_m = grid.x_min_m + (ix + 0.5) * grid.resolution_m
        y_m = grid.y_min_m + (iy + 0.5) * grid.resolution_m
        point = np.array([x_m, y_m, low + (high - low) * (2 * z + 1) / (2 * levels)])
        samples = []
        for n in range(len(rig.cameras)):
            pixel = shown_by_hand(rig, n, point)
            seen[n, z, iy, ix] = pixel is not None
            if pixel is not None and used[n]:
                place = [(p + 0.5) / stride - 0.5 for p in pixel]
                samples.append(sample_by_hand(context[n], *place))
        if samples:
            volume[z, :, iy, ix] = np.mean(samples, axis=0)
    return volume, seen


def compress_by_hand(transform: Bilinear, volume: np.ndarray) -> np.ndarray:
    """Returns [C', Y, X]: a 1x1 convolution over the heights and channels of [Z, C, Y, X]."""
    levels, channels = volume.shape[:2]
    out = transform.out_channels
    weight = transform.compress.weight.detach().double().numpy().reshape(levels, out, channels)
    total = np.zeros((out, *volume.shape[2:]))
    for z in range(levels):
        total += np.einsum('oc,cyx->oyx', weight[z], volume[z])
    return total + transform.bias.detach().double().numpy()[:, None, None]


@pytest.mark.parametrize('seed', range(12))
def test_random_rigs_agree_with_the_definition(seed: int) -> None:
    rig = random_rig(seed)
    levels = 1 + seed % 4
    transform = randomise(make(rig.lift, levels), seed)
    inputs = random_inputs(rig.lift, (1, len(rig.cameras)), 4, seed)

    volume, seen = volume_by_hand(rig, levels, inputs[0][0].numpy(), [True] * len(rig.cameras))
    check_definition(transform, rig, compress_by_hand(transform, volume), inputs)
    matrices = transform.build(rig.cameras, rig.valid)
    assert np.array_equal(matrices.seen[0].numpy(), np.moveaxis(seen, 1, -1))
    assert np.array_equal(matrices.reached[0].numpy(), seen.any(axis=1))


def test_random_rigs_are_not_all_empty() -> None:
    rigs = [random_rig(seed) for seed in range(12)]
    entries = [
        make(rig.lift).build(rig.cameras, rig.valid).entries.row_index.numel() for rig in rigs
    ]
    assert np.median(entries) > 300


@pytest.mark.parametrize('seed', range(10))
def test_the_mean_is_over_used_cameras(seed: int) -> None:
    """All subsets of cameras from one set of matrices; masked features are not zero here."""
    rig = random_rig(seed, cameras=3)
    transform = randomise(make(rig.lift, 2), seed)
    context, _ = random_inputs(rig.lift, (1, 3), 4, seed)
    matrices = transform.build(rig.cameras, rig.valid)
    for used in itertools.product([False, True], repeat=3):
        volume, _ = volume_by_hand(rig, 2, context[0].numpy(), list(used))
        expected = compress_by_hand(transform, volume)
        found = transform(context, None, torch.tensor([used]), matrices)[0].detach().numpy()
        assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize('seed', range(6))
def test_agrees_with_grid_sample(seed: int) -> None:
    """The published form: every voxel of every camera sampled by torch, then a convolution."""
    rig = random_rig(seed + 50)
    transform = randomise(make(rig.lift), seed).float()
    context = random_inputs(rig.lift, (1, len(rig.cameras)), 4, seed)[0].float()
    mask = torch.ones(1, len(rig.cameras), dtype=torch.bool)
    expected = sampled_by_torch(transform, rig, context)
    found = run(transform, rig, (context, context), mask)
    error = (found - expected).abs().max()
    # Single precision of the sampling places bounds the agreement.
    assert error <= 1e-4 * expected.abs().max()


def sampled_by_torch(transform: Bilinear, rig: RandomRig, context: Tensor) -> Tensor:
    """Returns [1, C', Y, X] by `grid_sample`, masked mean and `conv2d`."""
    sampling = transform.sampling
    centers = sampling.voxel_centers()
    seen = transform.build(rig.cameras, rig.valid).seen[0]
    total: Tensor | float = 0.0
    count: Tensor | float = 0.0
    for n, camera in enumerate(rig.cameras):
        if camera is None:
            continue
        uv, _ = camera.project_base(centers.reshape(-1, 3))
        size = sampling.stride * np.array([sampling.feature_width, sampling.feature_height])
        place = torch.from_numpy(2.0 * (uv + 0.5) / size - 1.0).nan_to_num(9.0).float()
        sample = functional.grid_sample(
            context[0, n][None], place[None, None], align_corners=False
        )
        seen = transform.build(rig.cameras, rig.valid).seen[0, n].reshape(-1)
        total = total + sample[0, :, 0] * seen
        count = count + seen.float()
    assert isinstance(total, Tensor) and isinstance(count, Tensor)
    shape = (1, 4, *sampling.grid.shape, sampling.levels)
    volume = (total / count.clamp(min=1)).view(shape).permute(0, 4, 1, 2, 3).flatten(1, 2)
    weight = transform.compression().flatten(1)[:, :, None, None]
    return functional.conv2d(volume, weight, transform.bias).detach()


@pytest.mark.parametrize('seed', range(10))
def test_order_of_cameras_changes_nothing(seed: int) -> None:
    check_order(make, seed)


@pytest.mark.parametrize('seed', range(10))
def test_masked_cameras_contribute_exactly_nothing(seed: int) -> None:
    check_masked(make_unbiased, seed)


@pytest.mark.parametrize('seed', range(4))
def test_a_batch_is_its_samples(seed: int) -> None:
    check_collate(make_unbiased, seed)


def test_gradients() -> None:
    check_gradients(make)


@pytest.mark.parametrize('masked', [0, 1])
def test_gradients_with_masked_cameras(masked: int) -> None:
    """Features of the masked camera are NaN, and yet no gradient is."""
    rig = random_rig(4, cameras=3)
    transform = randomise(make(rig.lift))
    context, _ = random_inputs(rig.lift, (1, 3), 4)
    context[:, masked] = torch.nan
    mask = torch.ones(1, 3, dtype=torch.bool)
    mask[:, masked] = False
    transform(context.requires_grad_(), None, mask, transform.build(rig.cameras)).sum().backward()
    gradients = [context.grad, *(p.grad for p in transform.parameters())]
    assert context.grad is not None and (context.grad[:, masked] == 0).all()
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_numbers_by_hand() -> None:
    """A level camera at 1 m, 90 degrees wide, and a point 4 m ahead, 1 m to the left of it.

    It lies at u = 7.5 - 8 / 4 = 5.5 in the image, at (5.5 + 0.5) / 4 - 0.5 = 1 in the features: in
    the second column exactly. As high as the camera, v = 7.5, it lies between the second and the
    third of four rows.
    """
    camera = level_camera(16, 16, 8.0, position_m=(0.0, 0.0, 1.0))
    grid = BevGrid(3.5, 0.5, 1.0, 1, 1)
    transform = Bilinear(grid, (0.5, 1.5), 1, (4, 4), 4, 1, 1)
    with torch.no_grad():
        transform.compress.weight.fill_(2.0)
        transform.bias.fill_(100.0)
    context = torch.arange(16.0).view(1, 1, 1, 4, 4)
    mask = torch.ones(1, 1, dtype=torch.bool)
    found = transform(context, None, mask, transform.build([camera]))
    assert found.item() == 2.0 * (5.0 + 9.0) / 2 + 100.0


def test_the_border_fades_to_zero_as_in_grid_sample() -> None:
    """A point at u = -0.25 with stride 1 has three quarters of its weight inside."""
    camera = level_camera(4, 1, 4.0)
    # u = 1.5 - 4 * y / x = -0.25 at x = 4 for y = 1.75.
    transform = Bilinear(BevGrid(3.5, 1.25, 1.0, 1, 1), (-0.5, 0.5), 1, (1, 4), 1, 1, 1)
    entries = transform.build([camera]).entries
    assert entries.row_index.tolist() == [0]
    assert entries.weight.tolist() == [0.75]


def test_fisheye_beyond_180_degrees_sees_behind_itself() -> None:
    grid = BevGrid(-10.0, -10.0, 1.0, 20, 20)
    camera = level_camera(44, 44, 44 / math.radians(220), wide=True)
    sampling = VoxelSampling(grid, (-0.5, 0.5), 1, 11, 11, 4)
    seen = sampling.build([camera]).seen[0, 0, :, :, 0].numpy()
    angles = np.degrees(np.arctan2(grid.cell_centers()[..., 1], grid.cell_centers()[..., 0]))
    assert np.array_equal(seen, np.abs(angles) < 110.0)
    pinhole = sampling.build([level_camera(44, 44, 23.0)]).seen[0, 0, :, :, 0].numpy()
    assert np.array_equal(pinhole, np.abs(angles) < math.degrees(math.atan(22 / 23)))


def test_pixels_that_do_not_show_the_scene_do_not_count() -> None:
    camera = level_camera(24, 16, 12.0, position_m=(0.0, 0.0, 1.5))
    sampling = VoxelSampling(BevGrid(0.0, -8.0, 0.5, 32, 32), (-1.0, 2.0), 4, 4, 6, 4)
    mask = np.ones((16, 24), bool)
    mask[:, 12:] = False
    every = sampling.build([camera]).seen[0, 0].numpy()
    left = sampling.build([camera], [mask]).seen[0, 0].numpy()
    # Pixel column 11 ends at u = 11.5, the axis of the camera: only y > 0 is left.
    assert left[16:].any() and np.array_equal(left[16:], every[16:]) and not left[:16].any()
    nothing = sampling.build([camera], [np.zeros_like(mask)])
    assert not nothing.reached.any() and len(nothing.entries.weight) == 0


def test_coverage_counts_used_cameras() -> None:
    cameras: list[Camera | None] = [
        level_camera(20, 20, 10.0, yaw_deg=yaw, position_m=(0, 0, 1)) for yaw in (0, 0, 90)
    ]
    sampling = VoxelSampling(BevGrid(-5, -5, 1.0, 10, 10), (-0.5, 2.5), 3, 5, 5, 4)
    matrices = sampling.build([*cameras, None])
    every = matrices.coverage(torch.ones(1, 4, dtype=torch.bool))[0, 0]
    some = matrices.coverage(torch.tensor([[True, False, False, True]]))[0, 0]
    # Cells (y, x): ahead, left, behind.
    assert (every[5, 8], every[8, 5], every[5, 1]) == (1.0, 0.5, 0.0)
    assert (some[5, 8], some[8, 5], some[5, 1]) == (0.5, 0.0, 0.0)


def test_a_camera_without_calibration_may_stay_masked_on_the_short_way() -> None:
    rig = random_rig(3, cameras=3)
    rig.cameras[1] = None
    matrices = make(rig.lift).build(rig.cameras, rig.valid)
    assert matrices.weights(torch.tensor([[True, False, True]])) is matrices.entries.weight
    general = mean_weights(matrices.tap_weight, matrices.voxel_index, matrices.seen)
    assert torch.equal(general, matrices.entries.weight)
    assert not torch.equal(general, matrices.tap_weight)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    rig = random_rig(6, cameras=4)
    transform = randomise(make(rig.lift)).float()
    context = random_inputs(rig.lift, (1, 4), 4)[0].float()
    mask = torch.tensor([[True, True, False, True]])
    expected = run(transform, rig, (context, context), mask)
    found = run(transform.to(dtype), rig, (context.to(dtype), context), mask)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)


def test_memory_layout_changes_nothing() -> None:
    rig = random_rig(7, cameras=3)
    transform = randomise(make(rig.lift)).float()
    context = random_inputs(rig.lift, (1, 3), 4)[0].float()
    inner = context.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    mask = torch.ones(1, 3, dtype=torch.bool)
    first, second = (run(transform, rig, (c, c), mask) for c in (context, inner))
    assert torch.equal(first, second)


class OfOneRig(torch.nn.Module):
    """A transform with the matrices of one rig inside, as export wants it."""

    def __init__(self, transform: Bilinear, rig: RandomRig) -> None:
        super().__init__()
        self.transform = transform
        self.matrices = transform.build(rig.cameras, rig.valid)

    def forward(self, context: Tensor, camera_mask: Tensor) -> Tensor:
        bev: Tensor = self.transform(context, None, camera_mask, self.matrices)
        return bev


def test_a_graph_recorded_with_all_cameras_holds_for_every_mask() -> None:
    rig = random_rig(7, cameras=3)
    model = OfOneRig(make(rig.lift), rig)
    context = random_inputs(rig.lift, (1, 3), 4)[0].float()
    graph = torch.export.export(model, (context, torch.ones(1, 3, dtype=torch.bool))).module()
    for used in itertools.product([False, True], repeat=3):
        mask = torch.tensor([used])
        torch.testing.assert_close(graph(context, mask), model(context, mask))


def test_descriptions_that_do_not_fit() -> None:
    sampling = VoxelSampling(BevGrid(-5, -5, 1.0, 10, 10), (-1, 1), 2, 4, 6, 8)
    camera = level_camera(48, 32, 30.0)
    with pytest.raises(ConfigError, match=r"'yaw_0' of 48 x 40 gives 6 x 5 features .* 6 x 4"):
        sampling.build([replace(camera, height=40)])
    with pytest.raises(ConfigError, match="'yaw_0' has a mask"):
        sampling.build([camera], valid=[np.ones((4, 6), bool)])
    with pytest.raises(ConfigError, match='2 cameras and 1 masks'):
        sampling.build([camera, None], valid=[None])
    with pytest.raises(ConfigError, match='0 cameras'):
        sampling.build([])
    with pytest.raises(ConfigError, match='z_range_m'):
        replace(sampling, z_range_m=(1.0, 1.0))
    with pytest.raises(ConfigError, match='levels'):
        replace(sampling, levels=0)
    one, two = sampling.build([camera]), sampling.build([camera, None])
    with pytest.raises(ValueError, match='one shape'):
        type(one).collate([one, two])
    with pytest.raises(ValueError, match='one shape'):
        type(one).collate([])
    transform = Bilinear(sampling.grid, (-1, 1), 2, (4, 6), 8, 3, 2)
    with pytest.raises(ValueError, match='context is'):
        transform(torch.zeros(1, 1, 3, 4, 7), None, torch.ones(1, 1, dtype=torch.bool), one)
