"""The motion head for small computers: the same outputs for a fraction of the work."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.heads.attention import Attention, init_linear
from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.heads.motion import PRIOR_PROBABILITY
from bev_perception.model.layers import (
    CellOutput,
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
    upsample_to,
)

_SCALES = 3
_BLOCKS = 2


class EfficientMotionHead(nn.Module):
    """Segmentation and backward centripetal flow from a light transformer.

    Outputs of `MotionHead`, built as Efficient Instance Prediction (Antunes-Garcia et al. 2024,
    section III) builds its branches, on SegFormer (Xie et al. 2021): attention over the whole
    grid at an eighth of the resolution, so that a cell sees wherever an object can get to within
    the horizon; a decoder that adds up the scales and has no convolution of its own at any of
    them; depthwise separable convolutions instead of full ones. One trunk serves two thin
    branches. All of it ends at half the resolution; each cell then meets its own features.

    Args:
        in_channels: of the BEV features.
        channels: of every level.
        steps: T, predicted steps after the present one.
        parts: see `CellOutput`.
    """

    def __init__(self, in_channels: int, channels: int, steps: int, parts: int = 1) -> None:
        super().__init__()
        self.frames = steps + 1
        self.down = nn.ModuleList(
            SeparableConv(in_channels if level == 0 else channels, channels, stride=2)
            for level in range(_SCALES)
        )
        self.blocks = nn.Sequential(*(AttentionBlock(channels) for _ in range(_BLOCKS)))
        self.trunk = SeparableConv(channels, channels)
        self.segmentation = _Branch(in_channels, channels, self.frames, parts)
        self.flow = _Branch(in_channels, channels, 2 * self.frames, parts)
        self.calibration = LogitCalibration(self.frames)
        _init(self)
        self.segmentation.out.set_bias(0, prior_logit(PRIOR_PROBABILITY), self.frames)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits [B, T + 1, Y, X] and flow [B, T + 1, 2, Y, X] in metres."""
        levels = []
        x = bev
        for down in self.down:
            x = down(x)
            levels.append(x)
        x = self.blocks(x)
        for level in reversed(levels[:-1]):
            x = level + upsample_to(x, level)
        x = self.trunk(x)
        flow = self.flow(bev, x).unflatten(1, (self.frames, 2))
        return self.calibration(self.segmentation(bev, x)), flow


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 convolution, 1x1 convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(
            depthwise(in_channels, stride), *ConvBnRelu(in_channels, out_channels, kernel=1)
        )


class AttentionBlock(nn.Module):
    """Encoder block of SegFormer (Xie et al. 2021, section 3.1).

    Self-attention to keys at half the resolution (equations 1 and 2; a depthwise convolution
    reduces them), then Mix-FFN (equation 3), whose convolution also tells where a cell is: no
    position encoding, hence any grid size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(channels)
        self.reduce = depthwise(channels, stride=2)
        self.attention = Attention(channels)
        self.norm_mix = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.mix = depthwise(2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, C, Y, X], the shape of x."""
        cells = x.permute(0, 2, 3, 1)
        normed = self.norm_attention(cells)
        keys = self.reduce(normed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        attended = self.attention(normed.flatten(1, 2), keys.flatten(1, 2))
        cells = cells + attended.unflatten(1, cells.shape[1:3])
        wide = self.widen(self.norm_mix(cells)).permute(0, 3, 1, 2)
        mixed = functional.gelu(self.mix(wide)).permute(0, 2, 3, 1)
        return (cells + self.narrow(mixed)).permute(0, 3, 1, 2)


class _Branch(nn.Module):
    """Half the channels of the trunk, at half the resolution, joined with each cell's features."""

    def __init__(self, in_channels: int, channels: int, outputs: int, parts: int) -> None:
        super().__init__()
        thin = max(1, channels // 2)
        self.coarse = nn.Sequential(depthwise(channels), *_project(channels, thin))
        self.fine = _project(in_channels, thin)
        self.out = CellOutput(thin, outputs, parts)

    def forward(self, bev: Tensor, x: Tensor) -> Tensor:
        """Returns [B, outputs, Y, X] of features [B, in_channels, Y, X] and the trunk's."""
        joined = self.fine(bev) + upsample_to(self.coarse(x), bev)
        return self.out(functional.relu(joined, inplace=True))


def _project(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
    )


def depthwise(channels: int, stride: int = 1) -> nn.Conv2d:
    """Returns a 3x3 convolution of each channel by itself."""
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


def _init(head: EfficientMotionHead) -> None:
    init_trunk(head)
    init_linear(head)
    for part in head.modules():
        if isinstance(part, nn.Conv2d) and part.groups > 1:
            nn.init.normal_(part.weight, std=1.0 / 3.0)
    init_output(head.segmentation.out)
    init_output(head.flow.out)
