"""Small building blocks shared by the parts of the model."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBnRelu(nn.Sequential):
    """Convolution ('same' padding), batch normalisation, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class CellOutput(nn.Conv2d):
    """Last 1x1 convolution of a head: the outputs of every cell, or of each of its parts.

    With `parts` > 1 a cell of the features answers for parts x parts finer ones: the sub-pixel
    convolution of Shi et al. 2016 (section 3.2). The head computes at the coarse resolution, and
    what it says is as fine as asked.

    Args:
        in_channels: of the features.
        outputs: C, of each cell.
        parts: of a cell along each axis.
    """

    def __init__(self, in_channels: int, outputs: int, parts: int = 1) -> None:
        super().__init__(in_channels, outputs * parts * parts, 1)
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        """Returns [B, C, parts Y, parts X] of features [B, in_channels, Y, X]."""
        out = super().forward(x)
        return out if self.parts == 1 else functional.pixel_shuffle(out, self.parts)

    def set_bias(self, start: int, values: float | list[float], count: int = 1) -> None:
        """Sets the biases of `count` outputs (or one per value) from output `start` on."""
        assert self.bias is not None
        fill = values if isinstance(values, list) else [values] * count
        each = self.parts * self.parts
        with torch.no_grad():
            biases = self.bias[start * each : (start + len(fill)) * each]
            biases.copy_(torch.tensor(fill).repeat_interleave(each))


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Returns x bilinearly resampled to the height and width of `like` ([B, C, H, W])."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return functional.interpolate(x, size=like.shape[-2:], mode='bilinear', align_corners=False)


def init_trunk(module: nn.Module) -> None:
    """Initialises every convolution below `module` so that signals keep their size.

    Convolutions without bias are followed by normalisation and ReLU (He et al. 2015, eq. 10,
    fan out); those with bias are linear projections (Glorot and Bengio 2010).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            if part.bias is None:
                nn.init.kaiming_normal_(part.weight, mode='fan_out', nonlinearity='relu')
            else:
                nn.init.xavier_normal_(part.weight)
                nn.init.zeros_(part.bias)


def init_output(conv: nn.Conv2d, std: float = 0.1) -> None:
    """Initialises a last 1x1 convolution: small weights, zero bias.

    The weights of each output sum to zero: features behind a ReLU have a positive mean, which
    would otherwise shift every output away from its bias.
    """
    nn.init.normal_(conv.weight, std=std)
    with torch.no_grad():
        conv.weight -= conv.weight.mean(dim=1, keepdim=True)
        if conv.bias is not None:
            conv.bias.zero_()


def prior_logit(probability: float) -> float:
    """Returns the bias that makes a fresh sigmoid output `probability`.

    Starting rare foreground at a small probability keeps the many background cells from
    drowning the first steps of training (Lin et al. 2017, RetinaNet, section 4.1).
    """
    return math.log(probability / (1.0 - probability))
