"""Motion head: where movable objects are now and will be, and which is which."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.layers import (
    ConvBnRelu,
    init_output,
    init_trunk,
    prior_logit,
    set_bias,
    upsample_to,
)

PRIOR_PROBABILITY = 0.1


class MotionHead(nn.Module):
    """Segmentation and backward centripetal flow of all steps at once.

    Outputs of PowerBEV (Li et al. 2023, sections 3.2 and 3.3): time is stacked into channels,
    2D convolutions at several scales give all steps in parallel, and each future cell points to
    the centre that its object had one step before. The coarse levels carry the reach that fast
    objects need: several seconds of driving span dozens of cells.
    """

    def __init__(self, in_channels: int, channels: int, steps: int) -> None:
        super().__init__()
        self.frames = steps + 1
        self.down = nn.ModuleList(
            ConvBnRelu(in_channels if level == 0 else channels, channels, stride=2)
            for level in range(3)
        )
        self.up = nn.ModuleList(ConvBnRelu(channels, channels) for _ in range(2))
        self.fine = ConvBnRelu(in_channels, channels, kernel=1)
        self.trunk = ConvBnRelu(channels, channels)
        self.out = nn.Conv2d(channels, 3 * self.frames, 1)
        init_trunk(self)
        init_output(self.out)
        set_bias(self.out, 0, prior_logit(PRIOR_PROBABILITY), self.frames)

    def forward(self, bev: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits [B, T + 1, Y, X] and flow [B, T + 1, 2, Y, X] in metres (views)."""
        half = self.down[0](bev)
        quarter = self.down[1](half)
        eighth = self.down[2](quarter)
        quarter = self.up[1](quarter + upsample_to(eighth, quarter))
        half = self.up[0](half + upsample_to(quarter, half))
        fine = self.fine(bev)
        out = self.out(self.trunk(fine + upsample_to(half, fine)))
        logits, flow = out[:, : self.frames], out[:, self.frames :]
        return logits, flow.unflatten(1, (self.frames, 2))
