"""Upsampling blocks that Simple-BEV and PowerBEV share, with their published state-dict names.

Both go back to the encoder and decoder of FIERY (Hu et al. 2021, arXiv 2104.10490, appendix A);
Simple-BEV replaced the batch normalisation by instance normalisation without parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

Norm = type[nn.BatchNorm2d] | type[nn.InstanceNorm2d]


class UpsamplingConcat(nn.Module):
    """Doubles the coarse map, puts the fine one in front of its channels, two 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False)
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            norm(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            norm(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Returns [M, C, 2h, 2w] of [M, C1, h, w] and [M, C2, 2h, 2w]."""
        features: Tensor = self.conv(torch.cat([fine, self.upsample(coarse)], dim=1))
        return features


class UpsamplingAdd(nn.Module):
    """Doubles the coarse map, brings it to the channels of the fine one and adds that."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.upsample_layer = nn.Sequential(
            nn.Upsample(scale_factor=2, mode='bilinear', align_corners=False),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            norm(out_channels),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Returns [M, C, 2h, 2w] of [M, C1, h, w] and [M, C, 2h, 2w]."""
        raised: Tensor = self.upsample_layer(coarse)
        return raised + fine
