"""Occupancy and semantics head."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.layers import (
    CellOutput,
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
)

PRIOR_PROBABILITY = 0.1


class OccupancyHead(nn.Module):
    """One convolution and one independent, calibrated logit per cell for each layer.

    What no camera has seen is no matter of this head: it answers everywhere (the BEV features
    know the coverage), and `BevFrame.observed` says where the answer counts. `parts`: see
    `CellOutput`.
    """

    def __init__(
        self, in_channels: int, channels: int, semantic_classes: int, parts: int = 1
    ) -> None:
        super().__init__()
        self.trunk = ConvBnRelu(in_channels, channels)
        self.out = CellOutput(channels, 1 + semantic_classes, parts)
        self.calibration = LogitCalibration(1 + semantic_classes)
        init_trunk(self.trunk)
        init_output(self.out)
        self.out.set_bias(0, prior_logit(PRIOR_PROBABILITY), 1 + semantic_classes)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """Returns occupancy logits [B, 1, Y, X] and semantic logits [B, C, Y, X] (views)."""
        out = self.calibration(self.out(self.trunk(bev)))
        return out[:, :1], out[:, 1:]
