"""Bird's-eye-view half of Simple-BEV: height compression, U-shaped decoder and heads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from bev_perception.model.backbone import BasicBlock
from bev_perception.model.published.upsampling import UpsamplingAdd

# Three halvings on the way down.
CELLS_MULTIPLE = 8


@dataclass(frozen=True)
class SimpleBevMaps:
    """What the published heads say, [B, ., forward, right]: cells rise ahead and to the right.

    Attributes:
        segmentation: [B, 1, Z, X], vehicle logit.
        center: [B, 1, Z, X], probability of a vehicle's centre (after the sigmoid).
        offset: [B, 2, Z, X], (right, forward): twice the way from the vehicle's centre to the
            cell, in cells. (Twice: the published labels add the smallest and the largest offset
            over an axis of length one.)
        features: [B, C, Z, X] of the feature head.
    """

    segmentation: Tensor
    center: Tensor
    offset: Tensor
    features: Tensor


class HeightCompressor(nn.Sequential):
    """Stacked heights to one BEV map: 3x3 convolution, instance normalisation, GELU.

    (Harley et al. 2022, section 3.1: the vertical dimension is reshaped into channels.)
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__(
            nn.Conv2d(channels * levels, channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(channels),
            nn.GELU(),
        )
        self.levels = levels

    def forward(self, volume: Tensor) -> Tensor:
        """Returns [B, C, Z, X] of a volume [B, levels * C, Z, X].

        The lift puts a level's channels side by side in memory; the published weights count
        levels within a channel. Reordering the weights is cheaper than reordering the volume.
        """
        published = self.get_parameter('0.weight').unflatten(1, (-1, self.levels))
        weight = published.transpose(1, 2).flatten(1, 2)
        _, norm, activation = self.children()
        compressed: Tensor = activation(norm(functional.conv2d(volume, weight, padding=1)))
        return compressed


class SimpleBevDecoder(nn.Module):
    """The first three stages of a ResNet-18, skip connections up again, and four heads.

    Args:
        channels: of the BEV features, which are those of the heads as well.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        norm = nn.InstanceNorm2d
        self.first_conv = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.up3_skip = UpsamplingAdd(256, 128, norm)
        self.up2_skip = UpsamplingAdd(128, 64, norm)
        self.up1_skip = UpsamplingAdd(64, channels, norm)
        self.feat_head = _head(channels, channels)
        self.segmentation_head = _head(channels, 1)
        self.instance_offset_head = _head(channels, 2)
        self.instance_center_head = nn.Sequential(*_head(channels, 1), nn.Sigmoid())

    def forward(self, bev: Tensor) -> Tensor:
        """Returns what the heads see, [B, C, Z, X] of the same shape as `bev`."""
        half = self.layer1(self.relu(self.bn1(self.first_conv(bev))))
        quarter = self.layer2(half)
        eighth = self.layer3(quarter)
        raised = self.up2_skip(self.up3_skip(eighth, quarter), half)
        decoded: Tensor = self.up1_skip(raised, bev)
        return decoded

    def maps(self, decoded: Tensor) -> SimpleBevMaps:
        """Returns the outputs of all heads on the result of `forward`."""
        return SimpleBevMaps(
            segmentation=self.segmentation_head(decoded),
            center=self.instance_center_head(decoded),
            offset=self.instance_offset_head(decoded),
            features=self.feat_head(decoded),
        )


def _head(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.InstanceNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, out_channels, 1),
    )
