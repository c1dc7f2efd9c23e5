"""The network: camera images in, raw BEV head outputs out."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from bev_perception.errors import ConfigError
from bev_perception.model.backbone import create_backbone
from bev_perception.model.bev_encoder import BevEncoder
from bev_perception.model.config import ModelConfig
from bev_perception.model.config_sections import COARSEST_STRIDE, FEATURE_STRIDE
from bev_perception.model.depth_head import DepthContextHead
from bev_perception.model.heads.motion import MotionHead
from bev_perception.model.heads.objects import ObjectHead
from bev_perception.model.heads.occupancy import OccupancyHead
from bev_perception.model.neck import ImageNeck
from bev_perception.model.normalise import Normalise
from bev_perception.model.outputs import HEADS, ModelOutputs
from bev_perception.model.view_transform import DepthBins, LiftMatrix, LiftSplat, splat


def create_lift_splat(config: ModelConfig) -> LiftSplat:
    """Returns the view transform that turns calibrations into the `LiftMatrix` of a model."""
    height, width = config.feature_size()
    return LiftSplat(
        grid=config.bev_grid(),
        bins=DepthBins(config.depth.min_m, config.depth.max_m, config.depth.bins),
        z_range_m=config.lift.z_range_m,
        feature_height=height,
        feature_width=width,
        stride=FEATURE_STRIDE,
    )


class BevModel(nn.Module):
    """Image encoder, lift-splat, BEV encoder and three heads, for any number of cameras.

    Channels-last in memory throughout. Initial weights come from torch's global generator.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        heads = config.heads
        bev_channels = config.bev_encoder.channels
        self.normalise = Normalise(config.input.mean_rgb, config.input.std_rgb)
        self.backbone = create_backbone(
            config.backbone.name, strides=(FEATURE_STRIDE, COARSEST_STRIDE)
        )
        self.neck = ImageNeck(self.backbone.channels, config.neck.channels)
        self.depth_head = DepthContextHead(
            config.neck.channels, config.lift.channels, config.depth.bins
        )
        self.bev_encoder = BevEncoder(
            config.lift.channels, config.bev_encoder.widths, bev_channels
        )
        self.occupancy_head = OccupancyHead(
            bev_channels, heads.occupancy.channels, len(heads.semantics.classes)
        )
        self.object_head = ObjectHead(
            bev_channels, heads.objects.channels, len(heads.objects.classes)
        )
        self.motion_head = MotionHead(bev_channels, heads.motion.channels, heads.motion.steps)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        images: Tensor,
        camera_mask: Tensor,
        lift: LiftMatrix,
        heads: Collection[str] | None = None,
    ) -> ModelOutputs:
        """Returns the raw outputs of the asked heads.

        Args:
            images: uint8 or float [B, N, 3, H, W], RGB 0..255; channels-last per camera is free
                of copies. Pixels of masked cameras are never read.
            camera_mask: bool [B, N], True where a camera takes part.
            lift: view transform of the batch (`LiftMatrix.collate`).
            heads: names out of `HEADS`; None means all. The others are not computed.

        Raises:
            ConfigError: a head is unknown or the images do not have the model's input size.
        """
        wanted = _known(HEADS if heads is None else heads)
        context, depth = self.encode(images, camera_mask)
        return self.decode(self.bev_encoder(splat(context, depth, lift)), wanted)

    def encode(self, images: Tensor, camera_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Returns context [B, N, C, h, w] and depth [B, N, D, h, w]; exact zeros where masked.

        Raises:
            ConfigError: the images do not have the model's input size.
        """
        self._check_size(images)
        mask = camera_mask.flatten()
        pixels = images.flatten(0, 1)
        if bool(mask.all()):
            context, depth = self._encode_cameras(pixels)
        else:
            context, depth = self._encode_some(pixels, mask.nonzero().flatten())
        cameras = camera_mask.shape
        return context.unflatten(0, cameras), depth.unflatten(0, cameras)

    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns the outputs of `heads` on encoded BEV features [B, C, Y, X].

        Raises:
            ConfigError: a head is unknown.
        """
        _known(heads)
        occupancy: tuple[Tensor | None, ...] = (None,) * 2
        objects: tuple[Tensor | None, ...] = (None,) * 6
        motion: tuple[Tensor | None, ...] = (None,) * 2
        if 'occupancy' in heads:
            occupancy = self.occupancy_head(bev)
        if 'objects' in heads:
            objects = self.object_head(bev)
        if 'motion' in heads:
            motion = self.motion_head(bev)
        return ModelOutputs(*occupancy, *objects, *motion)

    def _encode_cameras(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns context and depth of [M, 3, H, W] images of cameras that take part."""
        return self.depth_head(self.neck(*self.backbone(self.normalise(images))))

    def _encode_some(self, images: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes the images at the indices `used` only; the rest of the result is zero."""
        height, width = self.config.feature_size()
        if len(used):
            context, depth = self._encode_cameras(images[used])
        else:
            none = self.normalise.scale.new_zeros
            context = none(0, self.config.lift.channels, height, width)
            depth = none(0, self.config.depth.bins, height, width)
        return _spread(context, used, len(images)), _spread(depth, used, len(images))

    def _check_size(self, images: Tensor) -> None:
        expected = (3, self.config.input.height, self.config.input.width)
        if images.ndim != 5 or tuple(images.shape[2:]) != expected:
            raise ConfigError(
                f'images must be [B, N, {", ".join(map(str, expected))}] for this model, '
                f'got {list(images.shape)}'
            )


def _known(heads: Collection[str]) -> frozenset[str]:
    wanted = frozenset(heads)
    if not wanted <= HEADS:
        raise ConfigError(
            f'no head named {", ".join(sorted(wanted - HEADS))}; '
            f'choose from {", ".join(sorted(HEADS))}'
        )
    return wanted


def _spread(part: Tensor, used: Tensor, count: int) -> Tensor:
    """Returns [count, C, h, w], channels-last: `part` at the indices `used`, zeros elsewhere."""
    rows = part.permute(0, 2, 3, 1)
    return rows.new_zeros(count, *rows.shape[1:]).index_copy(0, used, rows).permute(0, 3, 1, 2)
