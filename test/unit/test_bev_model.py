"""The whole network: any rig, masks that cost nothing, layouts that mean what they say."""

from __future__ import annotations

import dataclasses
import math
from typing import cast

import numpy as np
import pytest
import torch
from support.nano import nano_description
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import make_pose
from bev_perception.model.bev_encoder import BevEncoder
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.memory import MemoryMotion
from bev_perception.model.normalise import Normalise
from bev_perception.model.outputs import HEADS, ModelOutputs
from bev_perception.model.parts import create_view_transform
from bev_perception.model.view_transform import RigMatrices

OCCUPANCY = {'occupancy_logits', 'semantic_logits'}
MOTION = {'motion_logits', 'motion_flow'}


def small_config(
    *,
    size: tuple[int, int] = (96, 64),
    x_m: tuple[float, float] = (-8.0, 12.0),
    y_m: tuple[float, float] = (-7.0, 8.0),
    resolution_m: float = 1.0,
    objects: int = 3,
    semantics: int = 2,
    steps: int = 2,
) -> ModelConfig:
    """A narrow network with a grid that is neither square nor centred."""
    data = nano_description()
    data['input'].update(width=size[0], height=size[1])
    data['grid'].update(x_m=x_m, y_m=y_m, resolution_m=resolution_m)
    data['neck']['channels'] = 16
    data['depth'].update(min_m=1.0, max_m=15.0, bins=14)
    data['view_transform']['channels'] = 8
    data['memory']['channels'] = 8
    data['heads']['trajectories'].update(channels=8, steps=steps)
    data['bev_encoder'].update(widths=[8, 12], channels=8)
    heads = data['heads']
    for head in ('occupancy', 'objects', 'motion'):
        heads[head].update(channels=8, grid=None)
    heads['objects']['classes'] = [f'object_{index}' for index in range(objects)]
    heads['semantics']['classes'] = [f'layer_{index}' for index in range(semantics)]
    heads['motion']['steps'] = steps
    return ModelConfig.model_validate(data)


def ring(config: ModelConfig, count: int, seed: int = 0) -> list[Camera]:
    """Model input cameras around the vehicle, each with its own focal length and pose."""
    rng = np.random.default_rng(seed)
    width, height = config.input.width, config.input.height
    cameras = []
    for index in range(count):
        focal = width * rng.uniform(0.5, 0.9)
        K = np.array([[focal, 0, width / 2 - 0.5], [0, focal, height / 2 - 0.5], [0, 0, 1.0]])
        yaw = 2 * math.pi * index / count + rng.uniform(-0.2, 0.2)
        # Optical axes in base: z forward, x right, y down, then turned by yaw about base z.
        half = np.array([-0.5, 0.5, -0.5, 0.5])
        turn = np.array([0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)])
        position = [1.5 * math.cos(yaw), 1.5 * math.sin(yaw), rng.uniform(1.2, 1.8)]
        pose = make_pose(position, quaternion_product(turn, half))
        camera = Camera(f'c{index}', f'c{index}', width, height, K, Distortion('none', ()), pose)
        cameras.append(camera)
    return cameras


