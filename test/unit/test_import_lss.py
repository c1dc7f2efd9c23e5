"""Lift-Splat-Shoot: import of its published weights, and what makes it differ from ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.level_camera import level_camera
from support.published_lss import published_shapes, published_state
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.importers.checkpoint import read_checkpoint
from bev_perception.importers.lift_splat_shoot import import_lift_splat_shoot
from bev_perception.importers.report import match_weights
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.published.lift_splat_shoot import LiftSplatShoot, LiftSplatShootSetup
from bev_perception.model.published.lift_splat_shoot_layers import BevEncoder
from bev_perception.model.published.point_lift import SplatMatrices

SMALL = LiftSplatShootSetup(
    x_m=(-4.0, 12.0), y_m=(-4.0, 4.0), image_height=64, image_width=96, image_scale=0.5
)
SCALE, CROP_X, CROP_Y = 0.5, 3.0, 10.0


@pytest.fixture(scope='module')
def published() -> dict[str, Tensor]:
    return published_state()


def original_cameras(count: int, seed: int = 0) -> list[Camera]:
    """Returns cameras of 240 x 160 pixels around the vehicle, tilted at random."""
    rng = np.random.default_rng(seed)
    return [
        level_camera(
            240,
            160,
            focal=rng.uniform(100, 160),
            yaw_deg=360.0 * index / count + rng.uniform(-20, 20),
            pitch_deg=rng.uniform(-10, 10),
        )
        for index in range(count)
    ]


def input_camera(camera: Camera) -> Camera:
    """Returns the camera of the small model's input: resized, then cropped."""
    return camera.scaled_cropped(SCALE, SCALE, CROP_X, CROP_Y, 96, 64)


def collated(model: LiftSplatShoot, rigs: list[list[Camera | None]]) -> SplatMatrices:
    return SplatMatrices.collate([model.build(rig) for rig in rigs])


# --- weights


def test_all_published_weights_find_their_place(published: dict[str, Tensor]) -> None:
    state, report = import_lift_splat_shoot(published)
    model = LiftSplatShoot()
    model.load_state_dict(state)
    weights = [name for name in model.state_dict() if not name.endswith('num_batches_tracked')]
    assert set(report.matched) == set(weights)
    assert not (report.missing or report.unexpected or report.wrong_shape)
    counters = [name for name in published if name.endswith('num_batches_tracked')]
    head = [name for name in published if name.startswith('camencode.trunk._conv_head.')]
    head += [name for name in published if name.startswith('camencode.trunk._bn1.')]
    head += [name for name in published if name.startswith('camencode.trunk._fc.')]
    assert set(report.ignored) == {*counters, *head, 'dx', 'bx', 'nx', 'frustum'}
    parameters = sum(p.numel() for p in model.parameters())
    left = sum(published[n].numel() for n in head if n.endswith(('weight', 'bias')))
    shapes = published_shapes()
    whole = sum(published[name].numel() for name in shapes if name.endswith(('.weight', '.bias')))
    assert parameters == whole - left


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        ('camencode.trunk._conv_stem.weight', 'trunk.conv_stem.weight'),
        ('camencode.trunk._bn0.running_mean', 'trunk.bn1.running_mean'),
        ('camencode.trunk._blocks.0._depthwise_conv.weight', 'trunk.blocks.0.0.conv_dw.weight'),
        ('camencode.trunk._blocks.0._project_conv.weight', 'trunk.blocks.0.0.conv_pw.weight'),
        ('camencode.trunk._blocks.0._bn2.bias', 'trunk.blocks.0.0.bn2.bias'),
        # One block in the first stage, two in the second: 3 is the first of the third.
        ('camencode.trunk._blocks.3._expand_conv.weight', 'trunk.blocks.2.0.conv_pw.weight'),
        ('camencode.trunk._blocks.3._bn0.weight', 'trunk.blocks.2.0.bn1.weight'),
        ('camencode.trunk._blocks.10._bn1.weight', 'trunk.blocks.4.2.bn2.weight'),
        ('camencode.trunk._blocks.10._se_reduce.bias', 'trunk.blocks.4.2.se.conv_reduce.bias'),
        ('camencode.trunk._blocks.15._bn2.running_var', 'trunk.blocks.6.0.bn3.running_var'),
        ('camencode.up1.conv.3.weight', 'up1.conv.3.weight'),
        ('camencode.depthnet.bias', 'depthnet.bias'),
    ],
)
def test_values_of_the_image_encoder_arrive_unchanged(
    published: dict[str, Tensor], theirs: str, ours: str
) -> None:
    state, _ = import_lift_splat_shoot(published)
    assert torch.equal(state[f'camera_encoder.{ours}'], published[theirs])


