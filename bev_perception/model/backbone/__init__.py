"""Image backbones with the state-dict names of timm (ResNets: and torchvision), in plain torch."""

from __future__ import annotations

from bev_perception.model.backbone.base import Backbone
from bev_perception.model.backbone.catalog import BACKBONES, create_backbone
from bev_perception.model.backbone.efficientnet import EFFICIENTNETS, TENSORFLOW, EfficientNet
from bev_perception.model.backbone.mobilenet_v4 import MobileNetV4
from bev_perception.model.backbone.regnet import RegNet
from bev_perception.model.backbone.resnet import BasicBlock, Bottleneck, ResNet

__all__ = [
    'BACKBONES',
    'EFFICIENTNETS',
    'TENSORFLOW',
    'Backbone',
    'BasicBlock',
    'Bottleneck',
    'EfficientNet',
    'MobileNetV4',
    'RegNet',
    'ResNet',
    'create_backbone',
]
