"""PowerBEV: published names, binning, warps, flow units and instance rules."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.level_camera import level_camera
from support.published_power_bev import published_geometry, published_weights
from support.random_rigs import random_camera
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, pose_from_yaw
from bev_perception.importers.power_bev import import_power_bev, load_power_bev, published_setup
from bev_perception.importers.report import ImportReport
from bev_perception.model.memory import MemoryFrames, MemoryMotion
from bev_perception.model.published.point_lift import PointLift, SplatMatrices
from bev_perception.model.published.power_bev import PowerBev, PowerBevSetup
from bev_perception.model.published.power_bev_decode import decode_power_bev, find_centers
from bev_perception.model.published.power_bev_motion import past_frames
from bev_perception.model.view_transform.lift_matrix import splat

# Of the published program: all that is no geometry and no weight of a loss, and the predictor.
PUBLISHED_PARAMETERS = 39_135_279 - 241_920 - 9 - 2
PREDICTOR_PARAMETERS = 34_846_116
HALF_SECOND_NS = 500_000_000
BLOCKS = 'encoder.backbone._blocks'


@pytest.fixture(scope='module')
def imported() -> tuple[PowerBev, ImportReport]:
    return import_power_bev(published_weights())


@pytest.fixture(scope='module')
def small() -> PowerBev:
    torch.manual_seed(0)
    setup = PowerBevSetup(extent_m=10.0, cells=40, image_height=32, image_width=64)
    return PowerBev(setup).eval()


def test_every_published_weight_has_its_place(imported: tuple[PowerBev, ImportReport]) -> None:
    model, report = imported
    published = published_weights()
    own = model.state_dict()
    for name, theirs in (
        ('encoder.backbone.conv_stem.weight', 'encoder.backbone._conv_stem.weight'),
        ('encoder.backbone.blocks.0.1.conv_pw.weight', f'{BLOCKS}.1._project_conv.weight'),
        ('encoder.backbone.blocks.2.0.conv_dw.weight', f'{BLOCKS}.6._depthwise_conv.weight'),
        ('encoder.backbone.blocks.4.5.bn3.running_var', f'{BLOCKS}.21._bn2.running_var'),
        ('encoder.depth_layer.bias', 'encoder.depth_layer.bias'),
        ('stconv.flow_head.last_conv.bias', 'stconv.flow_head.last_conv.bias'),
    ):
        assert own[name].unique().tolist() == [published[theirs].flatten()[0].item()], name
    values = [own[n].flatten()[0].item() for n in own if not n.endswith('num_batches_tracked')]
    beside = {*published_geometry(50.0, 0.5), 'segmentation_weight', 'flow_weight'}
    expected = [
        tensor.flatten()[0].item()
        for name, tensor in published.items()
        if 'num_batches' not in name and name not in beside
    ]
    assert sorted(values) == sorted(expected)
    assert report.complete and not report.unexpected and beside <= set(report.ignored)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED_PARAMETERS
    assert sum(p.numel() for p in model.stconv.parameters()) == PREDICTOR_PARAMETERS
    assert model.setup == PowerBevSetup() and not model.training


def test_grid_and_horizon_are_read_from_the_weights() -> None:
    short = published_setup(published_weights(15.0, 0.15, steps=7))
    assert short == replace(PowerBevSetup(), extent_m=15.0, steps_ahead=5)
    grid = short.grid()
    assert (grid.x_min_m, grid.resolution_m, grid.shape) == (-15.0, 0.15, (200, 200))


def test_reads_an_old_lightning_checkpoint(tmp_path: Path, monkeypatch) -> None:
    """Lightning 1.2 used the classes of callbacks as keys; the file must load without them."""
    module = ModuleType('pytorch_lightning.callbacks.model_checkpoint')
    callback = type('ModelCheckpoint', (), {'__module__': module.__name__})
    module.ModelCheckpoint = callback  # type: ignore[attr-defined]
    path = tmp_path / 'powerbev.ckpt'
    state = {f'model.{name}': weight for name, weight in published_weights().items()}
    state['losses_fn.segmentation.class_weights'] = torch.tensor([1.0, 2.0])
    with monkeypatch.context() as patch:
        for name in ('pytorch_lightning', 'pytorch_lightning.callbacks'):
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setitem(sys.modules, module.__name__, module)
        torch.save({'state_dict': state, 'callbacks': {callback: {'best': 0.5}}}, path)
    model, report = load_power_bev(path)
    assert report.complete
    assert 'losses_fn.segmentation.class_weights' in report.ignored
    assert model.setup == PowerBevSetup()


def test_wrong_weights_are_refused_in_one_line() -> None:
    weights = published_weights()
    name = 'stconv.flow_branch.BEV_encoder.conv.0.downconv_1_1.layers.0.weight'
    with pytest.raises(ConfigError, match=r'1 missing: stconv\.flow_branch\.BEV_encoder') as error:
        import_power_bev({n: w for n, w in weights.items() if n != name})
    assert '\n' not in str(error.value)
    static = {n: w for n, w in weights.items() if not n.startswith('stconv.')}
    with pytest.raises(ConfigError, match='single-frame model'):
        import_power_bev({**static, 'decoder.first_conv.weight': torch.zeros(64, 64, 7, 7)})
    with pytest.raises(ConfigError, match='not its weights, bev_resolution is missing'):
        import_power_bev({'conv1.weight': torch.zeros(3)})
    oblong = {**weights, 'bev_dimension': torch.tensor([200, 100, 1])}
    with pytest.raises(ConfigError, match='grid must be square'):
        import_power_bev(oblong)


def random_lift(seed: int) -> tuple[PointLift, list[Camera | None]]:
    """Returns a geometry and 1 to 8 cameras: tilted, some equidistant, some absent."""
    rng = np.random.default_rng(seed)
    size_x, size_y = (int(n) for n in rng.integers(3, 12, size=2))
    grid = BevGrid(rng.uniform(-9, 0), rng.uniform(-9, 0), rng.uniform(0.5, 2), size_x, size_y)
    stride = int(rng.choice([2, 4, 8]))
    rows, columns = (int(n) for n in rng.integers(2, 6, size=2))
    depths = int(rng.integers(2, 9))
    height, width = rows * stride, columns * stride
    lift = PointLift(grid, -3.0, 5.0, 1.0, rng.uniform(0.5, 2), depths, height, width, stride)
    cameras: list[Camera | None] = []
    for index in range(rng.integers(1, 9)):
        camera = random_camera(rng, index, (width, height), 1.0, 0.3)
        cameras.append(None if rng.random() < 0.15 else camera)
    return lift, cameras


@pytest.mark.parametrize('seed', range(8))
def test_points_are_summed_as_published(seed: int) -> None:
    lift, cameras = random_lift(seed)
    matrices = lift.build(cameras)
    height, width = lift.feature_shape
    features = torch.randn(1, len(cameras), 2, height, width, dtype=torch.float64)
    depth = torch.rand(1, len(cameras), lift.depths, height, width, dtype=torch.float64)
    grid = lift.grid
    expected = np.zeros((2, *grid.shape))
    reached = np.zeros((len(cameras), *grid.shape), bool)
    for n, camera in enumerate(cameras):
        for v, u, d in np.ndindex(height, width, lift.depths):
            if camera is None:
                continue
            pixel = (
                u * (lift.image_width - 1) / (width - 1),
                v * (lift.image_height - 1) / (height - 1),
            )
            ray = camera.rays(np.array(pixel))
            if not np.isfinite(ray).all():
                continue
            point = ray * (lift.first_depth_m + d * lift.depth_step_m)
            x, y, z = camera.base_T_camera[:3, :3] @ point + camera.base_T_camera[:3, 3]
            # Integer conversion cuts towards zero.
            ix = int((x - grid.x_min_m) / grid.resolution_m)
            iy = int((y - grid.y_min_m) / grid.resolution_m)
            iz = int((z - lift.floor_m) / lift.height_m)
            if iz == 0 and 0 <= ix < grid.size_x and 0 <= iy < grid.size_y:
                weight = depth[0, n, d, v, u].item()
                expected[:, iy, ix] += weight * features[0, n, :, v, u].numpy()
                reached[n, iy, ix] = True
    np.testing.assert_allclose(splat(features, depth, matrices.lift)[0], expected, atol=1e-9)
    np.testing.assert_array_equal(matrices.reached[0], reached)


def test_points_just_below_the_grid_count_to_its_first_cells() -> None:
    # One feature column, two depths: 3 m and 4 m ahead of a camera at the origin.
    grid = BevGrid(3.2, -0.5, 1.0, 4, 1)
    lift = PointLift(grid, -10.0, 20.0, 3.0, 1.0, 2, 16, 16, 8)
    camera = level_camera(16, 16, 1e6)
    entries = lift.build([camera]).lift
    # All four features at both depths: 3 m is 0.2 cells below the grid, 4 m is in cell 0 as well.
    assert entries.cell_offsets.tolist() == [0, 8, 8, 8, 8]
    nearer = lift.build([camera.with_pose(pose_from_yaw(-0.9, 0, 0, 0) @ camera.base_T_camera)])
    assert nearer.lift.cell_offsets.tolist() == [0, 4, 4, 4, 4]


def published_warp(
    features: Tensor, later_T_earlier: NDArray[np.float64], extent_m: float
) -> Tensor:
    """Returns a map [1, C, x, y] of the earlier frame as the published program warps it."""
    angle = math.atan2(later_T_earlier[1, 0], later_T_earlier[0, 0])
    x, y = later_T_earlier[:2, 3] / extent_m
    cos, sin = math.cos(angle), math.sin(angle)
    theta = torch.tensor([[[cos, -sin, y], [sin, cos, -x]]], dtype=features.dtype)
    places = affine_grid(theta, list(features.shape), align_corners=False)
    return grid_sample(features, places, mode='bilinear', align_corners=False)


POSES = [
    pose_from_yaw(5.0, -3.0, 0.0, 0.3),
    pose_from_yaw(7.1, -2.0, 0.0, 0.45),
    pose_from_yaw(9.3, -0.4, 0.0, 0.5),
    pose_from_yaw(9.9, 1.4, 0.0, 0.9),
]


def test_streaming_gives_the_published_stack_of_three_frames(small: PowerBev) -> None:
    frames = MemoryFrames('ring', 2, small.setup.grid(), max_gap_s=2.0)
    maps = [torch.randn(1, 64, 40, 40) for _ in POSES]
    state = None
    for n, (bev, pose) in enumerate(zip(maps, POSES, strict=True)):
        stacked, state = small.remember(bev, state, frames.step(n * HALF_SECOND_NS, pose))
        if n < 2:
            continue
        older_to_old = invert(POSES[n - 1]) @ POSES[n - 2]
        old_to_now = invert(pose) @ POSES[n - 1]
        published = [m.transpose(-1, -2) for m in maps[n - 2 : n + 1]]
        expected = [
            published_warp(published[0], older_to_old @ old_to_now, 10.0),
            published_warp(published[1], old_to_now, 10.0),
            published[2],
        ]
        found = stacked.transpose(-1, -2).unflatten(1, (3, 70))
        for k, part in enumerate(expected):
            torch.testing.assert_close(found[:, k, :64], part, atol=2e-3, rtol=0)
        for k, step in ((1, older_to_old), (2, old_to_now)):
            yaw = math.atan2(step[1, 0], step[0, 0])
            vector = [step[0, 3], step[1, 3], 0.0, 0.0, 0.0, yaw]
            np.testing.assert_allclose(found[0, k, 64:, 7, 9], vector, atol=1e-5)
        assert not found[0, 0, 64:].any()
        assert state.features.shape == (1, 2, 64, 40, 40)
        torch.testing.assert_close(state.features[:, 0], bev)


def test_what_stands_still_moves_back_by_the_way_driven(small: PowerBev) -> None:
    frames = MemoryFrames('ring', 2, small.setup.grid(), max_gap_s=2.0)
    bev = torch.zeros(1, 64, 40, 40)
    bev[0, 5, 24, 30] = 1.0  # y 2.25 m, x 5.25 m
    _, state = small.remember(bev, None, frames.step(0, pose_from_yaw(0, 0, 0, 0)))
    ahead = frames.step(HALF_SECOND_NS, pose_from_yaw(3.0, 0, 0, 0))
    stacked, _ = small.remember(torch.zeros_like(bev), state, ahead)
    # 3 m ahead are six cells: x 2.25 m. The frame before that is missing and counts as at rest.
    for k in (0, 1):
        assert stacked[0, 70 * k + 5].nonzero().tolist() == [[24, 24]]
    assert not stacked[0, 140 + 5].any()


def test_without_a_past_the_present_stands_in(small: PowerBev) -> None:
    bev = torch.randn(2, 64, 40, 40)
    stacked, state = small.remember(bev, None, None)
    for k in range(3):
        torch.testing.assert_close(stacked[:, 70 * k : 70 * k + 64], bev)
        assert not stacked[:, 70 * k + 64 : 70 * k + 70].any()
    assert state.known[:, 0].all() and not state.known[:, 1].any()


def test_of_faster_frames_those_half_a_second_apart_are_taken() -> None:
    motion = MemoryMotion.none(1, 10)
    gaps = torch.arange(1, 11)[None] * 0.1
    ten_hz = replace(motion, gap_s=gaps, keep=torch.ones(1, 10, dtype=torch.bool))
    assert past_frames(ten_hz).slot.tolist() == [[9, 4]]
    keep = ten_hz.keep.clone()
    keep[:, 5:] = False
    assert past_frames(replace(ten_hz, keep=keep)).slot.tolist() == [[4, 4]]


def with_predictor(model: PowerBev, logits: Tensor, flow: Tensor):
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return logits, flow

    own = model.stconv
    model.stconv = Fixed()  # type: ignore[assignment]
    try:
        return model.decode(torch.zeros(1, 210, 40, 40), model.heads)
    finally:
        model.stconv = own


def test_outputs_in_metres_and_in_the_base_frame(small: PowerBev) -> None:
    logits = torch.zeros(1, 6, 2, 40, 40)  # [.., class, x, y] as published
    logits[0, 1, 1, 30, 12] = 3.0
    logits[0, 1, 0, 30, 12] = 1.0
    logits[0, 3, 1, 2, 39] = 7.0
    flow = torch.zeros(1, 6, 2, 40, 40)
    flow[0, 3, 0] = 2.0  # along y
    flow[0, 3, 1] = -3.0  # along x
    outputs = with_predictor(small, logits, flow)
    assert outputs.motion_logits.shape == (1, 5, 40, 40)
    assert outputs.motion_flow.shape == (1, 5, 2, 40, 40)
    # The published step 1 is the present.
    assert outputs.motion_logits.nonzero().tolist() == [[0, 0, 12, 30], [0, 2, 39, 2]]
    assert outputs.motion_logits[0, 0, 12, 30] == 2.0
    assert outputs.occupancy_logits[0, 0, 12, 30] == 2.0
    assert outputs.motion_flow[0, 2, :, 5, 5].tolist() == [-1.5, 1.0]
    assert not outputs.motion_flow[0, [0, 1, 3, 4]].any()


GRID = BevGrid(-50.0, -50.0, 0.5, 200, 200)


def moving_blocks() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns logits [4, Y, X] and flow of two blocks that move by 4 cells along +x and -y."""
    logits = np.full((4, 200, 200), -5.0, np.float32)
    flow_m = np.zeros((4, 2, 200, 200), np.float32)
    for x, y, dx, dy in ((150, 40, 4, 0), (60, 120, 0, -4)):
        for t in range(4):  # t = 0 is one step before the present
            cx, cy = x + dx * (t - 1), y + dy * (t - 1)
            before_x, before_y = cx - dx, cy - dy
            for iy in range(cy - 2, cy + 3):
                for ix in range(cx - 4, cx + 5):
                    logits[t, iy, ix] = 4.0 - 0.1 * (abs(ix - cx) + abs(iy - cy))
                    flow_m[t, :, iy, ix] = (before_x - ix) * 0.5, (before_y - iy) * 0.5
    return logits, flow_m


