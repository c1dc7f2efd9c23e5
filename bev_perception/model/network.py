"""The network that a description asks for."""

from __future__ import annotations

from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import AnyModelConfig
from bev_perception.model.config_published import PublishedConfig
from bev_perception.model.network_base import BevNetwork
from bev_perception.model.published_network import PublishedNetwork


def create_network(config: AnyModelConfig) -> BevNetwork:
    """Returns the network of a description with fresh weights, from torch's generator."""
    if isinstance(config, PublishedConfig):
        return PublishedNetwork(config)
    return BevModel(config)
