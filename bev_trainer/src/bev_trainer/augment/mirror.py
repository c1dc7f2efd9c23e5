"""Left and right exchanged: images, cameras, motion and every target.

The scene is mirrored at the plane y = 0 of the base frame. An image of a mirrored scene is the
mirrored image of a camera that stands at the mirrored place, so nothing is re-sampled. Whoever
drives on the right then drives on the left, and writing is reversed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from bev_perception.errors import ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config_base import ModelDescription
from bev_perception.model.memory import MemoryMotion
from bev_perception.model.view_transform import RigMatrices
from bev_trainer.data.clip import Clip, ClipFrame
from bev_trainer.targets.frame import FrameTargets

_TOLERANCE_CELLS = 1e-6


def require_mirrorable(config: ModelDescription) -> None:
    """Checks that a model looks as far to the left as to the right, on all its grids.

    Raises:
        ConfigError: it does not; names the grid.
    """
    grids = {'grid': config.bev_grid()}
    grids |= {
        f'heads.{head}.grid': config.head_grid(head) for head in ('occupancy', 'objects', 'motion')
    }
    for name, grid in grids.items():
        if not _is_symmetric(grid):
            raise ConfigError(
                f'mirroring needs grids that are symmetric in y: {name} reaches from '
                f'{grid.y_min_m:g} to {grid.y_max_m:g} m; change it or do not mirror'
            )


def mirrored_camera(camera: Camera) -> Camera:
    """Returns the camera that sees the mirrored scene as the mirrored image.

    Column u becomes width - 1 - u.
    """
    K = camera.K.copy()
    K[0, 1] = -K[0, 1]
    K[0, 2] = camera.width - 1 - K[0, 2]
    pose = camera.base_T_camera.copy()
    pose[1] = -pose[1]  # the scene
    pose[:, 0] = -pose[:, 0]  # the camera's axis to the right, so that axes stay right-handed
    return replace(camera, K=K, distortion=_mirrored_lens(camera.distortion), base_T_camera=pose)


def mirrored_clip(clip: Clip, matrices: RigMatrices) -> Clip:
    """Returns mirrored clips.

    Args:
        clip: of a model for which `require_mirrorable` holds.
        matrices: those of the mirrored cameras of the images, valid pixels mirrored, too.
    """
    return Clip(tuple(map(_mirrored_frame, clip.frames)), matrices, clip.lost)


def mirrored_motion(motion: MemoryMotion) -> MemoryMotion:
    """Returns how the memory moves in the mirrored scene."""
    # y -> -y on both sides of rotation | translation, which act on (x, y, 1).
    sign = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]], device=motion.read.device)
    return replace(
        motion, read=motion.read * sign, move=motion.move * sign, write=motion.write * sign
    )


def mirrored_targets(targets: FrameTargets) -> FrameTargets:
    """Returns the targets of the mirrored frames.

    Raises:
        KeyError: there is a target of which it is not known how it is mirrored.
    """
    changed = {}
    for item in fields(targets):
        value = getattr(targets, item.name)
        if value is not None:
            changed[item.name] = MIRRORED[item.name](value)
    return replace(targets, **changed)


def _mirrored_frame(frame: ClipFrame) -> ClipFrame:
    return ClipFrame(
        frame.images.flip(-1),
        frame.camera_mask,
        None if frame.motion is None else mirrored_motion(frame.motion),
        None if frame.targets is None else mirrored_targets(frame.targets),
    )


def _mirrored_lens(lens: Distortion) -> Distortion:
    if lens.model not in ('plumb_bob', 'rational_polynomial'):
        return lens
    values = list(lens.coefficients)
    values[3] = -values[3]  # p2 bends to the right or left
    return Distortion(lens.model, tuple(values))


def _is_symmetric(grid: BevGrid) -> bool:
    return abs(grid.y_min_m + grid.y_max_m) <= _TOLERANCE_CELLS * grid.resolution_m


def _map(value: Tensor) -> Tensor:
    """Mirrors numbers per cell, [..., Y, X]."""
    return value.flip(-2)


def _map_of(*negated: int, axis: int) -> Callable[[Tensor], Tensor]:
    """Returns what mirrors maps [..., Y, X] some of whose channels along an axis change sign."""
    return lambda value: _negated(value, negated, axis).flip(-2)


def _list_of(*negated: int) -> Callable[[Tensor], Tensor]:
    """Returns what mirrors lists [..., C] some of whose columns change sign."""
    return lambda value: _negated(value, negated, -1)


def _negated(value: Tensor, channels: tuple[int, ...], axis: int) -> Tensor:
    sign = np.ones(value.shape[axis], np.float32)
    sign[list(channels)] = -1.0
    shape = [1] * value.ndim
    shape[axis] = -1
    return value * torch.from_numpy(sign).view(shape).to(value)


MIRRORED: dict[str, Callable[[Tensor], Tensor]] = {
    'occupancy': _map,
    'semantics': _map,
    'heatmap': _map,
    'existence': _map,
    'boxes': _map_of(1, 6, 9, axis=1),  # offset y, sine of the heading, velocity y
    'motion': _map,
    'flow': _map_of(1, axis=2),
    'places': _list_of(1, 2),  # y, sine of the heading
    'velocity': _list_of(1),
    'offsets_m': _list_of(1),
    'path_valid': lambda value: value,
    'depth_bin': lambda value: value.flip(-1),
    'view_heatmap': lambda value: value.flip(-1),
    # Offset to the right, sine of the heading.
    'view_boxes': lambda value: _negated(value, (0, 6), 2).flip(-1),
}
