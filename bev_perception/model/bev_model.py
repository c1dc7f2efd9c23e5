"""The network: camera images in, raw BEV head outputs out, one stage after the other."""

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
from bev_perception.model.heads.bev_heads import BevHeads
from bev_perception.model.image_features import ImageFeatures
from bev_perception.model.memory import MemoryFrames, MemoryMotion, MemoryState
from bev_perception.model.neck import ImageNeck
from bev_perception.model.network_base import BevNetwork
from bev_perception.model.normalise import Normalise
from bev_perception.model.outputs import ModelOutputs
from bev_perception.model.parts import create_memory, create_memory_frames, create_view_transform
from bev_perception.model.view_transform import RigMatrices, ViewTransform
from bev_perception.model.view_transform.radar import RadarInput


class BevModel(BevNetwork):
    """Image encoder, view transform, memory, BEV encoder and heads, for any number of cameras.

    Which cameras take part is an input (MetaBEV, Ge et al. 2023): the view transform leaves
    masked ones out, and the coverage of what remains is told to the BEV encoder. Cells that a
    camera does not reach are the same with and without it, up to the reach of the convolutions.
    Channels-last in memory throughout. Initial weights come from torch's global generator.
    """

    config: ModelConfig
    view_transform: ViewTransform
    heads: BevHeads

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise(config.input.mean_rgb, config.input.std_rgb)
        self.backbone = create_backbone(
            config.backbone.name, strides=(FEATURE_STRIDE, COARSEST_STRIDE)
        )
        self.neck = ImageNeck(self.backbone.channels, config.neck.channels)
        self.view_transform = create_view_transform(config)
        self.depth_head = DepthContextHead(
            config.neck.channels,
            self.view_transform.context_channels,
            config.depth.bins if config.depth else None,
        )
        channels = self.view_transform.out_channels
        self.radar = RadarInput(channels, config.radar.features + 1) if config.radar else None
        self.coverage = nn.Conv2d(1, channels, 1, bias=False)
        nn.init.normal_(self.coverage.weight, std=0.1)
        self.memory = create_memory(config, channels)
        self.bev_encoder = BevEncoder(
            channels, config.bev_encoder.widths, config.bev_encoder.channels
        )
        self.heads = BevHeads(config)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def encode(self, images: Tensor, camera_mask: Tensor) -> ImageFeatures:
        """Returns the features of all cameras; masked ones are not computed.

        Raises:
            ConfigError: the images do not have the model's input size.
        """
        self._check_size(images)
        mask = camera_mask.flatten()
        pixels = images.flatten(0, 1)
        if torch.compiler.is_exporting() or bool(mask.all()):
            context, depth = self._encode_cameras(pixels)
        else:
            context, depth = self._encode_some(pixels, mask.nonzero().flatten())
        cameras = camera_mask.shape
        return ImageFeatures(
            context.unflatten(0, cameras),
            None if depth is None else depth.unflatten(0, cameras),
        )

    def lift(
        self,
        features: ImageFeatures,
        camera_mask: Tensor,
        matrices: RigMatrices,
        radar: Tensor | None = None,
    ) -> Tensor:
        """Returns BEV features [B, C, Y, X] of one frame, its coverage known to them.

        Raises:
            ConfigError: the model takes radar and there is none, or the other way round.
        """
        bev: Tensor = self.view_transform(features.context, features.depth, camera_mask, matrices)
        if (self.radar is None) != (radar is None):
            needs = 'takes no' if self.radar is None else 'needs a'
            raise ConfigError(f"model '{self.config.name}' {needs} radar raster")
        if self.radar is not None:
            bev = self.radar(bev, radar)
        return bev + self.coverage(matrices.coverage(camera_mask).to(bev.dtype))

    def remember(
        self, bev: Tensor, state: MemoryState | None, motion: MemoryMotion | None
    ) -> tuple[Tensor, MemoryState | None]:
        """Returns BEV features that know the past, and the state for the next frame.

        Args:
            bev: [B, C, Y, X] of this frame.
            state: of the frame before; None: there was none.
            motion: since then (`MemoryFrames`); None: no past.
        """
        if self.memory is None:
            return bev, None
        if motion is None:
            motion = MemoryMotion.none(len(bev), self.memory.slots, bev.device)
        fused, new = self.memory(bev, state, motion)
        return fused, new

    def memory_frames(self) -> MemoryFrames | None:
        """Returns what follows the vehicle's motion for the memory; None without one."""
        return create_memory_frames(self.config)

    def decode(self, bev: Tensor, heads: Collection[str]) -> ModelOutputs:
        """Returns the outputs of `heads` on encoded BEV features [B, C, Y, X].

        Trajectories are those of objects and not among them: see `forecast`.

        Raises:
            ConfigError: the model has no head of that name.
        """
        outputs: ModelOutputs = self.heads(bev, self.heads.known(heads))
        return outputs

    def forecast(self, bev: Tensor, places: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mode logits [B, M, K] and offsets [B, M, K, T, 2] in m of objects' paths.

        Args:
            bev: encoded BEV features [B, C, Y, X].
            places: [B, M, 4]: x_m, y_m, sine and cosine of the heading.
            velocity: [B, M, 2] in m/s, axes of the base frame.

        Raises:
            ConfigError: the model has no trajectory head.
        """
        logits, offsets_m = self.heads.forecast(bev, places, velocity)
        return logits, offsets_m

    def _encode_cameras(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns context and depth of [M, 3, H, W] images of cameras that take part."""
        context, depth = self.depth_head(self.neck(*self.backbone(self.normalise(images))))
        return context, depth

    def _encode_some(self, images: Tensor, used: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encodes the images at the indices `used` only; the rest of the result is zero."""
        height, width = self.config.feature_size()
        bins = self.config.depth.bins if self.config.depth else None
        if len(used):
            context, depth = self._encode_cameras(images[used])
        else:
            none = self.normalise.scale.new_zeros
            context = none(0, self.view_transform.context_channels, height, width)
            depth = none(0, bins, height, width) if bins else None
        count = len(images)
        return _spread(context, used, count), (
            None if depth is None else _spread(depth, used, count)
        )

    def _check_size(self, images: Tensor) -> None:
        expected = (3, self.config.input.height, self.config.input.width)
        if images.ndim != 5 or tuple(images.shape[2:]) != expected:
            raise ConfigError(
                f'images must be [B, N, {", ".join(map(str, expected))}] for this model, '
                f'got {list(images.shape)}'
            )


def _spread(part: Tensor, used: Tensor, count: int) -> Tensor:
    """Returns [count, C, h, w], channels-last: `part` at the indices `used`, zeros elsewhere."""
    rows = part.permute(0, 2, 3, 1)
    return rows.new_zeros(count, *rows.shape[1:]).index_copy(0, used, rows).permute(0, 3, 1, 2)
