"""MobileNetV4-Conv (Qin et al. 2024, arXiv 2404.10518) with the state-dict names of timm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.backbone.base import BRANCH_GAIN, Backbone, ConvNorm, init_convolutions


@dataclass(frozen=True)
class Plain:
    """A convolution with normalisation and ReLU."""

    kernel: int
    stride: int
    channels: int

    def build(self, in_channels: int) -> nn.Module:
        return ConvNorm(in_channels, self.channels, self.kernel, self.stride, norm='bn1')


@dataclass(frozen=True)
class Fused:
    """Fused inverted bottleneck: a 3x3 convolution expands to `width`, a 1x1 one projects."""

    width: int
    stride: int
    channels: int

    def build(self, in_channels: int) -> nn.Module:
        return FusedBottleneck(in_channels, self)


@dataclass(frozen=True)
class Universal:
    """Universal inverted bottleneck (section 3): two optional depthwise convolutions.

    Both absent make it a feed-forward block, `mid` alone an inverted bottleneck, `start` alone
    a ConvNeXt block, both the paper's "extra depthwise".

    Attributes:
        start: kernel of the depthwise convolution before the expansion, 0 for none.
        mid: kernel of that between expansion and projection, which has the stride; 0 for none.
        width: channels in between.
        channels: of the output.
        stride: 2 only with `mid`.
    """

    start: int
    mid: int
    width: int
    channels: int
    stride: int = 1

    def build(self, in_channels: int) -> nn.Module:
        return UniversalBottleneck(in_channels, self)


Block = Plain | Fused | Universal


@dataclass(frozen=True)
class MobileNetV4Layout:
    """Blocks of the five stages behind a stem of 32 channels (appendix D)."""

    stages: tuple[tuple[Block, ...], ...]
    stage_strides: tuple[int, ...]


MOBILENETS_V4 = {
    'mobilenetv4_conv_small': MobileNetV4Layout(
        stages=(
            (Plain(3, 2, 32), Plain(1, 1, 32)),
            (Plain(3, 2, 96), Plain(1, 1, 64)),
            (
                Universal(5, 5, 192, 96, 2),
                *(4 * (Universal(0, 3, 192, 96),)),
                Universal(3, 0, 384, 96),
            ),
            (
                Universal(3, 3, 576, 128, 2),
                Universal(5, 5, 512, 128),
                Universal(0, 5, 512, 128),
                Universal(0, 5, 384, 128),
                *(2 * (Universal(0, 3, 512, 128),)),
            ),
            (Plain(1, 1, 960),),
        ),
        stage_strides=(4, 8, 16, 32, 32),
    ),
    'mobilenetv4_conv_medium': MobileNetV4Layout(
        stages=(
            (Fused(128, 2, 48),),
            (Universal(3, 5, 192, 80, 2), Universal(3, 3, 160, 80)),
            (
                Universal(3, 5, 480, 160, 2),
                *(2 * (Universal(3, 3, 640, 160),)),
                Universal(3, 5, 640, 160),
                Universal(3, 3, 640, 160),
                Universal(3, 0, 640, 160),
                Universal(0, 0, 320, 160),
                Universal(3, 0, 640, 160),
            ),
            (
                Universal(5, 5, 960, 256, 2),
                Universal(5, 5, 1024, 256),
                *(2 * (Universal(3, 5, 1024, 256),)),
                Universal(0, 0, 1024, 256),
                Universal(3, 0, 1024, 256),
                Universal(3, 5, 512, 256),
                Universal(5, 5, 1024, 256),
                *(2 * (Universal(0, 0, 1024, 256),)),
                Universal(5, 0, 512, 256),
            ),
            (Plain(1, 1, 960),),
        ),
        stage_strides=(4, 8, 16, 32, 32),
    ),
}


class FusedBottleneck(nn.Module):
    """See `Fused`."""

    def __init__(self, in_channels: int, block: Fused) -> None:
        super().__init__()
        self.conv_exp = nn.Conv2d(in_channels, block.width, 3, block.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(block.width)
        self.conv_pwl = nn.Conv2d(block.width, block.channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(block.channels)
        self.shortcut = block.stride == 1 and in_channels == block.channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv_pwl(functional.relu(self.bn1(self.conv_exp(x)))))
        return y + x if self.shortcut else y


class UniversalBottleneck(nn.Module):
    """See `Universal`."""

    def __init__(self, in_channels: int, block: Universal) -> None:
        super().__init__()
        width = block.width
        self.dw_start = (
            ConvNorm(in_channels, in_channels, block.start, groups=in_channels, relu=False)
            if block.start
            else None
        )
        self.pw_exp = ConvNorm(in_channels, width, 1)
        self.dw_mid = (
            ConvNorm(width, width, block.mid, block.stride, groups=width) if block.mid else None
        )
        self.pw_proj = ConvNorm(width, block.channels, 1, relu=False)
        self.shortcut = block.stride == 1 and in_channels == block.channels
        if self.shortcut:
            nn.init.constant_(self.pw_proj.get_parameter('bn.weight'), BRANCH_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.dw_start is None else self.dw_start(x)
        y = self.pw_exp(y)
        y = y if self.dw_mid is None else self.dw_mid(y)
        y = self.pw_proj(y)
        return y + x if self.shortcut else y


class MobileNetV4(Backbone):
    """A MobileNetV4-Conv without head and classifier."""

    def __init__(self, layout: MobileNetV4Layout, strides: Sequence[int]) -> None:
        super().__init__(
            strides, layout.stage_strides, [stage[-1].channels for stage in layout.stages]
        )
        channels = 32
        self.conv_stem = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential()
        for stage in layout.stages[: len(self.stage_strides)]:
            built = nn.Sequential()
            for block in stage:
                built.append(block.build(channels))
                channels = block.channels
            self.blocks.append(built)
        init_convolutions(self)

    def _stem(self, images: Tensor) -> Tensor:
        return functional.relu(self.bn1(self.conv_stem(images)), inplace=True)

    def _stages(self) -> list[nn.Module]:
        return list(self.blocks)
