"""Predictor of PowerBEV: time folded into channels, a pyramid of 2D convolutions, two branches."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

PYRAMID_CHANNELS = (16, 24, 32, 48, 64)
BLOCKS = 3
LATENT_CHANNELS = 16
CLASSES = 2

Scale = Literal['same', 'half', 'double']


class ResidualBlock(nn.Module):
    """3x3 convolution, batch normalisation and leaky ReLU beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, scale: Scale = 'same') -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            _convolution(in_channels, out_channels, scale),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(inplace=True),
        )
        self.projection = None
        if scale != 'same' or in_channels != out_channels:
            self.projection = nn.Sequential(_shortcut(in_channels, out_channels, scale))

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, C', H', W']; half of an odd size is rounded up."""
        y: Tensor = self.layers(x)
        if self.projection is None:
            return y + x
        if self.scale == 'half':
            x = functional.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))
        shortcut: Tensor = self.projection(x)
        return y + shortcut


def _convolution(in_channels: int, out_channels: int, scale: Scale) -> nn.Module:
    if scale == 'double':
        return nn.ConvTranspose2d(
            in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=False
        )
    return nn.Conv2d(
        in_channels, out_channels, 3, stride=2 if scale == 'half' else 1, padding=1, bias=False
    )


def _shortcut(in_channels: int, out_channels: int, scale: Scale) -> OrderedDict[str, nn.Module]:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if scale == 'double':
        parts['upsample_skip_proj'] = nn.Upsample(scale_factor=2, mode='bilinear')
    elif scale == 'half':
        parts['upsample_skip_proj'] = nn.MaxPool2d(2)
    parts['conv_skip_proj'] = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    parts['bn_skip_proj'] = nn.BatchNorm2d(out_channels)
    return parts


class PyramidEncoder(nn.Module):
    """Five times three blocks, the last of each three halving the size."""

    def __init__(self, in_channels: int, frames: int) -> None:
        super().__init__()
        self.conv = nn.ModuleList()
        for level, channels in enumerate(PYRAMID_CHANNELS, start=1):
            stage = nn.Sequential()
            for block in range(1, BLOCKS + 1):
                scale: Scale = 'half' if block == BLOCKS else 'same'
                first = in_channels if block == 1 else channels
                stage.add_module(
                    f'downconv_{level}_{block}',
                    ResidualBlock(first * frames, channels * frames, scale),
                )
            self.conv.append(stage)
            in_channels = channels

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns one map per level, finest first."""
        pyramid = []
        for stage in self.conv:
            x = stage(x)
            pyramid.append(x)
        return pyramid


class PyramidPredictor(nn.Module):
    """Five blocks per level, of which the third turns past steps into future ones."""

    def __init__(self, frames: int, steps: int) -> None:
        super().__init__()
        times = frames, frames, frames, steps, steps, steps
        self.predictor = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualBlock(channels * before, channels * after)
                    for before, after in pairwise(times)
                )
            )
            for channels in PYRAMID_CHANNELS
        )

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """Returns one map per level, finest first."""
        return [level(x) for level, x in zip(self.predictor, pyramid, strict=True)]


class PyramidDecoder(nn.Module):
    """Five times three blocks, the first of each three doubling the size."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        widths = (*PYRAMID_CHANNELS[::-1], LATENT_CHANNELS)
        self.conv = nn.ModuleList()
        for level, (before, after) in enumerate(pairwise(widths), start=1):
            stage = nn.Sequential()
            for block in range(1, BLOCKS + 1):
                scale: Scale = 'double' if block == 1 else 'same'
                first = 2 * before if block == 1 else after
                stage.add_module(
                    f'upconv_{level}_{block}', ResidualBlock(first * steps, after * steps, scale)
                )
            self.conv.append(stage)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        """Returns the finest map, twice the size of the finest of `pyramid`."""
        y = pyramid[-1]
        for stage, level in zip(self.conv, reversed(pyramid), strict=True):
            if y.shape[-2:] != level.shape[-2:]:
                y = functional.interpolate(
                    y, size=level.shape[-2:], mode='bilinear', align_corners=True
                )
            y = stage(torch.cat([y, level], dim=1))
        return y


class Branch(nn.Module):
    """Past features to features of every predicted step."""

    def __init__(self, in_channels: int, frames: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.BEV_encoder = PyramidEncoder(in_channels, frames)
        self.BEV_predictor = PyramidPredictor(frames, steps)
        self.BEV_decoder = PyramidDecoder(steps)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, T, 16, H, W] of [B, frames * C, H, W]."""
        y: Tensor = self.BEV_decoder(self.BEV_predictor(self.BEV_encoder(x)))
        return y.unflatten(1, (self.steps, LATENT_CHANNELS))


class StepHead(nn.Module):
    """The same four blocks and last convolution for every step."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        half, quarter = LATENT_CHANNELS // 2, LATENT_CHANNELS // 4
        self.head = nn.Sequential(
            ResidualBlock(LATENT_CHANNELS, half),
            ResidualBlock(half, half),
            ResidualBlock(half, quarter),
            ResidualBlock(quarter, quarter),
        )
        self.last_conv = nn.Conv2d(quarter, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, T, C', H, W] of [B, T, 16, H, W]."""
        y: Tensor = self.last_conv(self.head(x.flatten(0, 1)))
        return y.unflatten(0, x.shape[:2])


class MultiBranchPredictor(nn.Module):
    """Segmentation and backward centripetal flow of every step, each with a branch of its own.

    PowerBEV (Li et al. 2023, section 3.2), with the published state-dict names.

    Args:
        in_channels: C of one frame.
        frames: present and past ones.
        steps: one before the present, the present, and those ahead.
    """

    def __init__(self, in_channels: int, frames: int, steps: int) -> None:
        super().__init__()
        self.segmentation_branch = Branch(in_channels, frames, steps)
        self.segmentation_head = StepHead(CLASSES)
        self.flow_branch = Branch(in_channels, frames, steps)
        self.flow_head = StepHead(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns class logits [B, steps, 2, H, W] and flow [B, steps, 2, H, W].

        Args:
            x: [B, frames * C, H, W], oldest frame first.
        """
        logits = self.segmentation_head(self.segmentation_branch(x))
        return logits, self.flow_head(self.flow_branch(x))