def test_bev_encoder_gives_the_published_maps_transposed(published: dict[str, Tensor]) -> None:
    state, _ = import_lift_splat_shoot(published)
    as_published, imported = BevEncoder(64, 1).eval(), BevEncoder(64, 1).eval()
    prefix = 'bevencode.'
    as_published.load_state_dict(
        {n.removeprefix(prefix): t for n, t in published.items() if n.startswith(prefix)}
    )
    prefix = 'bev_encoder.'
    imported.load_state_dict(
        {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    )
    bev_xy = torch.randn(2, 64, 24, 16, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = as_published(bev_xy)
        found = imported(bev_xy.transpose(2, 3))
    scale = float(expected.std())
    assert scale > 0.0
    torch.testing.assert_close(found, expected.transpose(2, 3), rtol=0, atol=1e-4 * scale)
    assert not torch.allclose(as_published(bev_xy.mT), expected.mT, rtol=0, atol=0.1 * scale)


def test_half_precision_weights_become_float32(published: dict[str, Tensor]) -> None:
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in published.items()
    }
    state, _ = import_lift_splat_shoot(halves)
    assert state['camera_encoder.depthnet.weight'].dtype == torch.float32


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.pop(name)


def with_value(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            without('bevencode.up2.4.bias'),
            r'Lift-Splat-Shoot: the weights do not fit; 1 missing: bev_encoder\.up2\.4\.bias$',
        ),
        (
            without('camencode.trunk._blocks.7._bn1.running_var'),
            r'1 missing: camera_encoder\.trunk\.blocks\.3\.2\.bn2\.running_var$',
        ),
        (
            with_value('bevencode.up2.4.weight', torch.zeros(4, 128, 1, 1)),
            r'1 of the wrong shape: bev_encoder\.up2\.4\.weight is \[4, 128, 1, 1\], '
            r'expected \[1, 128, 1, 1\]$',
        ),
        (
            with_value('dx', torch.tensor([0.25, 0.25, 20.0])),
            r'another grid; dx is \[0\.25, 0\.25, 20\.0\], expected \[0\.5, 0\.5, 20\.0\]$',
        ),
        (with_value('bx', torch.tensor([-49.75, -49.75, 1.0])), 'another grid; bx is'),
        (with_value('nx', torch.tensor([200, 200])), r'another grid; nx is \[200, 200\]'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    published: dict[str, Tensor],
    change: Callable[[dict[str, Tensor]], object],
    message: str,
) -> None:
    state = dict(published)
    change(state)
    with pytest.raises(ConfigError, match=message) as caught:
        import_lift_splat_shoot(state)
    assert '\n' not in str(caught.value)


def test_weights_of_something_else_are_refused_with_a_few_names() -> None:
    with pytest.raises(ConfigError, match=r'408 missing: .* and 405 more; 1 unexpected: fc'):
        import_lift_splat_shoot({'fc': torch.zeros(1)})


def test_own_buffers_and_unknown_weights_do_not_matter(published: dict[str, Tensor]) -> None:
    needed = {n: t for n, t in published.items() if n not in ('dx', 'bx', 'nx', 'frustum')}
    _, report = import_lift_splat_shoot({**needed, 'teacher.weight': torch.zeros(3)})
    assert report.complete
    assert report.unexpected == ('teacher.weight',)
    lines = report.table().splitlines()
    assert lines[0] == 'weights of Lift-Splat-Shoot'
    assert [line.split()[-1] for line in lines if 'unexpected' in line] == ['teacher.weight']
    assert any(line.split()[:2] == ['matched', '408'] for line in lines)


def test_two_weights_of_one_name_are_refused() -> None:
    state = {'a.w': torch.zeros(1), 'b.w': torch.zeros(1)}
    with pytest.raises(ConfigError, match=r"both 'a\.w' and 'b\.w' are 'w'"):
        match_weights(state, {'w': torch.zeros(1)}, lambda name: name[2:], 'test')


# --- checkpoints


@pytest.mark.parametrize(
    'wrap',
    [
        lambda state: state,
        lambda state: {'state_dict': state, 'epoch': 3, 'lr': [0.1]},
        lambda state: {'model': {f'module.{name}': value for name, value in state.items()}},
    ],
)
def test_checkpoints_are_found_where_trainers_put_them(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object]
) -> None:
    state = {'a.weight': torch.randn(2, 3), 'a.num_batches_tracked': torch.tensor(4)}
    torch.save(wrap(state), tmp_path / 'model.pt')
    found = read_checkpoint(tmp_path / 'model.pt')
    assert list(found) == list(state)
    assert all(torch.equal(found[name], state[name]) for name in state)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({'state_dict': {}, 'x': Trap(tmp_path / 'ran')}, tmp_path / 'model.pt')
    with pytest.raises(ConfigError, match='would run code of its own'):
        read_checkpoint(tmp_path / 'model.pt')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [(None, 'no such checkpoint'), (b'', 'no readable|no checkpoint'), (b'PK\x03\x04', 'no re')],
)
def test_unreadable_checkpoints_are_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / 'model.pt'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_checkpoint_without_weights_is_named(tmp_path: Path) -> None:
    torch.save({'state_dict': {}, 'epoch': 3}, tmp_path / 'model.pt')
    with pytest.raises(ConfigError, match='holds no state dict'):
        read_checkpoint(tmp_path / 'model.pt')


