"""Image backbones with the state-dict names of timm (ResNets: and torchvision), in plain torch."""

from __future__ import annotations

from bev_perception.model.backbone.base import Backbone
from bev_perception.model.backbone.catalog import BACKBONES, create_backbone
from bev_perception.model.backbone.efficientnet import EfficientNet
from bev_perception.model.backbone.resnet import BasicBlock, Bottleneck, ResNet

__all__ = [
    'BACKBONES',
    'Backbone',
    'BasicBlock',
    'Bottleneck',
    'EfficientNet',
    'ResNet',
    'create_backbone',
]
