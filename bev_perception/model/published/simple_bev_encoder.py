"""Image encoder of Simple-BEV: ResNet-101 to stride 16, brought back to stride 8."""

from __future__ import annotations

from torch import Tensor, nn

from bev_perception.model.backbone import create_backbone
from bev_perception.model.published.upsampling import UpsamplingConcat

FEATURE_STRIDE = 8
COARSEST_STRIDE = 16


class SimpleBevEncoder(nn.Module):
    """Features at stride 8 (Harley et al. 2022, arXiv 2206.07959, section 3.1).

    The modules carry the names of the published state dict, except that the first half of the
    ResNet, numbered 0, 1, 4 and 5 there, and its third stage are one `backbone` with
    torchvision's names here.

    Args:
        channels: of the features, 128 as published.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.backbone = create_backbone('resnet101', strides=(FEATURE_STRIDE, COARSEST_STRIDE))
        self.upsampling_layer = UpsamplingConcat(
            sum(self.backbone.channels), 512, nn.InstanceNorm2d
        )
        self.depth_layer = nn.Conv2d(512, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Returns [M, C, H / 8, W / 8] of normalised images [M, 3, H, W]."""
        fine, coarse = self.backbone(images)
        features: Tensor = self.depth_layer(self.upsampling_layer(coarse, fine))
        return features
