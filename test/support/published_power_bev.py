"""Names and shapes of PowerBEV's published weights, from the rules of its networks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def batch_norm(name: str, channels: int) -> Shapes:
    for field in ('weight', 'bias', 'running_mean', 'running_var'):
        yield f'{name}.{field}', (channels,)
    yield f'{name}.num_batches_tracked', ()


def efficientnet_b4() -> Shapes:
    """Yields L. Melas-Kyriazi's names up to stride 16."""
    yield '_conv_stem.weight', (48, 3, 3, 3)
    yield from batch_norm('_bn0', 48)
    channels, index = 48, 0
    for out, repeats, kernel, expansion in (
        (24, 2, 3, 1), (32, 4, 3, 6), (56, 4, 5, 6), (112, 6, 3, 6), (160, 6, 5, 6)
    ):  # fmt: skip
        for _ in range(repeats):
            name, width = f'_blocks.{index}', channels * expansion
            if expansion > 1:
                yield f'{name}._expand_conv.weight', (width, channels, 1, 1)
                yield from batch_norm(f'{name}._bn0', width)
            yield f'{name}._depthwise_conv.weight', (width, 1, kernel, kernel)
            yield from batch_norm(f'{name}._bn1', width)
            yield f'{name}._se_reduce.weight', (channels // 4, width, 1, 1)
            yield f'{name}._se_reduce.bias', (channels // 4,)
            yield f'{name}._se_expand.weight', (width, channels // 4, 1, 1)
            yield f'{name}._se_expand.bias', (width,)
            yield f'{name}._project_conv.weight', (out, width, 1, 1)
            yield from batch_norm(f'{name}._bn2', out)
            channels, index = out, index + 1


def residual(name: str, before: int, after: int, scale: str = 'same') -> Shapes:
    yield (
        f'{name}.layers.0.weight',
        (*((before, after) if scale == 'double' else (after, before)), 3, 3),
    )
    yield from batch_norm(f'{name}.layers.1', after)
    if before != after or scale != 'same':
        yield f'{name}.projection.conv_skip_proj.weight', (after, before, 1, 1)
        yield from batch_norm(f'{name}.projection.bn_skip_proj', after)


def branch(name: str, steps: int) -> Shapes:
    """Yields the names of a branch from three frames of 70 channels to `steps` steps of 16."""
    widths = [70, 16, 24, 32, 48, 64]
    for i in range(5):
        for j in (1, 2, 3):
            before = widths[i] if j == 1 else widths[i + 1]
            scale = 'half' if j == 3 else 'same'
            block = f'{name}.BEV_encoder.conv.{i}.downconv_{i + 1}_{j}'
            yield from residual(block, 3 * before, 3 * widths[i + 1], scale)
        for j in range(5):
            before, after = (3 if j < 3 else steps), (3 if j < 2 else steps)
            block = f'{name}.BEV_predictor.predictor.{i}.{j}'
            yield from residual(block, before * widths[i + 1], after * widths[i + 1])
    widths = [64, 48, 32, 24, 16, 16]
    for i in range(5):
        for j in (1, 2, 3):
            before = 2 * widths[i] if j == 1 else widths[i + 1]
            scale = 'double' if j == 1 else 'same'
            block = f'{name}.BEV_decoder.conv.{i}.upconv_{i + 1}_{j}'
            yield from residual(block, steps * before, steps * widths[i + 1], scale)


def head(name: str) -> Shapes:
    for i, (before, after) in enumerate(((16, 8), (8, 8), (8, 4), (4, 4))):
        yield from residual(f'{name}.head.{i}', before, after)
    yield f'{name}.last_conv.weight', (2, 4, 3, 3)
    yield f'{name}.last_conv.bias', (2,)


def published_weights(
    extent_m: float = 50.0, resolution_m: float = 0.5, steps: int = 6
) -> dict[str, Tensor]:
    """Returns weights of which each is filled with its place in the list, and the geometry."""
    shapes = {f'encoder.backbone.{name}': shape for name, shape in efficientnet_b4()}
    shapes['encoder.upsampling_layer.conv.0.weight'] = (128, 216, 3, 3)
    shapes.update(batch_norm('encoder.upsampling_layer.conv.1', 128))
    shapes['encoder.upsampling_layer.conv.3.weight'] = (128, 128, 3, 3)
    shapes.update(batch_norm('encoder.upsampling_layer.conv.4', 128))
    shapes['encoder.depth_layer.weight'] = (112, 128, 1, 1)
    shapes['encoder.depth_layer.bias'] = (112,)
    for part in ('segmentation', 'flow'):
        shapes.update(branch(f'stconv.{part}_branch', steps))
        shapes.update(head(f'stconv.{part}_head'))
    shapes.update({'segmentation_weight': (), 'flow_weight': ()})
    return {
        **published_geometry(extent_m, resolution_m),
        **{
            name: torch.tensor(float(place)).expand(shape)
            for place, (name, shape) in enumerate(shapes.items(), start=1)
        },
    }


def published_geometry(extent_m: float, resolution_m: float) -> dict[str, Tensor]:
    """Returns what the published module keeps of its configuration, in float32."""
    first_m = resolution_m / 2.0 - extent_m
    cells = round(2.0 * extent_m / resolution_m)
    frustum = torch.stack(
        torch.meshgrid(
            torch.arange(2.0, 50.0), torch.linspace(0, 223, 28), torch.linspace(0, 479, 60),
            indexing='ij',
        )[::-1],
        dim=-1,
    )  # fmt: skip
    return {
        'bev_resolution': torch.tensor([resolution_m, resolution_m, 20.0]),
        'bev_start_position': torch.tensor([first_m, first_m, 0.0]),
        'bev_dimension': torch.tensor([cells, cells, 1]),
        'frustum': frustum,
    }