# --- the model


def lift_by_hand(
    camera: Camera, context: Tensor, depth: Tensor, setup: LiftSplatShootSetup
) -> tuple[Tensor, int]:
    """Returns [C, Y, X] of one camera in float64, and how many points lay below the grid's ends.

    Published: features at evenly spaced pixels from the first to the last, the pixel over the
    scale of the resize belongs to the original `camera`, and cells cut towards zero.
    """
    grid = setup.grid()
    bev = torch.zeros(context.shape[0], *grid.shape, dtype=torch.float64)
    below = 0
    _, rows, columns = context.shape
    inverse = np.linalg.inv(camera.K)
    for v, u, d in np.ndindex(rows, columns, setup.depths):
        pixel = np.array(
            [
                (u * (setup.image_width - 1) / (columns - 1) + CROP_X) / SCALE,
                (v * (setup.image_height - 1) / (rows - 1) + CROP_Y) / SCALE,
                1.0,
            ]
        )
        depth_m = setup.first_depth_m + d * setup.depth_step_m
        point = camera.base_T_camera @ np.append(inverse @ pixel * depth_m, 1.0)
        x = (point[0] - setup.x_m[0]) / setup.resolution_m
        y = (point[1] - setup.y_m[0]) / setup.resolution_m
        z = (point[2] - setup.z_m[0]) / (setup.z_m[1] - setup.z_m[0])
        if -1 < x < grid.size_x and -1 < y < grid.size_y and -1 < z < 1:
            below += min(x, y, z) < 0
            bev[:, int(y), int(x)] += (depth[d, v, u] * context[:, v, u]).double()
    return bev, below


def test_lift_equals_the_published_rules_point_by_point() -> None:
    model = LiftSplatShoot(SMALL).eval()
    originals = original_cameras(3)
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(1, 3, 64, 4, 6, generator=generator)
    depth = torch.rand(1, 3, 41, 4, 6, generator=generator)
    matrices = model.build([input_camera(camera) for camera in originals])
    mask = torch.ones(1, 3, dtype=torch.bool)
    found = model.lift(ImageFeatures(context, depth), mask, matrices)
    parts = [lift_by_hand(c, context[0, n], depth[0, n], SMALL) for n, c in enumerate(originals)]
    expected = torch.stack([bev for bev, _ in parts]).sum(dim=0)
    assert sum(below for _, below in parts) > 20
    assert int((expected != 0).any(dim=0).sum()) > 100
    torch.testing.assert_close(found[0].double(), expected, rtol=0, atol=1e-4)
    for n, (bev, _) in enumerate(parts):
        assert torch.equal(matrices.reached[0, n], (bev != 0).any(dim=0))


