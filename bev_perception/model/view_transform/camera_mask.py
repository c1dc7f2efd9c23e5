"""Leaving cameras out of the inputs of a view transform, whatever their features hold."""

from __future__ import annotations

import torch
from torch import Tensor

from bev_perception.model.view_transform.known_mask import known_all


def without_masked(features: Tensor, camera_mask: Tensor) -> Tensor:
    """Returns the features with exact zeros for masked cameras, NaN or not, in the same layout.

    Args:
        features: [B, N, ., h, w].
        camera_mask: bool [B, N], True where a camera takes part.
    """
    if known_all(camera_mask):
        return features
    return torch.where(camera_mask[:, :, None, None, None], features, 0.0)


def check_inputs(context: Tensor, depth: Tensor | None, expected: tuple[int, ...]) -> Tensor:
    """Returns `depth` once both inputs have the shapes that the matrices ask for.

    Args:
        context: [B, N, C, h, w].
        depth: [B, N, D, h, w].
        expected: B, N, C, D, h, w.

    Raises:
        ValueError: a shape differs, or there is no depth.
    """
    batch, cameras, channels, bins, *shape = expected
    if tuple(context.shape) != (batch, cameras, channels, *shape):
        raise ValueError(
            f'view transform: context is {tuple(context.shape)}, expected '
            f'{(batch, cameras, channels, *shape)}'
        )
    if depth is None or tuple(depth.shape) != (batch, cameras, bins, *shape):
        raise ValueError(
            f'view transform: depth is {None if depth is None else tuple(depth.shape)}, expected '
            f'{(batch, cameras, bins, *shape)}'
        )
    return depth
