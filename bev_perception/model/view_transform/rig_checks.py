"""What every view transform asks of the cameras and masks that it is built for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera

Mask = NDArray[np.bool_]


def masks_of(
    cameras: Sequence[Camera | None], valid: Sequence[Mask | None] | None, who: str
) -> Sequence[Mask | None]:
    """Returns one mask per camera, None for all pixels.

    Raises:
        ConfigError: no cameras, or not as many masks.
    """
    masks = valid if valid is not None else [None] * len(cameras)
    if not cameras or len(masks) != len(cameras):
        raise ConfigError(f'{who}: got {len(cameras)} cameras and {len(masks)} masks')
    return masks


def check_features(
    camera: Camera, mask: Mask | None, shape: tuple[int, int], stride: int, who: str
) -> None:
    """Checks that images and mask of a camera fit a feature map (height, width).

    Raises:
        ConfigError: they do not.
    """
    found = (-(-camera.height // stride), -(-camera.width // stride))
    if found != shape:
        raise ConfigError(
            f'{who}: camera {camera.name!r} of {camera.width} x {camera.height} gives '
            f'{found[1]} x {found[0]} features at stride {stride}, expected '
            f'{shape[1]} x {shape[0]}; pass the camera of the model input'
        )
    _check_mask(camera, mask, who)


def check_image(camera: Camera, mask: Mask | None, size: tuple[int, int], who: str) -> None:
    """Checks that images and mask of a camera have a size (height, width).

    Raises:
        ConfigError: they have not.
    """
    if (camera.height, camera.width) != size:
        raise ConfigError(
            f'{who}: camera {camera.name!r} is {camera.width} x {camera.height}, expected '
            f'{size[1]} x {size[0]}; pass the camera of the model input'
        )
    _check_mask(camera, mask, who)


def shown_features(mask: Mask | None, shape: tuple[int, int], stride: int) -> Mask:
    """Returns bool [h, w]: the image pixel under the centre of each feature pixel is valid.

    Of the four in the middle for an even stride, the lower right one.
    """
    if mask is None:
        return np.ones(shape, np.bool_)
    v, u = (
        np.minimum(np.arange(count) * stride + stride // 2, size - 1)
        for count, size in zip(shape, mask.shape, strict=True)
    )
    return np.asarray(mask[np.ix_(v, u)])


def _check_mask(camera: Camera, mask: Mask | None, who: str) -> None:
    size = (camera.height, camera.width)
    if mask is not None and mask.shape != size:
        raise ConfigError(
            f'{who}: camera {camera.name!r} has a mask of {mask.shape}, expected {size}'
        )
