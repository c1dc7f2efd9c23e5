"""The two networks of Lift-Splat-Shoot: image encoder and BEV encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.backbone.base import init_convolutions
from bev_perception.model.backbone.efficientnet import EFFICIENTNETS, TENSORFLOW, EfficientNet
from bev_perception.model.backbone.resnet import BasicBlock, resnet_stage

TRUNK = EFFICIENTNETS['efficientnet_b0']
FEATURE_STRIDE = 16
COARSEST_STRIDE = 32
# Three halvings precede the upsampling that has to meet the finer maps exactly.
CELLS_MULTIPLE = 8


class UpConcat(nn.Module):
    """Enlarges the coarse map, puts the fine one in front of its channels, two 3x3 convolutions.

    The corners of both maps are aligned, as published.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Returns [M, C, f h, f w] of [M, C1, h, w] and [M, C2, f h, f w]."""
        enlarged = functional.interpolate(
            coarse, scale_factor=self.factor, mode='bilinear', align_corners=True
        )
        features: Tensor = self.conv(torch.cat([fine, enlarged], dim=1))
        return features


class CameraEncoder(nn.Module):
    """Depth distribution and context features at stride 16 (section 3.1 of the paper).

    Args:
        depths: number of depths D.
        channels: of the context features.
    """

    def __init__(self, depths: int, channels: int) -> None:
        super().__init__()
        self.depths = depths
        self.up1 = UpConcat(112 + 320, 512, factor=COARSEST_STRIDE // FEATURE_STRIDE)
        self.depthnet = nn.Conv2d(512, depths + channels, 1)
        init_convolutions(self)
        self.trunk = EfficientNet(TRUNK, (FEATURE_STRIDE, COARSEST_STRIDE), TENSORFLOW)

    def forward(self, images: Tensor) -> Tensor:
        """Returns [M, D + C, H / 16, W / 16] of normalised images [M, 3, H, W].

        D probabilities first, then the context.
        """
        fine, coarse = self.trunk(images)
        both = self.depthnet(self.up1(coarse, fine))
        return torch.cat([both[:, : self.depths].softmax(dim=1), both[:, self.depths :]], dim=1)


class BevEncoder(nn.Module):
    """The front of a ResNet-18 without its pooling, and back to the size of the grid (section 4).

    Args:
        channels: of the BEV features.
        classes: number of output maps.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = resnet_stage(BasicBlock, 64, 64, depth=2, stride=1)
        self.layer2 = resnet_stage(BasicBlock, 64, 128, depth=2, stride=2)
        self.layer3 = resnet_stage(BasicBlock, 128, 256, depth=2, stride=2)
        self.up1 = UpConcat(64 + 256, 256, factor=4)
        self.up2 = nn.Sequential(
            nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True),
            nn.Conv2d(256, 128, 3, padding=1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, classes, 1),
        )
        init_convolutions(self)

    def forward(self, bev: Tensor) -> Tensor:
        """Returns logits [B, classes, Y, X] of BEV features [B, C, Y, X]."""
        fine = self.layer1(functional.relu(self.bn1(self.conv1(bev)), inplace=True))
        coarse = self.layer3(self.layer2(fine))
        logits: Tensor = self.up2(self.up1(coarse, fine))
        return logits