def test_published_sizes() -> None:
    setup = LiftSplatShootSetup()
    grid = setup.grid()
    assert (grid.size_x, grid.size_y, grid.x_min_m, grid.y_min_m) == (200, 200, -50.0, -50.0)
    geometry = setup.geometry()
    assert geometry.feature_shape == (8, 22)
    assert (geometry.depths_m()[[0, -1]] == [4.0, 44.0]).all()
    assert (geometry.floor_m, geometry.height_m) == (-10.0, 20.0)
    first, last = geometry.image_pixels()[0, 0], geometry.image_pixels()[-1, -1]
    assert (first.tolist(), last.tolist()) == ([0.0, 0.0], [351.0, 127.0])


def test_stages_and_masked_cameras() -> None:
    torch.manual_seed(0)
    model = LiftSplatShoot(SMALL).eval()
    cameras: list[Camera | None] = [input_camera(camera) for camera in original_cameras(3)]
    images = torch.randint(0, 256, (2, 3, 3, 64, 96)).float()
    mask = torch.tensor([[True, False, True], [True, True, True]])
    images[0, 1] = torch.nan
    absent: list[Camera | None] = [cameras[0], None, cameras[2]]
    with torch.inference_mode():
        features = model.encode(images, mask)
        assert features.depth is not None
        bev = model.lift(features, mask, collated(model, [cameras, cameras]))
        fused, state = model.remember(bev, None, None)
        outputs = model.decode(fused, model.heads)
        other = model.lift(features, torch.ones_like(mask), collated(model, [absent, cameras]))
        depth = features.depth.clone()
        context = features.context.clone()
        depth[0, 1] = context[0, 1] = torch.nan
        masked = model.lift(
            ImageFeatures(context, depth), mask, collated(model, [cameras, cameras])
        )
    assert features.context.shape == (2, 3, 64, 4, 6)
    torch.testing.assert_close(features.depth.sum(dim=2)[mask], torch.ones(5, 4, 6))
    assert not features.context[0, 1].any()
    assert state is None
    assert outputs.occupancy_logits is not None
    assert outputs.occupancy_logits.shape == (2, 1, 16, 32)
    assert outputs.semantic_logits is outputs.occupancy_logits
    assert outputs.occupancy_logits.isfinite().all()
    torch.testing.assert_close(bev, other)
    torch.testing.assert_close(bev, masked)


def test_normalisation_is_that_of_imagenet_on_plain_rgb() -> None:
    pixels = torch.tensor([0.485, 0.456, 0.406]).mul(255.0).view(1, 3, 1, 1)
    model = LiftSplatShoot(SMALL)
    torch.testing.assert_close(model.normalise(pixels), torch.zeros(1, 3, 1, 1))
    one_more = pixels + 255.0 * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.testing.assert_close(model.normalise(one_more), torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'image_height': 100}, 'image_height must be a multiple of 32, got 100'),
        ({'y_m': (-5.0, 5.0)}, 'cells along y must be a multiple of 8, got 20'),
        ({'z_m': (1.0, -1.0)}, 'z_m must rise'),
        ({'depths': 0}, 'depths and scale must be > 0'),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LiftSplatShootSetup(**change)  # type: ignore[arg-type]


def test_heads_radar_and_image_sizes_it_does_not_have_are_refused() -> None:
    model = LiftSplatShoot(SMALL)
    mask = torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(ConfigError, match="no head 'motion'"):
        model.decode(torch.zeros(1, 64, 16, 32), {'motion'})
    with pytest.raises(ConfigError, match=r'must be \[B, N, 3, 64, 96\]'):
        model.encode(torch.zeros(1, 1, 3, 64, 64), mask)
    features = ImageFeatures(torch.zeros(1, 1, 64, 4, 6), torch.zeros(1, 1, 41, 4, 6))
    with pytest.raises(ConfigError, match='no radar'):
        model.lift(features, mask, model.build([None]), torch.zeros(1, 1, 16, 32))
    assert model.decode(torch.zeros(1, 64, 16, 32), ()).occupancy_logits is None
