"""Names and shapes of Lift-Splat-Shoot's published weights, from the rules of its networks."""

from __future__ import annotations

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

# Kernel, expansion, input channels and output channels of each inverted bottleneck of
# EfficientNet-B0 (Tan and Le 2019, table 1), numbered through.
BLOCKS = (
    (3, 1, 32, 16),
    *((3, 6, 16, 24), (3, 6, 24, 24)),
    *((5, 6, 24, 40), (5, 6, 40, 40)),
    *((3, 6, 40, 80), (3, 6, 80, 80), (3, 6, 80, 80)),
    *((5, 6, 80, 112), (5, 6, 112, 112), (5, 6, 112, 112)),
    *((5, 6, 112, 192), (5, 6, 192, 192), (5, 6, 192, 192), (5, 6, 192, 192)),
    (3, 6, 192, 320),
)


def published_shapes(depths: int = 41, channels: int = 64, classes: int = 1) -> Shapes:
    """Returns the shapes of all weights by name, step counters included."""
    shapes: Shapes = {}
    _trunk(shapes, 'camencode.trunk.')
    _up(shapes, 'camencode.up1.conv.', 320 + 112, 512)
    _linear(shapes, 'camencode.depthnet', (depths + channels, 512, 1, 1))
    _bev(shapes, 'bevencode.', channels, classes)
    return shapes


def published_state(seed: int = 0) -> dict[str, Tensor]:
    """Returns random weights with the published names, and the buffers beside them."""
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: torch.rand(shape, generator=generator) + 0.5
        if len(shape) == 1
        else torch.randn(shape, generator=generator) / max(1, shape[-1] ** 2 * shape[1]) ** 0.5
        if shape
        else torch.tensor(7)
        for name, shape in published_shapes().items()
    }
    state['dx'] = torch.tensor([0.5, 0.5, 20.0])
    state['bx'] = torch.tensor([-49.75, -49.75, 0.0])
    state['nx'] = torch.tensor([200, 200, 1])
    state['frustum'] = torch.zeros(41, 8, 22, 3)
    return state


def _norm(shapes: Shapes, name: str, channels: int) -> None:
    for field in ('weight', 'bias', 'running_mean', 'running_var'):
        shapes[f'{name}.{field}'] = (channels,)
    shapes[f'{name}.num_batches_tracked'] = ()


def _linear(shapes: Shapes, name: str, shape: tuple[int, ...]) -> None:
    shapes[f'{name}.weight'] = shape
    shapes[f'{name}.bias'] = shape[:1]


def _trunk(shapes: Shapes, at: str) -> None:
    shapes[f'{at}_conv_stem.weight'] = (32, 3, 3, 3)
    _norm(shapes, f'{at}_bn0', 32)
    for index, (kernel, expansion, channels, out_channels) in enumerate(BLOCKS):
        block, width = f'{at}_blocks.{index}.', channels * expansion
        if expansion > 1:
            shapes[f'{block}_expand_conv.weight'] = (width, channels, 1, 1)
            _norm(shapes, f'{block}_bn0', width)
        shapes[f'{block}_depthwise_conv.weight'] = (width, 1, kernel, kernel)
        _norm(shapes, f'{block}_bn1', width)
        _linear(shapes, f'{block}_se_reduce', (channels // 4, width, 1, 1))
        _linear(shapes, f'{block}_se_expand', (width, channels // 4, 1, 1))
        shapes[f'{block}_project_conv.weight'] = (out_channels, width, 1, 1)
        _norm(shapes, f'{block}_bn2', out_channels)
    shapes[f'{at}_conv_head.weight'] = (1280, 320, 1, 1)
    _norm(shapes, f'{at}_bn1', 1280)
    _linear(shapes, f'{at}_fc', (1000, 1280))


def _up(shapes: Shapes, at: str, in_channels: int, channels: int) -> None:
    shapes[f'{at}0.weight'] = (channels, in_channels, 3, 3)
    _norm(shapes, f'{at}1', channels)
    shapes[f'{at}3.weight'] = (channels, channels, 3, 3)
    _norm(shapes, f'{at}4', channels)


def _bev(shapes: Shapes, at: str, channels: int, classes: int) -> None:
    shapes[f'{at}conv1.weight'] = (64, channels, 7, 7)
    _norm(shapes, f'{at}bn1', 64)
    before = 64
    for stage, width in ((1, 64), (2, 128), (3, 256)):
        for block in range(2):
            name = f'{at}layer{stage}.{block}.'
            shapes[f'{name}conv1.weight'] = (width, before, 3, 3)
            _norm(shapes, f'{name}bn1', width)
            shapes[f'{name}conv2.weight'] = (width, width, 3, 3)
            _norm(shapes, f'{name}bn2', width)
            if before != width:
                shapes[f'{name}downsample.0.weight'] = (width, before, 1, 1)
                _norm(shapes, f'{name}downsample.1', width)
            before = width
    _up(shapes, f'{at}up1.conv.', 64 + 256, 256)
    shapes[f'{at}up2.1.weight'] = (128, 256, 3, 3)
    _norm(shapes, f'{at}up2.2', 128)
    _linear(shapes, f'{at}up2.4', (classes, 128, 1, 1))
