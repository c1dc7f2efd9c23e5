"""All image backbones by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bev_perception.errors import ConfigError
from bev_perception.model.backbone.base import STRIDES, Backbone
from bev_perception.model.backbone.efficientnet import EFFICIENTNETS, EfficientNet
from bev_perception.model.backbone.mobilenet_v4 import MOBILENETS_V4, MobileNetV4
from bev_perception.model.backbone.regnet import REGNETS, RegNet
from bev_perception.model.backbone.resnet import RESNETS, ResNet

# Each takes the strides of the features.
BACKBONES: Mapping[str, Callable[[Sequence[int]], Backbone]] = {
    **{name: partial(ResNet, layout) for name, layout in RESNETS.items()},
    **{name: partial(EfficientNet, layout) for name, layout in EFFICIENTNETS.items()},
    **{name: partial(MobileNetV4, layout) for name, layout in MOBILENETS_V4.items()},
    **{name: partial(RegNet, layout) for name, layout in REGNETS.items()},
}


def create_backbone(name: str, strides: Sequence[int] = (8, 16)) -> Backbone:
    """Returns a freshly initialised backbone by name that yields features at `strides`.

    Raises:
        ConfigError: no backbone of that name, or a stride that none of them has.
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone '{name}' is unknown; choose one of {', '.join(BACKBONES)}")
    if not strides or not set(strides) <= set(STRIDES):
        raise ConfigError(f'backbone strides must be some of {STRIDES}, got {tuple(strides)}')
    return BACKBONES[name](strides)
