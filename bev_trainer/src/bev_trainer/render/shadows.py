"""Shadow maps, sheared along the sun onto the ground.

A point's place in the map is where its shadow falls on the plane z = 0, its depth is its height:
the map is equally fine everywhere on the ground, however low the sun stands. What stands is drawn
only when the vehicle enters another cell of a coarse grid; what moves is drawn for every camera
at its own time, so that shadows stay attached to their objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.context import program
from bev_trainer.render.culling import COMMAND_WORDS
from bev_trainer.render.instances import INSTANCE_DTYPE, PARKED, Instances
from bev_trainer.render.lighting import Light
from bev_trainer.render.mesh_buffers import RowBuffer
from bev_trainer.render.mesh_store import mesh_store

if TYPE_CHECKING:
    from bev_trainer.render.frame import CameraFrame

FloatArray = NDArray[np.float64]

_STILL_SIZE, _STILL_HALF_M, _STILL_CELL_M = 2048, 82.0, 24.0
_TILE_SIZE, _TILE_HALF_M, _TILE_AHEAD_M = 384, 24.0, 18.0
_SOFT_M = 0.06  # half the spread of taps


class Shadows:
    """Shadow maps of one drive.

    Args:
        context: from `open_context`.
        light: of the drive, with a sun.
        still: what never moves.
        limbs: preprocessor constants of walking.
    """

    def __init__(
        self,
        context: Any,
        light: Light,
        still: Sequence[Instances],
        limbs: dict[str, int | float],
        camera_count: int,
    ) -> None:
        self._still = still
        self._shear = light.sun[:2] / light.sun[2]
        self._program = program(context, 'shadow', 'shadow', limbs)
        self._tiles = camera_count
        self._maps = {
            'still_shadows': context.depth_texture((_STILL_SIZE, _STILL_SIZE)),
            'moving_shadows': context.depth_texture((_TILE_SIZE * camera_count, _TILE_SIZE)),
        }
        for texture in self._maps.values():
            texture.compare_func = '<='
            texture.filter = (context.LINEAR, context.LINEAR)
            texture.repeat_x = texture.repeat_y = False
        self._targets = [context.framebuffer([], texture) for texture in self._maps.values()]
        self._rows = RowBuffer(context)
        self._array = self._rows.mesh_array(self._program)
        self._still_center: FloatArray | None = None
        self._in_use = [False] * camera_count

    def draw(self, context: Any, frames: Sequence[CameraFrame]) -> None:
        """Brings the maps up to date for a frame."""
        context.disable(context.CULL_FACE)
        context.enable_only(context.DEPTH_TEST)
        center = np.rint(frames[0].world_T_base[:2, 3] / _STILL_CELL_M) * _STILL_CELL_M
        if self._still_center is None or (center != self._still_center).any():
            self._draw_still(center)
        self._draw_moving(frames)

    def textures(self) -> dict[str, Any]:
        """Returns the maps by their names in the shaders."""
        return dict(self._maps)

    def placement(self, frame: CameraFrame, camera: int) -> FloatArray:
        """Returns [3, 4]: `still_map`, `moving_map` and `moving_tile` of a camera's views."""
        assert self._still_center is not None
        scale = 0.5 / _STILL_HALF_M
        still = (frame.origin_m - self._still_center) * scale + 0.5
        tile = 0.5 / _TILE_HALF_M
        moving = -(_tile_center(frame) - frame.origin_m) * tile + 0.5
        count = self._tiles
        edge = 1.0 / _TILE_SIZE if self._in_use[camera] else 1.0  # nothing lies in an empty tile
        return np.array(
            [
                (scale, *still, _SOFT_M * scale),
                (tile / count, tile, (moving[0] + camera) / count, moving[1]),
                ((camera + edge) / count, edge, (camera + 1 - edge) / count, 1 - edge),
            ]
        )

    def release(self) -> None:
        """Gives back maps and buffers."""
        for held in (self._array, *self._targets, *self._maps.values()):
            held.release()
        self._rows.release()

    def _draw_still(self, center_m: FloatArray) -> None:
        parts, first = [], 0
        for instances in self._still:
            chosen = self._casters(instances, center_m, _STILL_HALF_M)
            parts.append(_commands(instances, chosen, center_m, first))
            first += len(chosen)
        rows, commands = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._rows.write(rows, commands)
        target = self._targets[0]
        target.use()
        target.clear(depth=1.0)
        self._program['map'].value = (1.0 / _STILL_HALF_M, 0.0, 0.0)
        self._render(0, len(commands))
        self._still_center = center_m

    def _draw_moving(self, frames: Sequence[CameraFrame]) -> None:
        parts, first = [], 0
        for frame in frames:
            chosen = self._casters(frame.traffic, _tile_center(frame), _TILE_HALF_M)
            chosen = chosen[frame.traffic.rows['label'][chosen, 3] & PARKED == 0]
            part = _commands(frame.traffic, chosen, frame.origin_m, first)
            first += len(part[0])
            parts.append(part)
        self._in_use = [len(commands) > 0 for _, commands in parts]
        self._rows.write(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        target = self._targets[1]
        target.use()
        target.clear(depth=1.0)
        command = 0
        for camera, (frame, (_, commands)) in enumerate(zip(frames, parts, strict=True)):
            target.viewport = (camera * _TILE_SIZE, 0, _TILE_SIZE, _TILE_SIZE)
            center = (_tile_center(frame) - frame.origin_m) / _TILE_HALF_M
            self._program['map'].value = (1.0 / _TILE_HALF_M, -center[0], -center[1])
            self._render(command, len(commands))
            command += len(commands)
        target.viewport = (0, 0, *target.size)

    def _render(self, first: int, count: int) -> None:
        if count:
            self._array.render_indirect(self._rows.commands, count=count, first=first)

    def _casters(
        self, instances: Instances, center_m: FloatArray, half_m: float
    ) -> NDArray[np.int64]:
        """Returns what may throw a shadow into a square window."""
        height = 2.0 * instances.center_m[:, 2]
        # A shadow reaches from the foot to where the top's shadow falls.
        foot = instances.center_m[:, :2] - center_m
        tip = foot - height[:, None] * self._shear
        reach = half_m + instances.radius_m[:, None]
        low, high = np.minimum(foot, tip), np.maximum(foot, tip)
        return np.flatnonzero(((low < reach) & (high > -reach)).all(axis=1))


def _tile_center(frame: CameraFrame) -> FloatArray:
    """Returns [2] world: ahead of a camera that looks ahead, under one that looks down."""
    forward = frame.world_T_camera[:2, 2]
    return np.asarray(frame.world_T_camera[:2, 3] + _TILE_AHEAD_M * forward)


def _commands(
    instances: Instances, chosen: NDArray[np.int64], origin_m: FloatArray, first_row: int
) -> tuple[NDArray[np.void], NDArray[np.uint32]]:
    """Returns (rows, commands) of the chosen instances, whole meshes."""
    if len(chosen) == 0:
        return np.zeros(0, INSTANCE_DTYPE), np.zeros((0, COMMAND_WORDS), np.uint32)
    chosen = chosen[np.argsort(instances.model[chosen], kind='stable')]
    model = instances.model[chosen]
    first = np.flatnonzero(np.concatenate([[True], model[1:] != model[:-1]]))
    ranges = mesh_store().ranges[model[first]]
    commands = np.zeros((len(first), COMMAND_WORDS), np.uint32)
    commands[:, 0] = ranges[:, :, 1].sum(axis=1)
    commands[:, 1] = np.diff(np.append(first, len(model)))
    commands[:, 2] = ranges[:, 0, 0]
    commands[:, 4] = first + first_row
    return instances.placed(chosen, origin_m), commands
