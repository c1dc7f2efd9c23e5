"""Occupancy and semantics head."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.layers import (
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
    set_bias,
)

PRIOR_PROBABILITY = 0.1


class OccupancyHead(nn.Module):
    """One convolution and one independent, calibrated logit per cell for each layer.

    What no camera has seen is no matter of this head: it answers everywhere (the BEV features
    know the coverage), and `BevFrame.observed` says where the answer counts.
    """

    def __init__(self, in_channels: int, channels: int, semantic_classes: int) -> None:
        super().__init__()
        self.trunk = ConvBnRelu(in_channels, channels)
        self.out = nn.Conv2d(channels, 1 + semantic_classes, 1)
        self.calibration = LogitCalibration(1 + semantic_classes)
        init_trunk(self.trunk)
        init_output(self.out)
        set_bias(self.out, 0, prior_logit(PRIOR_PROBABILITY), 1 + semantic_classes)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """Returns occupancy logits [B, 1, Y, X] and semantic logits [B, C, Y, X] (views)."""
        out = self.calibration(self.out(self.trunk(bev)))
        return out[:, :1], out[:, 1:]
