"""The motion head for small computers: the same outputs for a fraction of the work."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.heads.attention import Attention, init_linear
from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.heads.motion import PRIOR_PROBABILITY
from bev_perception.model.layers import (
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
    set_bias,
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
    branches.

    Args:
        in_channels: of the BEV features.
        channels: of every level.
        steps: T, predicted steps after the present one.
    """

    def __init__(self, in_channels: int, channels: int, steps: int) -> None:
        super().__init__()
        self.frames = steps + 1
        self.down = nn.ModuleList(
            SeparableConv(in_channels if level == 0 else channels, channels, stride=2)
            for level in range(_SCALES)
        )
        self.blocks = nn.Sequential(*(AttentionBlock(channels) for _ in range(_BLOCKS)))
        self.fine = ConvBnRelu(in_channels, channels, kernel=1)
        self.trunk = SeparableConv(channels, channels)
        self.segmentation = _Branch(channels, self.frames)
        self.flow = _Branch(channels, 2 * self.frames)
        self.calibration = LogitCalibration(self.frames)
        _init(self)
        set_bias(self.segmentation.out, 0, prior_logit(PRIOR_PROBABILITY), self.frames)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits [B, T + 1, Y, X] and flow [B, T + 1, 2, Y, X] in metres."""
        levels = [bev]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.blocks(levels[-1])
        for level in reversed([self.fine(bev), *levels[1:-1]]):
            x = level + upsample_to(x, level)
        x = self.trunk(x)
        flow = self.flow(x).unflatten(1, (self.frames, 2))
        return self.calibration(self.segmentation(x)), flow


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
    """Separable convolution to half the channels, then the outputs."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        thin = max(1, channels // 2)
        self.trunk = SeparableConv(channels, thin)
        self.out = nn.Conv2d(thin, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, outputs, Y, X]."""
        return self.out(self.trunk(x))


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