def test_instances_keep_their_labels() -> None:
    labels = decode_power_bev(*moving_blocks(), GRID)
    assert labels.shape == (3, 200, 200) and labels.dtype == np.int32
    for t in range(3):
        # Numbered by x: the block at ix 60 first.
        expected = np.zeros((200, 200), np.int32)
        expected[120 - 4 * t - 2 : 120 - 4 * t + 3, 56:65] = 1
        expected[38:43, 146 + 4 * t : 155 + 4 * t] = 2
        np.testing.assert_array_equal(labels[t], expected)


def test_labels_without_cells_leave_no_gap() -> None:
    logits, flow_m = moving_blocks()
    # A third peak one step before the present, to which nothing points.
    logits[0, 100, 20] = 1.0
    labels = decode_power_bev(logits, flow_m, GRID)
    assert np.unique(labels[0]).tolist() == [0, 1, 2]


def test_flow_out_of_the_grid_or_to_background_ends_an_instance() -> None:
    logits, flow_m = moving_blocks()
    flow_m[2, 0, 120 - 4, 60] = 100.0
    flow_m[2, 1, 120 - 4, 61] = 30.0
    labels = decode_power_bev(logits, flow_m, GRID)
    assert labels[1, 116, 60] == 0 and labels[1, 116, 61] == 0 and labels[1, 116, 62] == 1


