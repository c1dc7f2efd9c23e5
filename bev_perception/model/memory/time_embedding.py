"""How old the past is, as scale and shift of features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Periods of the sinusoids: from two frames of a fast camera to longer than any bridged gap.
SHORTEST_PERIOD_S = 0.1
LONGEST_PERIOD_S = 20.0
FREQUENCIES = 8
HIDDEN = 32


class TimeGapModulation(nn.Module):
    """Scale and shift of feature channels out of the age of those features.

    Sinusoids of the gap in geometric steps (Vaswani et al. 2017, section 3.5), then a small
    perceptron whose two outputs act as in FiLM (Perez et al. 2018, eq. 1). VideoBEV (Han et al.
    2023) embeds the gap as well, so that missed frames do not look like faster motion.
    A fresh module neither scales nor shifts.
    """

    angular: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        periods_s = torch.logspace(
            math.log10(SHORTEST_PERIOD_S), math.log10(LONGEST_PERIOD_S), FREQUENCIES
        )
        self.register_buffer('angular', 2.0 * math.pi / periods_s, persistent=False)
        self.hidden = nn.Linear(2 * FREQUENCIES, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2 * channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, gap_s: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scale (1 = unchanged) and shift, [B, channels] each, of ages [B] in seconds."""
        angle = gap_s.to(torch.float32)[:, None] * self.angular.to(torch.float32)
        waves = torch.cat([angle.sin(), angle.cos()], dim=1).to(self.hidden.weight.dtype)
        scale, shift = self.out(self.hidden(waves).relu()).chunk(2, dim=1)
        return 1.0 + scale, shift
