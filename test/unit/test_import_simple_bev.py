"""Simple-BEV: published names, the lift against its definition, results in the base frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.published_simple_bev import published_weights
from support.random_rigs import random_camera
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.importers.report import ImportReport
from bev_perception.importers.simple_bev import import_simple_bev, load_simple_bev
from bev_perception.model.published.simple_bev import SimpleBev, SimpleBevSetup
from bev_perception.model.published.simple_bev_lift import VoxelLift, VoxelMatrices, lift_voxels

# Of the published program, its three loss weights counted.
PUBLISHED_PARAMETERS = 42_048_711


@pytest.fixture(scope='module')
def imported() -> tuple[SimpleBev, ImportReport]:
    return import_simple_bev(published_weights())


@pytest.fixture(scope='module')
def small() -> SimpleBev:
    torch.manual_seed(0)
    return SimpleBev(
        SimpleBevSetup(cells=16, extent_m=8.0, levels=2, image_height=32, image_width=64)
    ).eval()


def test_every_published_weight_has_its_place(imported: tuple[SimpleBev, ImportReport]) -> None:
    model, report = imported
    published = published_weights()
    own = model.state_dict()
    for name, theirs in {
        'encoder.backbone.conv1.weight': 'encoder.backbone.0.weight',
        'encoder.backbone.bn1.running_var': 'encoder.backbone.1.running_var',
        'encoder.backbone.layer1.0.downsample.1.bias': 'encoder.backbone.4.0.downsample.1.bias',
        'encoder.backbone.layer2.3.conv2.weight': 'encoder.backbone.5.3.conv2.weight',
        'encoder.backbone.layer3.22.bn3.weight': 'encoder.layer3.22.bn3.weight',
        'bev_compressor.0.weight': 'bev_compressor.0.weight',
        'decoder.layer3.1.bn2.running_mean': 'decoder.layer3.1.bn2.running_mean',
        'decoder.instance_center_head.3.bias': 'decoder.instance_center_head.3.bias',
    }.items():
        assert own[name].unique().tolist() == [published[theirs].flatten()[0].item()], name
    values = [own[n].flatten()[0].item() for n in own if not n.endswith('num_batches_tracked')]
    expected = [
        tensor.flatten()[0].item()
        for name, tensor in published.items()
        if 'num_batches' not in name and '_weight' not in name
    ]
    assert sorted(values) == sorted(expected)
    assert report.complete and not report.unexpected
    assert {'ce_weight', 'center_weight', 'offset_weight'} <= set(report.ignored)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED_PARAMETERS - 3
    assert not model.training


def test_reads_a_published_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / 'model-000025000.pth'
    torch.save({'optimizer_state_dict': {}, 'model_state_dict': published_weights()}, path)
    model, report = load_simple_bev(path)
    assert report.complete
    assert model.setup == SimpleBevSetup()


def test_wrong_weights_are_refused_in_one_line() -> None:
    weights = published_weights()
    without = {n: w for n, w in weights.items() if n != 'decoder.first_conv.weight'}
    with pytest.raises(ConfigError, match=r'1 missing: decoder\.first_conv\.weight'):
        import_simple_bev(without)
    radar = {**weights, 'bev_compressor.0.weight': torch.zeros(1).expand(128, 3072, 3, 3)}
    with pytest.raises(ConfigError, match='radar or lidar'):
        import_simple_bev(radar)
    deeper = {**weights, 'encoder.layer3.23.conv1.weight': torch.zeros(256, 1024, 1, 1)}
    with pytest.raises(ConfigError, match=r'1 weights are not .* encoder.*layer3.23.conv1'):
        import_simple_bev(deeper)
    with pytest.raises(ConfigError, match='do not fit') as error:
        import_simple_bev({'encoder.backbone._conv_stem.weight': torch.zeros(48, 3, 3, 3)})
    assert '\n' not in str(error.value)


def random_lift(seed: int) -> tuple[VoxelLift, list[Camera | None]]:
    """Returns voxels and 1 to 8 cameras: tilted, some equidistant, some absent."""
    rng = np.random.default_rng(seed)
    size_x, size_y = (int(n) for n in rng.integers(2, 9, size=2))
    grid = BevGrid(rng.uniform(-9, 0), rng.uniform(-9, 0), rng.uniform(0.5, 2), size_x, size_y)
    stride = int(rng.choice([2, 4, 8]))
    rows, columns = (int(n) for n in rng.integers(2, 9, size=2))
    lift = VoxelLift(
        grid, rng.uniform(1, 4), rng.uniform(0.5, 2), int(rng.integers(1, 4)),
        rows * stride, columns * stride, stride,
    )  # fmt: skip
    cameras: list[Camera | None] = []
    for index in range(rng.integers(1, 9)):
        camera = random_camera(rng, index, (columns * stride, rows * stride), 1.0, 0.3)
        cameras.append(None if rng.random() < 0.15 else camera)
    return lift, cameras


def sampled(features: np.ndarray, camera: Camera, point: list[float]) -> np.ndarray | None:
    """Returns features [C, h, w] at a base point as published, None where it is not seen."""
    uv, _ = camera.project_base(np.array(point))
    height, width = features.shape[1:]
    x, y = (uv[0] + 0.5) * width / camera.width, (uv[1] + 0.5) * height / camera.height
    if not (-0.5 < x < width - 0.5 and -0.5 < y < height - 0.5):
        return None
    # Scaled to [-1, 1] with the ends on the outermost features, read with the ends half a
    # feature further out.
    x_share, y_share = 2.0 * x / (width - 1) - 1.0, 2.0 * y / (height - 1) - 1.0
    column, row = ((x_share + 1) * width - 1) / 2, ((y_share + 1) * height - 1) / 2
    total, seen = np.zeros(len(features)), False
    for v in (math.floor(row), math.floor(row) + 1):
        for u in (math.floor(column), math.floor(column) + 1):
            weight = (1.0 - abs(column - u)) * (1.0 - abs(row - v))
            if 0 <= u < width and 0 <= v < height and weight > 0.0:
                total += weight * features[:, v, u]
                seen = True
    return total if seen else None


@pytest.mark.parametrize('seed', range(8))
def test_voxels_are_the_mean_of_the_cameras_that_see_them(seed: int) -> None:
    lift, cameras = random_lift(seed)
    matrices = lift.build(cameras)
    features = torch.randn(1, len(cameras), 3, *lift.feature_shape, dtype=torch.float64)
    mask = torch.rand(1, len(cameras)) < 0.8
    volume = lift_voxels(features, mask, matrices)
    grid = lift.grid
    assert volume.shape == (1, lift.levels * 3, grid.size_x, grid.size_y)
    for ahead in range(grid.size_x):
        for right in range(grid.size_y):
            for level in range(lift.levels):
                point = [
                    grid.x_min_m + (ahead + 0.5) * grid.resolution_m,
                    grid.y_min_m + (grid.size_y - right - 0.5) * grid.resolution_m,
                    lift.top_m - (level + 0.5) * lift.level_height_m,
                ]
                total, count = np.zeros(3), 0
                for n, camera in enumerate(cameras):
                    if camera is None or not mask[0, n]:
                        continue
                    part = sampled(features[0, n].numpy(), camera, point)
                    if part is not None:
                        total, count = total + part, count + 1
                expected = total / (count + 1e-6)
                found = volume[0, level * 3 : level * 3 + 3, ahead, right].numpy()
                np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize('seed', range(4))
def test_masked_cameras_count_as_absent(seed: int) -> None:
    lift, cameras = random_lift(seed)
    cameras.append(level_camera(lift.image_width, lift.image_height, focal=lift.image_width))
    features = torch.randn(1, len(cameras), 2, *lift.feature_shape)
    mask = torch.ones(1, len(cameras), dtype=torch.bool)
    mask[0, 0] = False
    features[0, 0] = torch.nan
    found = lift_voxels(features, mask, lift.build(cameras))
    without = lift_voxels(features[:, 1:], mask[:, 1:], lift.build(cameras[1:]))
    torch.testing.assert_close(found, without)
    order = torch.randperm(len(cameras)).tolist()
    shuffled = lift.build([cameras[n] for n in order])
    torch.testing.assert_close(
        lift_voxels(features[:, order], mask[:, order], shuffled), found, atol=1e-6, rtol=1e-5
    )


def test_rigs_of_a_batch_do_not_mix() -> None:
    lift, _ = random_lift(3)
    rigs = [
        [level_camera(lift.image_width, lift.image_height, lift.image_width, yaw), None]
        for yaw in (0.0, 130.0)
    ]
    single = [lift.build(rig) for rig in rigs]
    features = torch.randn(2, 2, 4, *lift.feature_shape)
    mask = torch.ones(2, 2, dtype=torch.bool)
    both = lift_voxels(features, mask, VoxelMatrices.collate(single))
    for n in range(2):
        alone = lift_voxels(features[n : n + 1], mask[n : n + 1], single[n])
        torch.testing.assert_close(both[n : n + 1], alone)


def test_pixels_that_show_nothing_are_not_seen() -> None:
    lift = VoxelLift(BevGrid(0.0, -4.0, 1.0, 8, 8), 2.0, 2.0, 2, 32, 32, 8)
    camera = level_camera(32, 32, 16.0)
    left = np.zeros((32, 32), bool)
    left[:, :16] = True
    reached = lift.build([camera], [left]).reached[0, 0]
    # The camera looks along x: what it shows on the left lies at y > 0, the upper four rows.
    assert reached[4:].any() and not reached[:4].any()
    assert lift.build([camera]).reached[0, 0, :4].any()


def test_reached_cells_are_in_the_base_frame() -> None:
    lift = VoxelLift(BevGrid(-6.0, -4.0, 1.0, 12, 8), 1.0, 2.0, 1, 32, 32, 8)
    to_the_left = level_camera(32, 32, 32.0, yaw_deg=90.0, position_m=(3.0, 0.0, 0.0))
    reached = lift.build([to_the_left]).reached[0, 0].numpy()
    iy, ix = np.nonzero(reached)
    x_m, y_m = lift.grid.axis_centers()
    assert y_m[iy].min() > 0.0
    # Half the image's width over the focal length is 1/2.
    assert np.abs(x_m[ix] - 3.0).max() <= y_m[iy].max() / 2.0
    assert reached[-1, 9] and not reached[-1, 2]


def test_published_map_in_the_base_frame(small: SimpleBev) -> None:
    grid = small.setup.grid()
    published = torch.zeros(1, 1, 16, 16)
    published[0, 0, 13, 2] = 5.0  # far ahead, on the left: column 2 of 16 to the right

    class Marked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return published

    outputs = _with_head(small, 'segmentation_head', Marked())
    iy, ix = (int(n) for n in (outputs.occupancy_logits[0, 0] == 5.0).nonzero()[0])
    x_m, y_m = grid.axis_centers()
    # The reference stands at (1.7, 0.016); cells of a metre reach 8 m to each side of it.
    assert x_m[ix] - 1.7 == pytest.approx(-8.0 + 13.5)
    assert y_m[iy] - 0.016 == pytest.approx(8.0 - 2.5)
    assert outputs.semantic_logits is not None and outputs.motion_logits is not None


def test_flow_is_the_way_to_the_centre_in_metres(small: SimpleBev) -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            # Labels: twice from the centre to the cell, (right, ahead), in cells.
            return torch.tensor([6.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16)

    outputs = _with_head(small, 'instance_offset_head', Constant())
    assert outputs.motion_flow.shape == (1, 1, 2, 16, 16)
    # The centre lies 3 cells to the left of the cell and 2 ahead; a cell is a metre.
    assert outputs.motion_flow[0, 0, :, 0, 0].tolist() == [2.0, 3.0]


def _with_head(model: SimpleBev, name: str, head: nn.Module):
    own = getattr(model.decoder, name)
    setattr(model.decoder, name, head)
    try:
        with torch.inference_mode():
            return model.decode(torch.randn(1, 128, 16, 16), model.heads)
    finally:
        setattr(model.decoder, name, own)


def test_compressor_reads_levels_within_channels(small: SimpleBev) -> None:
    compressor = small.bev_compressor
    volume = torch.randn(2, 2, 128, 16, 16)  # [B, level, C, Z, X]
    with torch.inference_mode():
        found = compressor(volume.flatten(1, 2))
        # As published: [B, C, level, ...] folded into channels, plain modules one by one.
        expected = volume.transpose(1, 2).flatten(1, 2)
        for part in compressor:
            expected = part(expected)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_stages_one_after_the_other(small: SimpleBev) -> None:
    cameras = [level_camera(64, 32, 30.0, yaw_deg=yaw) for yaw in (0.0, 120.0, -120.0)]
    single = small.build(cameras)
    matrices = VoxelMatrices.collate([single, single])
    images = torch.randint(0, 256, (2, 3, 3, 32, 64)).float()
    mask = torch.tensor([[True, True, False], [True, True, True]])
    images[0, 2] = torch.nan
    with torch.inference_mode():
        features = small.encode(images, mask)
        assert features.context.shape == (2, 3, 128, 4, 8) and features.depth is None
        assert not features.context[0, 2].any()
        bev, state = small.remember(small.lift(features, mask, matrices), None, None)
        outputs = small.decode(bev, {'occupancy'})
        maps = small.maps(bev)
    assert state is None and bev.shape == (2, 128, 16, 16)
    occupancy = outputs.occupancy_logits
    assert occupancy is not None and occupancy.isfinite().all()
    assert outputs.motion_logits is None
    assert maps.features.shape == (2, 128, 16, 16)
    torch.testing.assert_close(occupancy[:, 0, 3, 5], maps.segmentation[:, 0, 5, 12])


def test_what_does_not_fit_is_told(small: SimpleBev) -> None:
    with pytest.raises(ConfigError, match='cells must be a multiple of 8, got 20'):
        SimpleBevSetup(cells=20)
    with pytest.raises(ConfigError, match='expected 64 x 32'):
        small.build([level_camera(32, 32, 30.0)])
    with pytest.raises(ConfigError, match=r'images must be \[B, N, 3, 32, 64\]'):
        small.encode(torch.zeros(1, 1, 3, 32, 32), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(ConfigError, match="no head 'objects'"):
        small.decode(torch.zeros(1, 128, 16, 16), {'objects'})
