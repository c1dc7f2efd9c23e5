"""Published networks as the rest of the product knows networks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.geometry.camera import Camera
from bev_perception.model.config_published import PublishedConfig
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.memory import MemoryFrames, MemoryMotion, MemoryState
from bev_perception.model.network_base import BevNetwork
from bev_perception.model.outputs import HeadNames, ModelOutputs
from bev_perception.model.published.lift_splat_shoot import LiftSplatShoot, LiftSplatShootSetup
from bev_perception.model.published.power_bev import PowerBev
from bev_perception.model.published.simple_bev import SimpleBev, SimpleBevSetup
from bev_perception.model.view_transform import RigMatrices

Published = LiftSplatShoot | SimpleBev | PowerBev


class PublishedNetwork(BevNetwork):
    """A published network, its weights under `published.`.

    It decodes from what it remembers: there is no BEV encoder apart from its own, and no
    trajectory head.

    Args:
        config: which network, and its sizes.
        network: with weights, of the sizes of `config`; None: fresh weights.
    """

    def __init__(self, config: PublishedConfig, network: Published | None = None) -> None:
        super().__init__()
        self.config: PublishedConfig = config
        self.published = _create(config) if network is None else network
        self.view_transform = _Builder(self.published)
        self.bev_encoder = nn.Identity()
        self.heads = HeadNames(config.name, config.heads.names)

    def encode(self, images: Tensor, camera_mask: Tensor) -> ImageFeatures:
        return self.published.encode(images, camera_mask)

    def lift(
        self,
        features: ImageFeatures,
        camera_mask: Tensor,
        matrices: RigMatrices,
        radar: Tensor | None = None,
    ) -> Tensor:
        return self.published.lift(features, camera_mask, matrices, radar)  # type: ignore[arg-type]

    def remember(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion | None
    ) -> tuple[Tensor, MemoryState | None]:
        return self.published.remember(bev, state, motion)

    def memory_frames(self) -> MemoryFrames | None:
        past = self.config.memory
        if past is None:
            return None
        return MemoryFrames('ring', past.slots, self.config.bev_grid(), past.max_gap_s)

    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        return self.published.decode(bev, self.heads.known(heads))

    def forecast(self, bev: Tensor, places: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Published networks have no trajectory head.

        Raises:
            ConfigError: always.
        """
        self.heads.known({'trajectories'})
        raise AssertionError('a published network with trajectories')


@dataclass(frozen=True)
class _Builder:
    """The `build` of a network as a thing of its own, which is no part of the network."""

    network: Published

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> RigMatrices:
        return self.network.build(cameras, valid)


def _create(config: PublishedConfig) -> Published:
    setup = config.setup()
    if isinstance(setup, LiftSplatShootSetup):
        return LiftSplatShoot(setup)
    if isinstance(setup, SimpleBevSetup):
        return SimpleBev(setup)
    assert config.memory is not None
    return PowerBev(setup, config.memory.slots)
