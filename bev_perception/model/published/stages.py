"""The stages that published networks have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.memory import MemoryMotion, MemoryState
from bev_perception.model.published.per_camera import per_camera

# Of ImageNet, times 255.
MEAN_RGB = (0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0)
STD_RGB = (0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0)


class ImageSize(Protocol):
    """Sizes of a published network, as far as images are concerned."""

    @property
    def image_height(self) -> int: ...

    @property
    def image_width(self) -> int: ...


Setup = TypeVar('Setup', bound=ImageSize)


class PublishedStages(nn.Module, ABC, Generic[Setup]):
    """Base of the published networks: encode, and remember nothing.

    Attributes:
        name: of the network, for messages.
        heads: names of what `decode` gives.
        setup: sizes.
    """

    name: ClassVar[str]
    heads: ClassVar[frozenset[str]]
    setup: Setup

    def encode(self, images: Tensor, camera_mask: Tensor) -> ImageFeatures:
        """Returns the features of all cameras; masked ones are not computed.

        Args:
            images: uint8 or float [B, N, 3, H, W], RGB 0..255.
            camera_mask: bool [B, N].

        Raises:
            ConfigError: the images do not have the model's input size.
        """
        size = self.setup.image_height, self.setup.image_width
        return self._image_features(per_camera(self._encoded, images, camera_mask, size))

    def remember(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion | None
    ) -> tuple[Tensor, MemoryState | None]:
        """Returns the features as they are: the model sees one frame at a time."""
        return bev, None

    @abstractmethod
    def _encoded(self, images: Tensor) -> Tensor:
        """Returns [M, C, h, w] of images [M, 3, H, W], RGB 0..255."""

    def _image_features(self, encoded: Tensor) -> ImageFeatures:
        return ImageFeatures(encoded, None)

    def _refuse(self, radar: Tensor | None) -> None:
        if radar is not None:
            raise ConfigError(f'{self.name} with cameras alone takes no radar')

    def _check_heads(self, heads: Collection[str]) -> None:
        unknown = sorted(set(heads) - self.heads)
        if unknown:
            raise ConfigError(
                f'{self.name}: no head {unknown[0]!r}; choose of {sorted(self.heads)}'
            )


def depth_and_context(both: Tensor, depths: int) -> ImageFeatures:
    """Returns features [B, N, D + C, h, w] as depth, the first D, and context."""
    return ImageFeatures(both[:, :, depths:], both[:, :, :depths])


def check_multiples(name: str, *sizes: tuple[str, int, int]) -> None:
    """Checks sizes (what, value, of what it must be a positive multiple).

    Raises:
        ConfigError: one is not.
    """
    for what, value, multiple in sizes:
        if value < multiple or value % multiple:
            raise ConfigError(f'{name}: {what} must be a multiple of {multiple}, got {value}')
