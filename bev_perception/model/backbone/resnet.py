"""ResNets (He et al. 2016) with the state-dict names of timm and torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bev_perception.model.backbone.base import BRANCH_GAIN, STRIDES, Backbone
from bev_perception.model.layers import init_trunk

_ONEDNN_BLOCK = 16


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride)
        nn.init.constant_(self.bn2.weight, BRANCH_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(y.add_(shortcut))


class Bottleneck(nn.Module):
    """1x1, 3x3 (carries the stride), 1x1 with a shortcut (He et al. 2016, figure 5 right)."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)
        nn.init.constant_(self.bn3.weight, BRANCH_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(y.add_(shortcut))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """Returns the projection of a block whose output differs in shape, else None (identity)."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        StridedPointwise(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class StridedPointwise(nn.Conv2d):
    """A 1x1 convolution that leaves pixels out before it multiplies, where channels are few.

    The gradient of oneDNN's own strided one writes beyond its memory when there are fewer input
    channels than fill a block, 16 with AVX-512 (uxlfoundation/oneDNN, issue 6035).
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.in_channels >= _ONEDNN_BLOCK:
            return super().forward(x)
        rows, columns = self.stride
        return nn.functional.conv2d(x[..., ::rows, ::columns], self.weight, self.bias)


@dataclass(frozen=True)
class ResNetLayout:
    """Block type and number of blocks in each of the four stages (strides 4, 8, 16, 32)."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]


RESNETS = {
    'resnet18': ResNetLayout(BasicBlock, (2, 2, 2, 2)),
    'resnet34': ResNetLayout(BasicBlock, (3, 4, 6, 3)),
    'resnet50': ResNetLayout(Bottleneck, (3, 4, 6, 3)),
    'resnet101': ResNetLayout(Bottleneck, (3, 4, 23, 3)),
}
STAGE_WIDTHS = (64, 128, 256, 512)


class ResNet(Backbone):
    """A ResNet without its classifier (stride in the 3x3 convolution, "v1.5")."""

    def __init__(self, layout: ResNetLayout, strides: Sequence[int]) -> None:
        expansion = layout.block.expansion
        super().__init__(strides, STRIDES, [width * expansion for width in STAGE_WIDTHS])
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        in_channels = 64
        for index in range(len(self.stage_strides)):
            width, stride = STAGE_WIDTHS[index], 1 if index == 0 else 2
            stage = resnet_stage(layout.block, in_channels, width, layout.depths[index], stride)
            self.add_module(f'layer{index + 1}', stage)
            in_channels = width * expansion
        init_trunk(self)

    def _stem(self, images: Tensor) -> Tensor:
        x: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return x

    def _stages(self) -> list[nn.Module]:
        count = len(self.stage_strides)
        return [self.get_submodule(f'layer{index + 1}') for index in range(count)]


def resnet_stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    width: int,
    depth: int,
    stride: int,
) -> nn.Sequential:
    """Returns `depth` blocks of `width`, of which the first has the stride."""
    out_channels = width * block.expansion
    first = block(in_channels, width, stride)
    return nn.Sequential(first, *(block(out_channels, width) for _ in range(depth - 1)))
