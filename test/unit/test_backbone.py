"""Backbones: published sizes, state-dict names, and the forward pass restated."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from bev_perception.errors import ConfigError
from bev_perception.model.backbone import create_backbone
from bev_perception.model.backbone.resnet import BasicBlock, Bottleneck, StridedPointwise

ALL_STRIDES = (4, 8, 16, 32)
# torchvision and timm, whole network with its 1000-way classifier.
PUBLISHED_PARAMETERS = {'resnet18': 11_689_512, 'resnet34': 21_797_672, 'resnet50': 25_557_032}
CLASSIFIER = {'resnet18': 513_000, 'resnet34': 513_000, 'resnet50': 2_049_000}
DEPTHS = {'resnet18': (2, 2, 2, 2), 'resnet34': (3, 4, 6, 3), 'resnet50': (3, 4, 6, 3)}


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Gives every parameter and statistic of a module its own random value."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.weight, 0.5, 1.5),
                (part.bias, -0.3, 0.3),
                (part.running_mean, -0.3, 0.3),
                (part.running_var, 0.5, 2.0),
            ):
                assert tensor is not None
                tensor.data.uniform_(low, high, generator=generator)
        elif isinstance(part, nn.Conv2d):
            fan_in = part.weight[0].numel()
            part.weight.data.normal_(0.0, fan_in**-0.5, generator=generator)


@pytest.mark.parametrize('name', PUBLISHED_PARAMETERS)
def test_parameter_count_is_the_published_one(name: str) -> None:
    backbone = create_backbone(name, strides=ALL_STRIDES)
    count = sum(parameter.numel() for parameter in backbone.parameters())
    assert count + CLASSIFIER[name] == PUBLISHED_PARAMETERS[name]


def expected_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """State dict of a torchvision/timm ResNet without `fc`, from its published layout."""
    bottleneck = name == 'resnet50'
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(conv: str, norm: str, out_channels: int, in_channels: int, size: int) -> None:
        shapes[f'{conv}.weight'] = (out_channels, in_channels, size, size)
        for field in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{norm}.{field}'] = (out_channels,)
        shapes[f'{norm}.num_batches_tracked'] = ()

    convolution('conv1', 'bn1', 64, 3, 7)
    channels = 64
    for stage, (depth, width) in enumerate(zip(DEPTHS[name], (64, 128, 256, 512), strict=True)):
        out = width * (4 if bottleneck else 1)
        for block in range(depth):
            at = f'layer{stage + 1}.{block}'
            if bottleneck:
                convolution(f'{at}.conv1', f'{at}.bn1', width, channels, 1)
                convolution(f'{at}.conv2', f'{at}.bn2', width, width, 3)
                convolution(f'{at}.conv3', f'{at}.bn3', out, width, 1)
            else:
                convolution(f'{at}.conv1', f'{at}.bn1', width, channels, 3)
                convolution(f'{at}.conv2', f'{at}.bn2', width, width, 3)
            if block == 0 and (channels != out or stage > 0):
                convolution(f'{at}.downsample.0', f'{at}.downsample.1', out, channels, 1)
            channels = out
    return shapes


@pytest.mark.parametrize('name', DEPTHS)
def test_state_dict_has_the_names_and_shapes_of_timm(name: str) -> None:
    state = create_backbone(name, strides=ALL_STRIDES).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == expected_shapes(name)


@pytest.mark.parametrize('name', DEPTHS)
def test_pruned_backbone_is_the_front_of_the_whole_one(name: str) -> None:
    whole = create_backbone(name, strides=ALL_STRIDES)
    pruned = create_backbone(name)
    assert not [key for key in pruned.state_dict() if key.startswith('layer4')]
    randomise(whole)
    pruned.load_state_dict({key: whole.state_dict()[key] for key in pruned.state_dict()})
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        all_maps = whole.eval()(images)
        fine, coarse = pruned.eval()(images)
    for stride, features, channels in zip(ALL_STRIDES, all_maps, whole.channels, strict=True):
        assert features.shape == (2, channels, 64 // stride, 96 // stride)
    torch.testing.assert_close(fine, all_maps[1])
    torch.testing.assert_close(coarse, all_maps[2])


def reference_forward(state: dict[str, Tensor], x: Tensor, name: str) -> dict[int, Tensor]:
    """ResNet in evaluation mode as a plain chain over a state dict (v1.5: stride in the 3x3)."""

    def conv_bn(x: Tensor, conv: str, norm: str, stride: int) -> Tensor:
        weight = state[f'{conv}.weight']
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, var = state[f'{norm}.running_mean'], state[f'{norm}.running_var']
        scale, shift = state[f'{norm}.weight'], state[f'{norm}.bias']
        return functional.batch_norm(x, mean, var, scale, shift, False, 0.0, 1e-5)

    x = functional.relu(conv_bn(x, 'conv1', 'bn1', 2))
    x = functional.max_pool2d(x, 3, 2, 1)
    maps = {}
    for stage in (1, 2, 3, 4):
        for block in range(DEPTHS[name][stage - 1]):
            at = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            if name == 'resnet50':
                y = functional.relu(conv_bn(x, f'{at}.conv1', f'{at}.bn1', 1))
                y = functional.relu(conv_bn(y, f'{at}.conv2', f'{at}.bn2', stride))
                y = conv_bn(y, f'{at}.conv3', f'{at}.bn3', 1)
            else:
                y = functional.relu(conv_bn(x, f'{at}.conv1', f'{at}.bn1', stride))
                y = conv_bn(y, f'{at}.conv2', f'{at}.bn2', 1)
            if f'{at}.downsample.0.weight' in state:
                x = conv_bn(x, f'{at}.downsample.0', f'{at}.downsample.1', stride)
            x = functional.relu(x + y)
        maps[2 ** (stage + 1)] = x
    return maps


@pytest.mark.parametrize('name', DEPTHS)
def test_forward_equals_an_independent_restatement(name: str) -> None:
    backbone = create_backbone(name, strides=ALL_STRIDES).eval()
    randomise(backbone, seed=3)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = backbone(images.to(memory_format=torch.channels_last))
        expected = reference_forward(backbone.state_dict(), images, name)
    for stride, features in zip(ALL_STRIDES, found, strict=True):
        scale = float(expected[stride].abs().max())
        assert scale > 0.1
        torch.testing.assert_close(features, expected[stride], rtol=0, atol=1e-5 * scale)


def test_features_are_channels_last() -> None:
    backbone = create_backbone('resnet18').eval()
    images = torch.randn(2, 3, 64, 96).to(memory_format=torch.channels_last)
    for features in backbone(images):
        assert features.is_contiguous(memory_format=torch.channels_last)


def test_fresh_backbone_keeps_the_size_of_its_signal() -> None:
    torch.manual_seed(0)
    backbone = create_backbone('resnet50').eval()
    for features in backbone(torch.randn(2, 3, 128, 128)):
        assert 0.05 < float(features.detach().std()) < 20.0


def test_unknown_backbone_is_refused_with_the_choices() -> None:
    with pytest.raises(
        ConfigError, match=r"'resnet19'.*resnet18, resnet34, resnet50, resnet101, "
    ):
        create_backbone('resnet19')


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('channels', [8, 15, 16, 24])
def test_a_pointwise_convolution_steps_over_pixels_as_any_other(
    channels: int, stride: int
) -> None:
    torch.manual_seed(0)
    ours = StridedPointwise(channels, 12, 1, stride)
    x, weight = torch.randn(3, channels, 7, 10, requires_grad=True), ours.weight
    expected = torch.einsum('oi,bihw->bohw', weight[..., 0, 0], x[..., ::stride, ::stride])
    assert ours.bias is not None
    expected = expected + ours.bias[:, None, None]
    torch.testing.assert_close(ours(x), expected)
    passed = torch.autograd.grad(ours(x).square().sum(), (x, weight))
    wanted = torch.autograd.grad(expected.square().sum(), (x, weight))
    torch.testing.assert_close(passed, wanted)


@pytest.mark.parametrize('channels', [8, 12, 16])
def test_blocks_never_ask_for_the_gradient_that_writes_beyond_its_memory(channels: int) -> None:
    """A strided 1x1 convolution of fewer than 16 channels (oneDNN, issue 6035)."""
    blocks = nn.Sequential(BasicBlock(channels, 16, 2), Bottleneck(16, channels, 2))
    blocks.append(BasicBlock(4 * channels, channels, 2))
    asked = Convolutions()
    with asked:
        blocks(torch.randn(2, channels, 16, 16)).sum().backward()
    assert any(size == 1 for size, _, _ in asked.calls)
    assert any(stride > 1 for _, stride, _ in asked.calls)
    for size, stride, wide in asked.calls:
        assert size > 1 or stride == 1 or wide >= 16


class Convolutions(TorchDispatchMode):
    """Notes size, stride and input channels of every convolution that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.calls.append((args[1].shape[-1], args[3][0], args[1].shape[1]))
        return func(*args, **(kwargs or {}))
