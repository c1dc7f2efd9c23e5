"""Present and past BEV maps to one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev_perception.model.layers import init_output, init_trunk
from bev_perception.model.memory.time_embedding import TimeGapModulation

# The fresh residual is about a tenth of the features.
RESIDUAL_STD = 0.02


class PastProjection(nn.Module):
    """1x1 convolution of a past map and its mask, modulated by the age of the map.

    Unknown cells contribute exactly nothing; known ones the scaled projection and a shift, which
    is what a mask channel would add.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.modulation = TimeGapModulation(out_channels)

    def forward(self, past: Tensor, known: Tensor, gap_s: Tensor) -> Tensor:
        """Returns [B, out_channels, Y, X].

        Args:
            past: [B, C, Y, X], zero where unknown.
            known: [B, 1, Y, X], 0 or 1.
            gap_s: [B], age of the map.
        """
        scale, shift = self.modulation(gap_s)
        offset = shift[:, :, None, None] * known
        return torch.addcmul(offset, self.project(past), scale[:, :, None, None])


class ResidualFusion(nn.Module):
    """Adds to the present map what K aligned past maps say about it.

    A bottleneck of three convolutions (He et al. 2016, figure 5) over the concatenation of all
    maps and masks, its first layer summed map by map. Cells that no past map knows, so all cells
    of a first frame, pass through unchanged. No batch normalisation: the past is absent in the
    first step of every sequence, and statistics over such steps fit no other.
    """

    def __init__(self, channels: int, slots: int, hidden: int) -> None:
        super().__init__()
        self.present = nn.Conv2d(channels, hidden, 1)
        self.past = nn.ModuleList(PastProjection(channels, hidden) for _ in range(slots))
        self.middle = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.out = nn.Conv2d(hidden, channels, 1)
        init_trunk(self)
        init_output(self.out, RESIDUAL_STD)

    def forward(self, bev: Tensor, past: Tensor, known: Tensor, gap_s: Tensor) -> Tensor:
        """Returns the fused map [B, C, Y, X].

        Args:
            bev: [B, C, Y, X], the present.
            past: [B, K, C, Y, X] in the present frame, zero where unknown.
            known: [B, K, 1, Y, X], 0 or 1.
            gap_s: [B, K], ages of the maps.
        """
        hidden = self.present(bev)
        for slot, projection in enumerate(self.past):
            hidden = hidden + projection(past[:, slot], known[:, slot], gap_s[:, slot])
        residual = self.out(self.middle(hidden.relu()).relu())
        return torch.addcmul(bev, residual.to(bev.dtype), known.amax(dim=1).to(bev.dtype))