def quaternion_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns a * b, components x, y, z, w."""
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])


def build_lift(config: ModelConfig, rigs: list[list[Camera]]) -> RigMatrices:
    transform = create_view_transform(config)
    matrices = [transform.build(rig) for rig in rigs]
    return type(matrices[0]).collate(matrices)


def random_images(config: ModelConfig, batch: int, cameras: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, cameras, config.input.height, config.input.width, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return pixels.permute(0, 1, 4, 2, 3)


def fresh_model(config: ModelConfig, seed: int = 0) -> BevModel:
    torch.manual_seed(seed)
    return BevModel(config).eval()


ALL_OUTPUTS = [
    item.name
    for item in dataclasses.fields(ModelOutputs)
    if not item.name.startswith('trajectory')  # of objects: see `forecast`
]


def present(outputs: ModelOutputs) -> dict[str, Tensor]:
    """The outputs that are not None, by name."""
    found = {name: getattr(outputs, name) for name in ALL_OUTPUTS}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor], tolerance: float) -> None:
    assert list(a) == list(b) == ALL_OUTPUTS
    for name, expected in b.items():
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(a[name], expected, rtol=0, atol=tolerance * scale, msg=name)


@torch.inference_mode()
def run(model: BevModel, images: Tensor, mask: Tensor, lift: RigMatrices) -> dict[str, Tensor]:
    """All outputs by name."""
    return present(model(images, mask, lift))


@pytest.mark.parametrize('case', range(10))
def test_any_number_of_cameras_any_size_any_grid(case: int) -> None:
    rng = np.random.default_rng(case)
    cameras, batch = int(rng.integers(1, 9)), int(rng.integers(1, 3))
    config = small_config(
        size=(16 * int(rng.integers(2, 9)), 16 * int(rng.integers(1, 7))),
        x_m=(-float(rng.integers(1, 12)), float(rng.integers(1, 30))),
        y_m=(-float(rng.integers(1, 20)), float(rng.integers(1, 9))),
        resolution_m=float(rng.choice([0.5, 1.0])),
        objects=int(rng.integers(1, 5)),
        semantics=int(rng.integers(1, 5)),
        steps=int(rng.integers(1, 6)),
    )
    model = fresh_model(config)
    mask = torch.from_numpy(rng.random((batch, cameras)) < 0.7)
    lift = build_lift(config, [ring(config, cameras, seed) for seed in range(batch)])
    outputs = run(model, random_images(config, batch, cameras), mask, lift)
    grid, heads = config.bev_grid().shape, config.heads
    assert heads.motion and heads.semantics and heads.objects
    frames = heads.motion.steps + 1
    shapes = {
        'occupancy_logits': (1,),
        'semantic_logits': (len(heads.semantics.classes),),
        'heatmap_logits': (len(heads.objects.classes),),
        'center_offset': (2,),
        'center_z': (1,),
        'log_size': (3,),
        'yaw_sin_cos': (2,),
        'velocity': (2,),
        'existence_logits': (1,),
        'motion_logits': (frames,),
        'motion_flow': (frames, 2),
    }
    assert set(outputs) == set(shapes)
    for name, tensor in outputs.items():
        assert tuple(tensor.shape) == (batch, *shapes[name], *grid), name
        assert bool(torch.isfinite(tensor).all()), name


def test_order_of_cameras_does_not_matter() -> None:
    config = small_config()
    model = fresh_model(config)
    rig = ring(config, 5)
    images = random_images(config, 1, 5)
    mask = torch.tensor([[True, True, False, True, True]])
    order = [3, 0, 4, 2, 1]
    expected = run(model, images, mask, build_lift(config, [rig]))
    shuffled = build_lift(config, [[rig[index] for index in order]])
    found = run(model, images[:, order], mask[:, order], shuffled)
    assert_same(found, expected, 1e-5)
    # The order does matter when the calibration does not follow the images.
    wrong = run(model, images[:, order], mask[:, order], build_lift(config, [rig]))
    assert not torch.allclose(wrong['occupancy_logits'], expected['occupancy_logits'], atol=1e-3)


@pytest.mark.parametrize('garbage', [math.nan, math.inf, -1e30])
def test_masked_camera_contributes_exactly_nothing(garbage: float) -> None:
    config = small_config()
    model = fresh_model(config)
    rig = ring(config, 4)
    lift = build_lift(config, [rig])
    images = random_images(config, 1, 4).float()
    spoilt = images.clone()
    spoilt[:, 2] = garbage
    mask = torch.tensor([[True, True, False, True]])
    clean = run(model, images, mask, lift)
    assert_same(run(model, spoilt, mask, lift), clean, 0.0)
    without = [0, 1, 3]
    three = build_lift(config, [[rig[index] for index in without]])
    assert_same(clean, run(model, images[:, without], mask[:, without], three), 1e-5)
    # The camera does contribute when it is not masked.
    whole = run(model, images, torch.ones_like(mask), lift)
    assert not torch.allclose(whole['occupancy_logits'], clean['occupancy_logits'], atol=1e-3)


def test_no_camera_at_all_gives_zero_features_and_the_priors() -> None:
    config = small_config()
    model = fresh_model(config)
    images = torch.full((1, 3, 3, config.input.height, config.input.width), math.nan)
    mask = torch.zeros(1, 3, dtype=torch.bool)
    lift = build_lift(config, [ring(config, 3)])
    features = model.encode(images, mask)
    context, depth = features.context, features.depth
    assert depth is not None
    assert context.shape[1:3] == (3, config.view_transform.channels)
    assert not context.any() and not depth.any()
    assert not model.lift(features, mask, lift).any()
    outputs = run(model, images, mask, lift)
    # A fresh network maps zero to its output biases: the priors, each in its own channel.
    for name in (
        'occupancy_logits', 'semantic_logits', 'heatmap_logits', 'existence_logits',
        'motion_logits',
    ):  # fmt: skip
        probability = torch.sigmoid(outputs[name])
        torch.testing.assert_close(probability, torch.full_like(probability, 0.1))
    size = torch.exp(outputs['log_size'])[0, :, 3, 4]
    torch.testing.assert_close(size, torch.tensor([4.0, 1.8, 1.6]))
    height = outputs['center_z']
    torch.testing.assert_close(height, torch.full_like(height, 0.8))
    for name in ('center_offset', 'yaw_sin_cos', 'velocity', 'motion_flow'):
        assert not outputs[name].any(), name


def test_batch_equals_its_samples() -> None:
    config = small_config()
    model = fresh_model(config)
    rigs = [ring(config, 3, seed=1), ring(config, 3, seed=2), ring(config, 3, seed=3)]
    images = random_images(config, 3, 3)
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    together = run(model, images, mask, build_lift(config, rigs))
    for index, rig in enumerate(rigs):
        one = slice(index, index + 1)
        alone = run(model, images[one], mask[one], build_lift(config, [rig]))
        assert_same({name: value[one] for name, value in together.items()}, alone, 1e-5)


def test_evaluation_is_deterministic() -> None:
    config = small_config()
    lift = build_lift(config, [ring(config, 4)])
    images, mask = random_images(config, 1, 4), torch.ones(1, 4, dtype=torch.bool)
    first, second = fresh_model(config, seed=7), fresh_model(config, seed=7)
    results = [run(model, images, mask, lift) for model in (first, first, second)]
    assert_same(results[1], results[0], 0.0)
    assert_same(results[2], results[0], 0.0)


@pytest.mark.parametrize('training', [True, False])
def test_gradient_reaches_every_parameter(training: bool) -> None:
    config = small_config()
    model = fresh_model(config).train(training)
    for parameter in model.parameters():
        if not bool(parameter.any()):  # nothing behind a layer of zeros has a gradient yet
            torch.nn.init.normal_(parameter, std=0.01)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    lift = build_lift(config, [ring(config, 3, seed) for seed in range(2)])
    # Two frames, so that the memory has something to remember; paths for two objects.
    images = random_images(config, 2, 3)
    bev = model.lift(model.encode(images, mask), mask, lift)
    motion = MemoryMotion.none(2, 1)
    _, state = model.remember(bev, None, motion)
    motion = dataclasses.replace(motion, keep=torch.ones(2, 1, dtype=torch.bool))
    bev, state = model.remember(0.5 * bev, state, motion)
    encoded = model.bev_encoder(bev)
    outputs = present(model.decode(encoded, HEADS - {'trajectories'}))
    outputs['logits'], outputs['offsets'] = model.forecast(
        encoded, torch.rand(2, 2, 4), torch.rand(2, 2, 2)
    )
    assert state is not None
    outputs['state'] = state.features
    generator = torch.Generator().manual_seed(0)
    loss = torch.zeros(())
    for tensor in outputs.values():
        loss = loss + (tensor * torch.randn(tensor.shape, generator=generator)).sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool(parameter.grad.any()), name


@pytest.mark.parametrize(
    ('heads', 'expected'),
    [
        ({'occupancy'}, OCCUPANCY),
        ({'motion'}, MOTION),
        ({'objects', 'motion'}, set(ALL_OUTPUTS) - OCCUPANCY),
        (set(), set()),
    ],
)
def test_heads_that_are_not_asked_for_are_not_computed(
    heads: set[str], expected: set[str]
) -> None:
    config = small_config()
    model = fresh_model(config)
    modules = {
        'occupancy': model.heads.occupancy,
        'objects': model.heads.objects,
        'motion': model.heads.motion,
    }
    ran = []
    for name, module in modules.items():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    lift = build_lift(config, [ring(config, 2)])
    images, mask = random_images(config, 1, 2), torch.ones(1, 2, dtype=torch.bool)
    whole = run(model, images, mask, lift)
    assert set(ran) == HEADS - {'trajectories'}
    ran.clear()
    with torch.inference_mode():
        some = model(images, mask, lift, heads=frozenset(heads))
    assert set(ran) == heads
    assert set(present(some)) == expected
    for name, tensor in present(some).items():
        assert torch.equal(tensor, whole[name]), name


def test_channels_of_every_head_are_in_the_documented_order() -> None:
    config = small_config(objects=3, semantics=2, steps=2)
    model = fresh_model(config)
    for head in (model.heads.occupancy, model.heads.objects, model.heads.motion):
        out = cast('torch.nn.Conv2d', head.out)
        torch.nn.init.zeros_(out.weight)
        bias = out.bias
        assert bias is not None
        bias.data = torch.arange(float(len(bias)))
    bev = torch.randn(1, config.bev_encoder.channels, 4, 5)
    found = present(model.decode(bev, HEADS))
    outputs = {name: value[0, ..., 1, 2].tolist() for name, value in found.items()}
    assert outputs == {
        'occupancy_logits': [0],
        'semantic_logits': [1, 2],
        'heatmap_logits': [0, 1, 2],
        'center_offset': [3, 4],
        'center_z': [5],
        'log_size': [6, 7, 8],
        'yaw_sin_cos': [9, 10],
        'velocity': [11, 12],
        'existence_logits': [13],
        'motion_logits': [0, 1, 2],
        'motion_flow': [[3, 4], [5, 6], [7, 8]],
    }


@pytest.mark.parametrize(('size_y', 'size_x'), [(40, 56), (37, 51)])
def test_what_happens_in_a_cell_stays_around_it(size_y: int, size_x: int) -> None:
    config = small_config()
    model = fresh_model(config, seed=5)
    still = torch.zeros(1, config.view_transform.channels, size_y, size_x)
    touched = still.clone()
    iy, ix = 9, 40
    touched[0, :, iy, ix] = 3.0
    with torch.inference_mode():
        before, after = (model.decode(model.bev_encoder(bev), HEADS) for bev in (still, touched))
    for name, tensor in present(after).items():
        change = (tensor - getattr(before, name)).abs().flatten(0, -3).sum(0)
        peak = divmod(int(change.argmax()), size_x)
        assert abs(peak[0] - iy) <= 4 and abs(peak[1] - ix) <= 4, (name, peak)
        assert float(change[30:, :20].max()) < 0.05 * float(change.max()), name


def test_features_reach_the_view_transform_without_copies() -> None:
    config = small_config()
    model = fresh_model(config)
    images = random_images(config, 2, 3)
    for mask in (torch.ones(2, 3, dtype=torch.bool), torch.tensor([[True, False, True]] * 2)):
        features = model.encode(images, mask)
        for tensor in (features.context, features.depth):
            assert tensor is not None
            assert tensor.permute(0, 1, 3, 4, 2).is_contiguous()
    lift = build_lift(config, [ring(config, 3)] * 2)
    outputs = run(model, images, mask, lift)
    occupancy, semantics = outputs['occupancy_logits'], outputs['semantic_logits']
    assert occupancy.untyped_storage().data_ptr() == semantics.untyped_storage().data_ptr()
    assert occupancy.stride(1) == 1


def test_reduced_precision_with_a_masked_camera() -> None:
    config = small_config()
    model = fresh_model(config)
    lift = build_lift(config, [ring(config, 3)])
    images, mask = random_images(config, 1, 3), torch.tensor([[True, False, True]])
    exact = run(model, images, mask, lift)
    with torch.autocast('cpu', torch.bfloat16):
        rough = run(model, images, mask, lift)
    for name, tensor in rough.items():
        scale = max(1.0, float(exact[name].abs().max()))
        assert float((tensor.float() - exact[name]).abs().max()) < 0.1 * scale, name


def test_depth_is_a_distribution() -> None:
    config = small_config()
    depth = (
        fresh_model(config)
        .encode(random_images(config, 1, 2), torch.ones(1, 2, dtype=torch.bool))
        .depth
    )
    assert depth is not None
    assert bool((depth >= 0).all())
    torch.testing.assert_close(depth.sum(2), torch.ones_like(depth[:, :, 0]))


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_normalisation_by_hand(dtype: torch.dtype) -> None:
    normalise = Normalise((100.0, 50.0, 0.0), (10.0, 25.0, 2.0))
    image = torch.tensor([130, 0, 7], dtype=dtype).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    found = normalise(image)
    expected = torch.tensor([3.0, -2.0, 3.5]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_integer_and_float_images_are_the_same() -> None:
    config = small_config()
    model = fresh_model(config)
    lift = build_lift(config, [ring(config, 2)])
    images, mask = random_images(config, 1, 2), torch.ones(1, 2, dtype=torch.bool)
    assert_same(run(model, images, mask, lift), run(model, images.float(), mask, lift), 0.0)


def test_encoder_keeps_the_size_of_tiny_grids() -> None:
    encoder = BevEncoder(4, (4, 4), 6).eval()
    for size in ((1, 1), (2, 3), (5, 1)):
        assert encoder(torch.randn(1, 4, *size)).shape == (1, 6, *size)


def test_wrong_calls_are_refused_in_one_line() -> None:
    config = small_config()
    model = fresh_model(config)
    lift = build_lift(config, [ring(config, 2)])
    images, mask = random_images(config, 1, 2), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r'no head named boxes; choose from motion, objects'):
        model(images, mask, lift, heads={'boxes'})
    with pytest.raises(ConfigError, match=r'must be \[B, N, 3, 64, 96\].*got \[1, 2, 3, 64, 80\]'):
        model(images[..., :80], mask, lift)
