"""Motion head: where movable objects are now and will be, and which is which."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.heads.calibration import LogitCalibration
from bev_perception.model.layers import (
    CellOutput,
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
    upsample_to,
)

PRIOR_PROBABILITY = 0.1


class MotionHead(nn.Module):
    """Segmentation and backward centripetal flow of all steps at once.

    Outputs of PowerBEV (Li et al. 2023, sections 3.2 and 3.3): time is stacked into channels,
    2D convolutions at several scales give all steps in parallel, and each future cell points to
    the centre that its object had one step before. The coarse levels carry the reach that fast
    objects need: several seconds of driving span dozens of cells.

    Args:
        in_channels: of the BEV features.
        channels: of every level.
        steps: T, predicted steps after the present one.
        scales: coarser levels, each at half the resolution of the one before.
        parts: see `CellOutput`.
    """

    def __init__(
        self, in_channels: int, channels: int, steps: int, scales: int = 3, parts: int = 1
    ) -> None:
        super().__init__()
        self.frames = steps + 1
        self.down = nn.ModuleList(
            ConvBnRelu(in_channels if level == 0 else channels, channels, stride=2)
            for level in range(scales)
        )
        self.up = nn.ModuleList(ConvBnRelu(channels, channels) for _ in range(scales - 1))
        self.fine = ConvBnRelu(in_channels, channels, kernel=1)
        self.trunk = ConvBnRelu(channels, channels)
        self.out = CellOutput(channels, 3 * self.frames, parts)
        self.calibration = LogitCalibration(self.frames)
        init_trunk(self)
        init_output(self.out)
        self.out.set_bias(0, prior_logit(PRIOR_PROBABILITY), self.frames)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits [B, T + 1, Y, X] and flow [B, T + 1, 2, Y, X] in metres."""
        levels = []
        x = bev
        for down in self.down:
            x = down(x)
            levels.append(x)
        for up, level in zip(reversed(self.up), reversed(levels[:-1]), strict=True):
            x = up(level + upsample_to(x, level))
        fine = self.fine(bev)
        out = self.out(self.trunk(fine + upsample_to(x, fine)))
        logits, flow = out[:, : self.frames], out[:, self.frames :]
        return self.calibration(logits), flow.unflatten(1, (self.frames, 2))
