"""Image encoder of PowerBEV: EfficientNet-B4 to stride 16, back to stride 8, depth and context."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bev_perception.model.backbone.efficientnet import EFFICIENTNETS, TENSORFLOW, EfficientNet
from bev_perception.model.published.upsampling import UpsamplingConcat

FEATURE_STRIDE = 8
COARSEST_STRIDE = 16


class PowerBevEncoder(nn.Module):
    """Depth distribution and context features at stride 8 (Li et al. 2023, section 3.1).

    Args:
        depths: number of depths D.
        channels: of the context features.
    """

    def __init__(self, depths: int, channels: int) -> None:
        super().__init__()
        self.depths = depths
        strides = FEATURE_STRIDE, COARSEST_STRIDE
        self.backbone = EfficientNet(EFFICIENTNETS['efficientnet_b4'], strides, TENSORFLOW)
        self.upsampling_layer = UpsamplingConcat(sum(self.backbone.channels), 128, nn.BatchNorm2d)
        self.depth_layer = nn.Conv2d(128, depths + channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns [M, D + C, H / 8, W / 8] of normalised images [M, 3, H, W].

        D probabilities first, then the context.
        """
        fine, coarse = self.backbone(images)
        both = self.depth_layer(self.upsampling_layer(coarse, fine))
        return torch.cat([both[:, : self.depths].softmax(dim=1), both[:, self.depths :]], dim=1)
