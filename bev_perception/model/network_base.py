"""What every network is to pipeline, trainer, export and benchmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bev_perception.geometry.camera import Camera
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.memory import MemoryFrames, MemoryMotion, MemoryState
from bev_perception.model.outputs import ModelOutputs
from bev_perception.model.view_transform import RigMatrices


class RigBuilder(Protocol):
    """Turns calibrations into matrices."""

    def build(
        self,
        cameras: Sequence[Camera | None],
        valid: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> RigMatrices:
        """Returns the matrices of one rig; see `ViewTransform.build`."""


class HeadChoice(Protocol):
    """The heads of a network; see `HeadNames`."""

    @property
    def names(self) -> frozenset[str]:
        """Heads that there are, out of `HEADS`."""

    def known(self, heads: Collection[str] | None) -> frozenset[str]:
        """Returns the heads asked for, all for None."""


class BevNetwork(nn.Module, ABC):
    """A network in stages, for any number of cameras.

    `encode`, `lift`, `remember`, `bev_encoder` and `decode` are called one after the other, then
    `forecast` for objects that were found; `forward` does so for a frame without a past.

    Attributes:
        config: what it was made from.
        view_transform: makes the matrices that `lift` takes.
        bev_encoder: from BEV features that know the past to those that `decode` reads.
        heads: which there are.
    """

    config: ModelDescription
    view_transform: RigBuilder
    bev_encoder: nn.Module
    heads: HeadChoice

    def forward(
        self,
        images: Tensor,
        camera_mask: Tensor,
        matrices: RigMatrices,
        heads: Collection[str] | None = None,
        radar: Tensor | None = None,
    ) -> ModelOutputs:
        """Returns the raw outputs of the asked heads for frames without a past.

        Args:
            images: uint8 or float [B, N, 3, H, W], RGB 0..255; channels-last per camera is free
                of copies. Pixels of masked cameras are never read.
            camera_mask: bool [B, N], True where a camera takes part.
            matrices: of the batch, from `view_transform.build` and `collate`.
            heads: names of heads that the model has; None means all. The others are not computed.
            radar: raster [B, F + 1, Y, X] of `rasterise_radar`, for models with a radar section.

        Raises:
            ConfigError: a head is unknown or the images do not have the model's input size.
        """
        wanted = self.heads.known(heads)
        bev = self.lift(self.encode(images, camera_mask), camera_mask, matrices, radar)
        bev, _ = self.remember(bev, None, None)
        return self.decode(self.bev_encoder(bev), wanted)

    @abstractmethod
    def encode(self, images: Tensor, camera_mask: Tensor) -> ImageFeatures:
        """Returns the features of all cameras; masked ones are not computed."""

    @abstractmethod
    def lift(
        self,
        features: ImageFeatures,
        camera_mask: Tensor,
        matrices: Any,
        radar: Tensor | None = None,
    ) -> Tensor:
        """Returns BEV features [B, C, Y, X] of one frame."""

    @abstractmethod
    def remember(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion | None
    ) -> tuple[Tensor, MemoryState | None]:
        """Returns BEV features that know the past, and the state for the next frame."""

    @abstractmethod
    def memory_frames(self) -> MemoryFrames | None:
        """Returns what follows the vehicle's motion for the memory; None without one."""

    @abstractmethod
    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns the outputs of `heads` on encoded BEV features."""

    @abstractmethod
    def forecast(self, bev: Tensor, places: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mode logits [B, M, K] and offsets [B, M, K, T, 2] in m of objects' paths."""
