"""Image neck: brings coarse semantics to the stride at which features are lifted."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from bev_perception.model.layers import ConvBnRelu, init_trunk, upsample_to


class ImageNeck(nn.Module):
    """Feature pyramid of two levels (Lin et al. 2017, FPN): stride 16 added into stride 8."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        fine, coarse = in_channels
        self.fine = nn.Conv2d(fine, channels, 1)
        self.coarse = nn.Conv2d(coarse, channels, 1)
        self.fuse = ConvBnRelu(channels, channels)
        init_trunk(self)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Returns [M, channels, h, w] at the size of `fine`."""
        fused = self.fine(fine)
        return self.fuse(fused.add_(upsample_to(self.coarse(coarse), fused)))
