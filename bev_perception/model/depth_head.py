"""Depth and context head: what each feature pixel sees, and how far away."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.layers import ConvBnRelu, init_output, init_trunk


class DepthContextHead(nn.Module):
    """Categorical depth distribution and context vector per pixel.

    Lift step of Philion and Fidler 2020 (LSS), section 3.1: the outer product of the two is the
    pixel's contribution along its ray. Depth and context leave through separate convolutions so
    that each is one contiguous channels-last block, as the view transform reads them.

    Args:
        in_channels: of the image features.
        context_channels: of the context.
        depth_bins: None for a view transform that needs no depth.
    """

    def __init__(self, in_channels: int, context_channels: int, depth_bins: int | None) -> None:
        super().__init__()
        self.trunk = ConvBnRelu(in_channels, in_channels)
        self.depth = None if depth_bins is None else nn.Conv2d(in_channels, depth_bins, 1)
        self.context = nn.Conv2d(in_channels, context_channels, 1)
        init_trunk(self)
        if self.depth is not None:
            init_output(self.depth)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns context [M, C, h, w] and depth probabilities [M, D, h, w], channels-last."""
        x = self.trunk(x)
        if self.depth is None:
            return self.context(x), None
        # Softmax copies its input unless the reduced axis is the innermost one in memory.
        logits = self.depth(x).permute(0, 2, 3, 1)
        return self.context(x), logits.softmax(dim=-1).permute(0, 3, 1, 2)
