"""All backbones: sizes, names and values of timm's networks, pruning, odd sizes, padding."""

from __future__ import annotations

import hashlib
import math

import pytest
import torch
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.model.backbone import BACKBONES, EfficientNet, create_backbone
from bev_perception.model.backbone.efficientnet import EFFICIENTNETS, TENSORFLOW, PaddedConv2d

STRIDES = (4, 8, 16, 32)
# Parameters of timm's whole networks, and of what a backbone leaves away: the 1000-way
# classifier and, where there is one, the 1x1 convolution in front of it.
PUBLISHED_PARAMETERS = {
    'resnet18': (11_689_512, 512 * 1000 + 1000),
    'resnet34': (21_797_672, 512 * 1000 + 1000),
    'resnet50': (25_557_032, 2048 * 1000 + 1000),
    'resnet101': (44_549_160, 2048 * 1000 + 1000),
    'efficientnet_b0': (5_288_548, 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000),
    'efficientnet_b4': (19_341_616, 448 * 1792 + 2 * 1792 + 1792 * 1000 + 1000),
    'mobilenetv4_conv_small': (3_774_024, 960 * 1280 + 2 * 1280 + 1280 * 1000 + 1000),
    'mobilenetv4_conv_medium': (9_715_512, 960 * 1280 + 2 * 1280 + 1280 * 1000 + 1000),
    'regnety_008': (6_263_168, 768 * 1000 + 1000),
}
CHANNELS = {
    'resnet18': (64, 128, 256, 512),
    'resnet34': (64, 128, 256, 512),
    'resnet50': (256, 512, 1024, 2048),
    'resnet101': (256, 512, 1024, 2048),
    'efficientnet_b0': (24, 40, 112, 320),
    'efficientnet_b4': (32, 56, 160, 448),
    'mobilenetv4_conv_small': (32, 64, 96, 960),
    'mobilenetv4_conv_medium': (48, 80, 160, 960),
    'regnety_008': (64, 128, 320, 768),
}
# Of 'name shape' lines of timm 1.0.31, see `names_hash`.
NAMES = {
    'resnet18': '504739f3083bec5e',
    'resnet34': '44a0fd3c2ef0c9ed',
    'resnet50': 'c1f7fd3808aa49e7',
    'resnet101': 'a36254db3e8fffb4',
    'efficientnet_b0': 'e607c5c7bd06b2c3',
    'efficientnet_b4': '13e320fb7065aff1',
    'mobilenetv4_conv_small': 'c68ea19d4c7a0389',
    'mobilenetv4_conv_medium': '35d16969850eeb9b',
    'regnety_008': 'e8c7734cb4b21a6b',
}
# Root mean square of timm's features at the strides, see `fill`.
SIZES = {
    'resnet18': (2.2639, 3.3339, 5.0093, 5.7905),
    'resnet34': (2.9178, 8.655, 35.076, 50.888),
    'resnet50': (1.0713, 3.6075, 14.918, 25.862),
    'resnet101': (1.0713, 3.6075, 1468.5, 2482),
    'efficientnet_b0': (0.23487, 0.27071, 0.39211, 0.17222),
    'efficientnet_b4': (0.43163, 0.53, 0.64261, 0.34929),
    'mobilenetv4_conv_small': (0.32861, 0.16148, 0.86497, 0.76634),
    'mobilenetv4_conv_medium': (0.601, 0.55872, 2.8789, 13.949),
    'regnety_008': (0.29123, 0.16456, 0.17036, 0.065384),
}
LIGHT = ('resnet18', 'efficientnet_b0', 'mobilenetv4_conv_small', 'regnety_008')


def names_hash(state: dict[str, Tensor]) -> str:
    lines = sorted(f'{name} {tuple(tensor.shape)}' for name, tensor in state.items())
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def fill(state: dict[str, Tensor]) -> None:
    """Gives all weights values that depend on their names' order and their shapes alone."""
    for index, (name, tensor) in enumerate(sorted(state.items())):
        if name.endswith('num_batches_tracked'):
            continue
        steps = torch.arange(tensor.numel(), dtype=torch.float64)
        wave = torch.sin(0.7 * steps.square() + 78.233 * index).view(tensor.shape)
        if name.endswith('running_var') or (tensor.dim() == 1 and name.endswith('weight')):
            wave = 1.0 + 0.5 * wave
        elif tensor.dim() == 4:
            wave = wave * math.sqrt(2.0 / tensor[0].numel())
        else:
            wave = 0.2 * wave
        tensor.copy_(wave.to(tensor.dtype))


def wave_image() -> Tensor:
    steps = torch.arange(3 * 70 * 90, dtype=torch.float64)
    return torch.sin(0.3 * steps.square()).view(1, 3, 70, 90).float()


def test_every_backbone_is_covered_here() -> None:
    assert set(PUBLISHED_PARAMETERS) == set(NAMES) == set(SIZES) == set(BACKBONES)


@pytest.mark.parametrize('name', BACKBONES)
def test_size_names_and_values_are_those_of_timm(name: str) -> None:
    backbone = create_backbone(name, STRIDES).eval()
    whole, rest = PUBLISHED_PARAMETERS[name]
    assert sum(parameter.numel() for parameter in backbone.parameters()) == whole - rest
    assert names_hash(backbone.state_dict()) == NAMES[name]
    assert backbone.channels == CHANNELS[name]
    fill(backbone.state_dict())
    with torch.inference_mode():
        found = [features.square().mean().sqrt().item() for features in backbone(wave_image())]
    assert found == pytest.approx(SIZES[name], rel=1e-3)


