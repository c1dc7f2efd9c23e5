"""RegNetY (Radosavovic et al. 2020) with the state-dict names of timm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.backbone.base import (
    STRIDES,
    Backbone,
    ConvNorm,
    SqueezeExcite,
    init_convolutions,
)

STEM_CHANNELS = 32
# How many times narrower than its input the gate of a block is.
SQUEEZE = 4


@dataclass(frozen=True)
class RegNetLayout:
    """A network of the design space, after its linear widths were quantised (section 3.3).

    Attributes:
        widths: channels of the four stages.
        depths: blocks of the four stages.
        group_width: channels per group of the 3x3 convolutions.
    """

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    group_width: int


REGNETS = {'regnety_008': RegNetLayout((64, 128, 320, 768), (1, 3, 8, 2), 16)}


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3 (has the stride), gate, 1x1; bottleneck ratio 1 (figure 11, "Y block")."""

    def __init__(self, in_channels: int, channels: int, stride: int, group_width: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, channels, 1)
        self.conv2 = ConvNorm(channels, channels, 3, stride, groups=channels // group_width)
        self.se = SqueezeExcite(channels, in_channels // SQUEEZE, ('fc1', 'fc2'), nn.ReLU)
        self.conv3 = ConvNorm(channels, channels, 1, relu=False)
        self.downsample = (
            ConvNorm(in_channels, channels, 1, stride, relu=False)
            if stride > 1 or in_channels != channels
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.se(self.conv2(self.conv1(x))))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(y + shortcut, inplace=True)


class RegNet(Backbone):
    """A RegNetY without its classifier."""

    def __init__(self, layout: RegNetLayout, strides: Sequence[int]) -> None:
        super().__init__(strides, STRIDES, layout.widths)
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        channels = STEM_CHANNELS
        for index in range(len(self.stage_strides)):
            width, stage = layout.widths[index], nn.Sequential()
            for number in range(layout.depths[index]):
                stride = 2 if number == 0 else 1
                block = RegNetBlock(channels, width, stride, layout.group_width)
                stage.add_module(f'b{number + 1}', block)
                channels = width
            self.add_module(f's{index + 1}', stage)
        init_convolutions(self)

    def _stem(self, images: Tensor) -> Tensor:
        x: Tensor = self.stem(images)
        return x

    def _stages(self) -> list[nn.Module]:
        return [self.get_submodule(f's{index + 1}') for index in range(len(self.stage_strides))]
