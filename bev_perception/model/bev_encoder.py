"""BEV encoder: turns lifted features, dense near and sparse far, into features for the heads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from bev_perception.model.backbone import BasicBlock
from bev_perception.model.layers import ConvBnRelu, init_trunk, upsample_to


class BevEncoder(nn.Module):
    """Residual U-Net over the grid: a ResNet downwards, an FPN upwards.

    The form of the BEV encoders of LSS (Philion and Fidler 2020, section 3.2) and BEVDet
    (Huang et al. 2021, section 3.1), with sums instead of concatenations on the way up so that
    the full-resolution level costs one convolution. Any grid size works: levels are resampled
    to the size of the level above, not by a fixed factor.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], out_channels: int) -> None:
        super().__init__()
        levels = [in_channels, *widths]
        self.down = nn.ModuleList(
            BasicBlock(narrow, wide, stride=2) for narrow, wide in itertools.pairwise(levels)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(level, out_channels, 1) for level in levels)
        self.smooth = nn.ModuleList(ConvBnRelu(out_channels, out_channels) for _ in widths)
        init_trunk(self)

    def forward(self, bev: Tensor) -> Tensor:
        """Returns [B, out_channels, Y, X] of lifted features [B, in_channels, Y, X]."""
        levels = [bev]
        for block in self.down:
            levels.append(block(levels[-1]))
        x = self.lateral[-1](levels[-1])
        for index in range(len(levels) - 2, -1, -1):
            lateral = self.lateral[index](levels[index])
            x = self.smooth[index](lateral.add_(upsample_to(x, lateral)))
        return x