@pytest.mark.parametrize(
    ('backbone', 'name', 'shape'),
    [
        ('efficientnet_b0', 'blocks.0.0.conv_dw.weight', (32, 1, 3, 3)),
        ('efficientnet_b4', 'blocks.6.1.se.conv_reduce.weight', (112, 2688, 1, 1)),
        ('mobilenetv4_conv_small', 'blocks.2.0.dw_start.conv.weight', (64, 1, 5, 5)),
        ('mobilenetv4_conv_medium', 'blocks.0.0.conv_exp.weight', (128, 32, 3, 3)),
        ('regnety_008', 's3.b8.conv2.conv.weight', (320, 16, 3, 3)),
    ],
)
def test_a_weight_of_each_family_by_name(backbone: str, name: str, shape: tuple[int, ...]) -> None:
    assert create_backbone(backbone, STRIDES).state_dict()[name].shape == shape


@pytest.mark.parametrize('name', LIGHT)
@pytest.mark.parametrize(('height', 'width'), [(33, 97), (64, 32)])
def test_any_size_gives_the_stride_rounded_up_in_channels_last(
    name: str, height: int, width: int
) -> None:
    backbone = create_backbone(name, STRIDES).eval()
    images = torch.randn(2, 3, height, width).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = backbone(images)
    for stride, channels, features in zip(STRIDES, backbone.channels, found, strict=True):
        assert features.shape == (2, channels, -(-height // stride), -(-width // stride))
        assert features.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('name', LIGHT)
def test_what_is_behind_the_last_stride_does_not_exist(name: str) -> None:
    whole = create_backbone(name, STRIDES).eval()
    pruned = create_backbone(name, (8,)).eval()
    assert len(pruned.state_dict()) < 0.6 * len(whole.state_dict())
    fill(whole.state_dict())
    pruned.load_state_dict({key: whole.state_dict()[key] for key in pruned.state_dict()})
    image = wave_image()
    with torch.inference_mode():
        (alone,) = pruned(image)
        torch.testing.assert_close(alone, whole(image)[1])


def test_strides_may_be_in_any_order() -> None:
    backbone = create_backbone('mobilenetv4_conv_small', (16, 4)).eval()
    coarse, fine = backbone(torch.randn(1, 3, 64, 64))
    assert (coarse.shape[1:], fine.shape[1:]) == ((96, 4, 4), (32, 16, 16))
    assert backbone.channels == (96, 32)


@pytest.mark.parametrize('strides', [(), (2, 8), (64,)])
def test_strides_that_no_backbone_has_are_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match='strides must be some of'):
        create_backbone('resnet18', strides)


@pytest.mark.parametrize('name', [*LIGHT, 'mobilenetv4_conv_medium'])
def test_fresh_backbone_passes_a_signal_and_gradients_on(name: str) -> None:
    torch.manual_seed(0)
    backbone = create_backbone(name).eval()
    features = backbone(torch.randn(1, 3, 64, 96))
    assert all(0.01 < float(part.detach().std()) < 20.0 for part in features)
    sum(part.square().mean() for part in features).backward()
    assert all(part.grad is not None and part.grad.any() for part in backbone.parameters())


def test_padding_of_tensorflow_starts_at_the_first_pixel_of_even_images() -> None:
    # 'SAME' for 4 pixels, kernel 3, stride 2: one zero, and that behind the last pixel.
    conv = PaddedConv2d(1, 1, kernel=3, stride=2, groups=1, size=4)
    conv.weight.data = torch.tensor([[0.0] * 3, [1.0, 10.0, 100.0], [0.0] * 3]).view(1, 1, 3, 3)
    row = torch.tensor([1.0, 2.0, 3.0, 4.0])
    found = conv(torch.stack([row, row, 0 * row, 0 * row])[None, None])
    # Output row 0 is centred on image row 1; columns: 1 + 20 + 300 and 3 + 40 + 0.
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([321.0, 43.0]))


@pytest.mark.parametrize(
    ('name', 'borders'),
    [
        # 224 -> 112 -> 56 -> 28 -> 14 -> 7 pixels; kernels 3, 3, 5, 3, 5.
        ('efficientnet_b0', [(0, 1), (0, 1), (1, 2), (0, 1), (1, 2)]),
        # 380 -> 190 -> 95 -> 48 -> 24 -> 12 pixels.
        ('efficientnet_b4', [(0, 1), (0, 1), (2, 2), (0, 1), (1, 2)]),
    ],
)
def test_padding_is_that_of_the_image_size_the_network_was_scaled_for(
    name: str, borders: list[tuple[int, int]]
) -> None:
    network = EfficientNet(EFFICIENTNETS[name], STRIDES, TENSORFLOW)
    padded = [part for part in network.modules() if isinstance(part, PaddedConv2d)]
    assert [part.border for part in padded] == [2 * border for border in borders]
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    plain = create_backbone(name, STRIDES)
    assert names_hash(network.state_dict()) == names_hash(plain.state_dict())
