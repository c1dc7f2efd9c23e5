"""Names and shapes of Simple-BEV's published weights, from the rules of its networks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def batch_norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for field in ('weight', 'bias', 'running_mean', 'running_var'):
        yield f'{name}.{field}', (channels,)
    yield f'{name}.num_batches_tracked', ()


def resnet_stage(
    name: str, kernels: dict[str, int], width: int, out: int, first_in: int, depth: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields the names, as torchvision has them, of a stage with convolutions of these kernels."""
    for block in range(depth):
        channels = first_in if block == 0 else out
        if block == 0 and first_in != out:
            yield f'{name}.0.downsample.0.weight', (out, first_in, 1, 1)
            yield from batch_norm(f'{name}.0.downsample.1', out)
        for number, kernel in kernels.items():
            wide = out if number == list(kernels)[-1] else width
            yield f'{name}.{block}.conv{number}.weight', (wide, channels, kernel, kernel)
            yield from batch_norm(f'{name}.{block}.bn{number}', wide)
            channels = wide


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of the published RGB model with ResNet-101."""
    deep, flat = {'1': 1, '2': 3, '3': 1}, {'1': 3, '2': 3}
    shapes: dict[str, tuple[int, ...]] = {'encoder.backbone.0.weight': (64, 3, 7, 7)}
    shapes.update(batch_norm('encoder.backbone.1', 64))
    shapes.update(resnet_stage('encoder.backbone.4', deep, 64, 256, 64, 3))
    shapes.update(resnet_stage('encoder.backbone.5', deep, 128, 512, 256, 4))
    shapes.update(resnet_stage('encoder.layer3', deep, 256, 1024, 512, 23))
    shapes['encoder.upsampling_layer.conv.0.weight'] = (512, 1536, 3, 3)
    shapes['encoder.upsampling_layer.conv.3.weight'] = (512, 512, 3, 3)
    shapes['encoder.depth_layer.weight'] = (128, 512, 1, 1)
    shapes['encoder.depth_layer.bias'] = (128,)
    shapes['bev_compressor.0.weight'] = (128, 1024, 3, 3)
    shapes['decoder.first_conv.weight'] = (64, 128, 7, 7)
    shapes.update(batch_norm('decoder.bn1', 64))
    shapes.update(resnet_stage('decoder.layer1', flat, 64, 64, 64, 2))
    shapes.update(resnet_stage('decoder.layer2', flat, 128, 128, 64, 2))
    shapes.update(resnet_stage('decoder.layer3', flat, 256, 256, 128, 2))
    for name, fine, coarse in (
        ('up3_skip', 128, 256),
        ('up2_skip', 64, 128),
        ('up1_skip', 128, 64),
    ):
        shapes[f'decoder.{name}.upsample_layer.1.weight'] = (fine, coarse, 1, 1)
    for head, out in (
        ('feat', 128), ('segmentation', 1), ('instance_offset', 2), ('instance_center', 1)
    ):  # fmt: skip
        shapes[f'decoder.{head}_head.0.weight'] = (128, 128, 3, 3)
        shapes[f'decoder.{head}_head.3.weight'] = (out, 128, 1, 1)
        shapes[f'decoder.{head}_head.3.bias'] = (out,)
    shapes.update({f'{name}_weight': () for name in ('ce', 'center', 'offset')})
    return shapes


def published_weights() -> dict[str, Tensor]:
    """Returns weights of which each is filled with its place in the list, in one number each."""
    return {
        name: torch.tensor(float(place)).expand(shape)
        for place, (name, shape) in enumerate(published_shapes().items(), start=1)
    }