def test_centres_are_the_highest_within_the_kernel() -> None:
    probability = np.zeros((20, 30), np.float32)
    for iy, ix, value in ((5, 5, 0.9), (5, 8, 0.8), (5, 12, 0.7), (15, 2, 0.11), (15, 20, 0.1)):
        probability[iy, ix] = value
    # (5, 8) is within 3 cells of a higher one; 0.1 is not above the threshold.
    assert find_centers(probability, 7).tolist() == [[2, 15], [5, 5], [12, 5]]
    assert find_centers(probability, 5).tolist() == [[2, 15], [5, 5], [8, 5], [12, 5]]
    assert len(find_centers(np.full((20, 30), 0.5, np.float32), 7)) == 100


def test_nothing_there_gives_no_instance() -> None:
    labels = decode_power_bev(
        np.full((3, 40, 40), -9.0, np.float32), np.zeros((3, 2, 40, 40), np.float32),
        BevGrid(-10.0, -10.0, 0.5, 40, 40),
    )  # fmt: skip
    assert not labels.any()


def test_stages_one_after_the_other(small: PowerBev) -> None:
    cameras = [level_camera(64, 32, 30.0, yaw_deg=yaw) for yaw in (0.0, 120.0, -120.0)]
    single = small.build(cameras)
    matrices = SplatMatrices.collate([single, single])
    images = torch.randint(0, 256, (2, 3, 3, 32, 64)).float()
    mask = torch.tensor([[True, True, False], [True, True, True]])
    images[0, 2] = torch.nan
    with torch.inference_mode():
        features = small.encode(images, mask)
        assert features.context.shape == (2, 3, 64, 4, 8)
        assert features.depth is not None and features.depth.shape == (2, 3, 48, 4, 8)
        torch.testing.assert_close(features.depth[1].sum(dim=1), torch.ones(3, 4, 8))
        assert not features.depth[0, 2].any()
        raw = small.lift(features, mask, matrices)
        bev, _ = small.remember(raw, None, None)
        outputs = small.decode(bev, {'motion'})
        alone = small.lift(small.encode(images[1:], mask[1:]), mask[1:], single)
    assert raw.shape == (2, 64, 40, 40) and bev.shape == (2, 210, 40, 40)
    torch.testing.assert_close(raw[1:], alone, atol=1e-5, rtol=1e-4)
    assert outputs.motion_logits is not None and outputs.motion_flow is not None
    assert outputs.motion_logits.shape == (2, 5, 40, 40)
    assert outputs.motion_flow.isfinite().all() and outputs.occupancy_logits is None


def test_what_does_not_fit_is_told(small: PowerBev) -> None:
    with pytest.raises(ConfigError, match='image_width must be a multiple of 16, got 100'):
        PowerBevSetup(image_width=100)
    with pytest.raises(ConfigError, match='at least 2 memory slots, got 1'):
        PowerBev(small.setup, slots=1)
    with pytest.raises(ConfigError, match='expected 64 x 32'):
        small.build([level_camera(32, 32, 30.0)])
    with pytest.raises(ConfigError, match="no head 'objects'"):
        small.decode(torch.zeros(1, 210, 40, 40), {'objects'})
