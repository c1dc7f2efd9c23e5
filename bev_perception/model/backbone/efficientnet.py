"""EfficientNets (Tan and Le 2019) with the state-dict names of timm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.backbone.base import Backbone, SqueezeExcite, init_convolutions


@dataclass(frozen=True)
class Stage:
    """A row of table 1: inverted bottlenecks, of which the first has the stride."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    repeats: int


BASE_STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
STAGE_STRIDES = (2, 4, 8, 16, 16, 32, 32)
SILU_GAIN = 2.8


@dataclass(frozen=True)
class EfficientNetLayout:
    """Compound scaling of the base network (section 3.3).

    Attributes:
        width: factor on all channels, rounded to multiples of 8.
        depth: factor on all repeats, rounded up.
        image_size: pixels, side of the square images that the network was scaled for.
    """

    width: float
    depth: float
    image_size: int

    def channels(self, base: int) -> int:
        """Returns the scaled channels: the nearest multiple of 8, never below 90 %."""
        scaled = base * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded

    def stages(self) -> list[Stage]:
        return [
            Stage(
                stage.expansion,
                stage.kernel,
                stage.stride,
                self.channels(stage.channels),
                math.ceil(stage.repeats * self.depth),
            )
            for stage in BASE_STAGES
        ]


EFFICIENTNETS = {
    'efficientnet_b0': EfficientNetLayout(1.0, 1.0, 224),
    'efficientnet_b4': EfficientNetLayout(1.4, 1.8, 380),
}


@dataclass(frozen=True)
class Convention:
    """What distinguishes the frameworks in which the same EfficientNet was trained.

    Attributes:
        eps: of the batch normalisations.
        momentum: of the batch normalisations.
        same_padding: TensorFlow's 'SAME' padding, which for the image size of the layout puts
            less zeros before than behind where a stride is 2; else half the kernel on each side.
    """

    eps: float
    momentum: float
    same_padding: bool


PYTORCH = Convention(eps=1e-5, momentum=0.1, same_padding=False)
# Also of ports whose padding was fixed for the layout's image size, as that of L. Melas-Kyriazi,
# which Lift-Splat-Shoot and the FIERY family build on.
TENSORFLOW = Convention(eps=1e-3, momentum=0.01, same_padding=True)


class PaddedConv2d(nn.Conv2d):
    """A convolution of kernel K with `before` and `after` zeros around both axes."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, groups: int, size: int
    ) -> None:
        """Pads as TensorFlow's 'SAME' does for inputs of `size` pixels per side."""
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        self.border = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, self.border))


class _Maker:
    """Makes the layers of one network in one convention, input side first.

    Attributes:
        size: pixels per side of the features behind the layers made so far, for an image of the
            layout's size.
    """

    def __init__(self, convention: Convention, size: int) -> None:
        self.convention = convention
        self.size = size

    def conv(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        size = self.size
        self.size = math.ceil(size / stride)
        if self.convention.same_padding and stride > 1:
            return PaddedConv2d(in_channels, out_channels, kernel, stride, groups, size)
        return nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
        )

    def norm(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, self.convention.eps, self.convention.momentum)


class SeparableBlock(nn.Module):
    """Depthwise convolution, squeeze and excitation, projection (an expansion of 1)."""

    def __init__(self, in_channels: int, stage: Stage, stride: int, make: _Maker) -> None:
        super().__init__()
        self.conv_dw = make.conv(in_channels, in_channels, stage.kernel, stride, in_channels)
        self.bn1 = make.norm(in_channels)
        self.se = _squeeze_excite(in_channels, in_channels)
        self.conv_pw = make.conv(in_channels, stage.channels, 1)
        self.bn2 = make.norm(stage.channels)
        self.shortcut = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.se(functional.silu(self.bn1(self.conv_dw(x))))
        y = self.bn2(self.conv_pw(y))
        return y + x if self.shortcut else y


class InvertedBottleneck(nn.Module):
    """Expansion, then as `SeparableBlock` (Sandler et al. 2018, MobileNetV2, section 3.3)."""

    def __init__(self, in_channels: int, stage: Stage, stride: int, make: _Maker) -> None:
        super().__init__()
        width = in_channels * stage.expansion
        self.conv_pw = make.conv(in_channels, width, 1)
        self.bn1 = make.norm(width)
        self.conv_dw = make.conv(width, width, stage.kernel, stride, width)
        self.bn2 = make.norm(width)
        self.se = _squeeze_excite(width, in_channels)
        self.conv_pwl = make.conv(width, stage.channels, 1)
        self.bn3 = make.norm(stage.channels)
        self.shortcut = stride == 1 and in_channels == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.bn1(self.conv_pw(x)))
        y = self.se(functional.silu(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return y + x if self.shortcut else y


class EfficientNet(Backbone):
    """An EfficientNet without head and classifier."""

    def __init__(
        self,
        layout: EfficientNetLayout,
        strides: Sequence[int],
        convention: Convention = PYTORCH,
    ) -> None:
        stages = layout.stages()
        super().__init__(strides, STAGE_STRIDES, [stage.channels for stage in stages])
        make = _Maker(convention, layout.image_size)
        channels = layout.channels(32)
        self.conv_stem = make.conv(3, channels, 3, 2)
        self.bn1 = make.norm(channels)
        self.blocks = nn.Sequential()
        for stage in stages[: len(self.stage_strides)]:
            self.blocks.append(_stage(channels, stage, make))
            channels = stage.channels
        init_convolutions(self, SILU_GAIN)

    def _stem(self, images: Tensor) -> Tensor:
        return functional.silu(self.bn1(self.conv_stem(images)))

    def _stages(self) -> list[nn.Module]:
        return list(self.blocks)


def _stage(in_channels: int, stage: Stage, make: _Maker) -> nn.Sequential:
    kind = SeparableBlock if stage.expansion == 1 else InvertedBottleneck
    blocks = nn.Sequential()
    for index in range(stage.repeats):
        stride = stage.stride if index == 0 else 1
        blocks.append(kind(in_channels if index == 0 else stage.channels, stage, stride, make))
    return blocks


def _squeeze_excite(width: int, in_channels: int) -> SqueezeExcite:
    """Returns the gate of a block; it narrows to a quarter of the block's input."""
    return SqueezeExcite(width, in_channels // 4, ('conv_reduce', 'conv_expand'), nn.SiLU)
