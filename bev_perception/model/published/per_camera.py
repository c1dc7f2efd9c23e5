"""Running an image encoder on the cameras that take part, and on no others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bev_perception.errors import ConfigError


def per_camera(
    encoder: Callable[[Tensor], Tensor],
    images: Tensor,
    camera_mask: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """Returns [B, N, C, h, w], channels-last per camera: features of used cameras, else zero.

    Args:
        encoder: [M, 3, H, W] to [M, C, h, w], each image by itself.
        images: [B, N, 3, H, W]; those of masked cameras are never read.
        camera_mask: bool [B, N].
        size: (H, W) that the encoder expects.

    Raises:
        ConfigError: the images have another size.
    """
    if images.dim() != 5 or tuple(images.shape[2:]) != (3, *size):
        raise ConfigError(
            f'images must be [B, N, 3, {size[0]}, {size[1]}] for this model, '
            f'got {list(images.shape)}'
        )
    mask = camera_mask.flatten()
    pixels = images.flatten(0, 1)
    if torch.compiler.is_exporting() or bool(mask.all()):
        features = encoder(pixels)
    else:
        used = mask.nonzero().flatten()
        rows = encoder(pixels[used]).permute(0, 2, 3, 1)
        spread = rows.new_zeros(len(pixels), *rows.shape[1:]).index_copy(0, used, rows)
        features = spread.permute(0, 3, 1, 2)
    return features.unflatten(0, camera_mask.shape)
