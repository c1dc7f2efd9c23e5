"""Draws the views of a frame: everything on the ground, the ground, the sky, light and shadow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render import ground_layers
from bev_trainer.render.atlas import Atlas
from bev_trainer.render.context import UNIFORM_BLOCKS, program
from bev_trainer.render.finishes import Kind
from bev_trainer.render.frame import VIEW_BLOCK_BYTES, CameraFrame, ViewFrame, view_block
from bev_trainer.render.ground_texture import (
    COARSE_M,
    COARSE_MARGIN_M,
    FINE_M,
    FINE_MARGIN_M,
    ground_texture,
    window_around,
)
from bev_trainer.render.headlights import beams_of
from bev_trainer.render.instances import Instances
from bev_trainer.render.lighting import Light
from bev_trainer.render.mesh import ARM_SWING_RAD, HIP_HEIGHT, LEG_SWING_RAD, SHOULDER_HEIGHT
from bev_trainer.render.mesh_buffers import RowBuffer
from bev_trainer.render.mesh_store import mesh_store
from bev_trainer.render.panorama import sky_texture
from bev_trainer.render.shadows import Shadows
from bev_trainer.render.timing import StageTimes
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.world import Scenario

FloatArray = NDArray[np.float64]

_TAPS = 2  # of the ground along a pixel's longer axis
_PATH_STEP_S = 0.5
_CONTACT_RANGE_M = 45.0
_LIMBS: dict[str, int | float] = {
    'HIP_HEIGHT': HIP_HEIGHT,
    'SHOULDER_HEIGHT': SHOULDER_HEIGHT,
    'LEG_SWING': LEG_SWING_RAD,
    'ARM_SWING': ARM_SWING_RAD,
}
_UNITS = (
    'noise_map', 'cover_map', 'wear_map', 'sky_map', 'still_shadows', 'moving_shadows', 'lamp_map',
)  # fmt: skip


class Painter:
    """Programs, textures and buffers of one drive.

    Args:
        context: from `open_context`.
        scenario: of the drive.
        light: of its weather.
        still: what never moves: scenery, parked vehicles.
        camera_count: of the rig.
        supersample: of colour; beyond 1, colour and labels are drawn apart.
    """

    def __init__(
        self,
        context: Any,
        scenario: Scenario,
        light: Light,
        still: Sequence[Instances],
        camera_count: int,
        supersample: int,
    ) -> None:
        self._context, self._scenario, self._light = context, scenario, light
        self._supersample = supersample
        self._frame_rows = RowBuffer(context)
        self._view_blocks = context.buffer(reserve=VIEW_BLOCK_BYTES * 64, dynamic=True)
        self._light_block = context.buffer(light.block())
        self._held: list[Any] = [self._view_blocks, self._light_block]
        self._shared = {'noise_map': ground_layers.noise_texture(context)}
        self._square = _square(context)
        self._held += self._square
        self._shared['sky_map'] = self._sky()
        self._shadows = None
        if light.has_shadows:
            self._shadows = Shadows(context, light, still, _LIMBS, camera_count)
            self._shared.update(self._shadows.textures())
        self._windows = self._ground_windows()
        night = int(light.night > 0)
        if night:
            self._shared['lamp_map'] = self._lamp_texture()
        lit = {'SHADOWS': int(light.has_shadows), 'NIGHT': night}
        labels = {'LABELS': int(supersample == 1)}
        self._color_arrays = self._arrays({'COLOUR': 1, **labels, **lit})
        self._label_arrays = None
        if supersample > 1:
            self._label_arrays = self._arrays({'COLOUR': 0, 'LABELS': 1, 'SHADOWS': 0, 'NIGHT': 0})

    def paint(self, atlas: Atlas, frames: Sequence[CameraFrame], times: StageTimes) -> None:
        """Draws all views of a frame into the atlas."""
        context = self._context
        self._light_block.bind_to_uniform_block(UNIFORM_BLOCKS.index('Light'))
        if self._shadows is not None:
            with times.stage('shadow'):
                self._shadows.draw(context, frames)
                context.finish()
        with times.stage('upload'):
            contacts = self._upload(frames)
        with times.stage('draw'):
            if self._label_arrays is None:
                self._draw(atlas.both, frames, self._color_arrays, 0)
            else:
                self._draw(atlas.labels, frames, self._label_arrays, 1)
                self._draw(atlas.color_only, frames, self._color_arrays, 0)
            self._draw_contacts(atlas.color_only, frames, contacts)
            context.finish()

    def release(self) -> None:
        """Gives back buffers and textures of the drive."""
        if self._shadows is not None:
            self._shadows.release()
        self._frame_rows.release()
        for held in self._held:
            held.release()

    # Set up.

    def _ground_windows(self) -> list[tuple[Any, dict[str, Any], dict[str, Any]]]:
        """Returns (corners, textures, uniforms) of the fine and the coarse window."""
        scenario, context = self._scenario, self._context
        count = int(scenario.duration_s / _PATH_STEP_S) + 2
        times = scenario.start_s + np.linspace(0.0, scenario.duration_s, count)
        path = np.array([scenario.world_T_base(time)[:2, 3] for time in times])
        fine = window_around(path, FINE_MARGIN_M, FINE_M)
        coarse = window_around(path, COARSE_MARGIN_M, COARSE_M)
        self._coarse = coarse
        made = []
        for window, corners in (
            (fine, ground_layers.near_corners(fine)),
            (coarse, ground_layers.far_corners(fine)),
        ):
            rng = np.random.default_rng([len(scenario.world.name), window.size_x, window.size_y])
            textures = ground_layers.upload(
                context, ground_texture(scenario.world.road_map, window, rng)
            )
            width, height = window.x_max_m - window.x_min_m, window.y_max_m - window.y_min_m
            uniforms = {
                'window': (window.x_min_m, window.y_min_m, 1.0 / width, 1.0 / height),
                'texel_m': window.texel_m,
            }
            buffer = context.buffer(corners.tobytes())
            self._held += [buffer, *textures.values()]
            made.append((buffer, textures, uniforms))
        return made

    def _sky(self) -> Any:
        self._light_block.bind_to_uniform_block(UNIFORM_BLOCKS.index('Light'))
        self._shared['noise_map'].use(0)
        east = float(self._light.sun[0])
        sky = sky_texture(self._context, *self._square, (0.37 * east, 0.11 + 0.23 * east))
        self._held.append(sky)
        return sky

    def _lamp_texture(self) -> Any:
        coarse = self._coarse
        size = np.array([coarse.x_max_m - coarse.x_min_m, coarse.y_max_m - coarse.y_min_m])
        start = np.array([coarse.x_min_m, coarse.y_min_m])
        window = window_around(np.stack([start, start + size]), 0.0, ground_layers.LAMP_TEXEL_M)
        points = ground_layers.lamp_points(self._scenario.world.props, mesh_store())
        shine = self._light.night if self._light.lamps else 0.0
        image = ground_layers.lamp_image(points, window) * np.float32(0.7 * shine)
        texture = self._context.texture(
            (window.size_x, window.size_y), 1, image.tobytes(), dtype='f4'
        )
        texture.filter = (self._context.LINEAR, self._context.LINEAR)
        texture.repeat_x = texture.repeat_y = False
        self._lamp_window = (
            window.x_min_m,
            window.y_min_m,
            1.0 / (window.x_max_m - window.x_min_m),
            1.0 / (window.y_max_m - window.y_min_m),
        )
        self._held.append(texture)
        return texture

    def _arrays(self, defines: dict[str, int | float]) -> dict[Any, Any]:
        """Returns vertex arrays by what they draw."""
        context = self._context
        wet = int(self._light.wetness > 0) * defines['COLOUR']
        # Few shadows of traffic reach house fronts and crowns of trees.
        body = {**defines, **_LIMBS, 'MOVING_SHADOWS': 1}
        fixed = {**body, 'MOVING_SHADOWS': 0}
        ground = {**defines, 'MOVING_SHADOWS': 1, 'WET': wet, 'TAPS': _TAPS}
        made = {
            Kind.SOLID: program(context, 'solid', 'solid', {**body, 'LEAVES': 0}),
            Kind.LEAVES: program(context, 'solid', 'solid', {**fixed, 'LEAVES': 1}),
            Kind.FACADE: program(context, 'facade', 'facade', fixed),
            'ground': program(context, 'ground', 'ground', ground),
            'sky': program(context, 'sky', 'sky', defines),
        }
        for each in made.values():
            self._set_uniforms(each)
        square, order = self._square
        arrays: dict[Any, Any] = {kind: self._frame_rows.mesh_array(made[kind]) for kind in Kind}
        arrays['sky'] = context.vertex_array(made['sky'], [(square, '2f', 'in_corner')], order)
        for index, (buffer, _, _) in enumerate(self._windows):
            arrays['ground', index] = context.vertex_array(
                made['ground'], [(buffer, '2f', 'in_corner')]
            )
        if defines['COLOUR']:
            contact = program(context, 'contact', 'contact', _LIMBS)
            arrays['contact'] = self._frame_rows.quad_array(contact, square, order)
        self._held += arrays.values()
        return arrays

    def _set_uniforms(self, made: Any) -> None:
        for unit, name in enumerate(_UNITS):
            if name in made:
                made[name].value = unit
        if 'lamp_window' in made:
            made['lamp_window'].value = self._lamp_window

    # Every frame.

    def _upload(self, frames: Sequence[CameraFrame]) -> list[tuple[int, int]]:
        """Writes rows, commands, blocks; returns contact commands (first, count) by view."""
        views = [(frame, view) for frame in frames for view in frame.views]
        rows = [view.drawn.rows for _, view in views]
        commands = [view.drawn.commands for _, view in views]
        row, command = sum(map(len, rows)), sum(map(len, commands))
        contacts = []
        for frame, view in views:
            near = _near_road_users(frame, view)
            contacts.append((command, int(len(near) > 0)))
            if len(near):
                rows.append(near)
                commands.append(np.array([[6, len(near), 0, 0, row]], np.uint32))
            row, command = row + len(near), command + contacts[-1][1]
        self._frame_rows.write(np.concatenate(rows), np.concatenate(commands))
        self._view_blocks.write(self._blocks(frames))
        return contacts

    def _blocks(self, frames: Sequence[CameraFrame]) -> bytes:
        """Returns the view blocks of colour, then of labels if they are drawn apart."""
        shading = []
        for camera, frame in enumerate(frames):
            shadows = np.zeros((3, 4))
            if self._shadows is not None:
                shadows = self._shadows.placement(frame, camera)
            beams = np.zeros((0, 2, 4))
            if self._light.lamps:
                beams = self._beams(frame)
            shading.append((shadows, beams))
        scales = (1,) if self._supersample == 1 else (self._supersample, 1)
        return b''.join(
            view_block(frame, each.view.scaled(scale), 1.0, *shades)
            for scale in scales
            for frame, shades in zip(frames, shading, strict=True)
            for each in frame.views
        )

    def _beams(self, frame: CameraFrame) -> FloatArray:
        ego = self._scenario.ego
        ahead = frame.world_T_base[:2, 0]
        middle = frame.world_T_base[:2, 3] + self._scenario.base_offset_m * ahead
        front = np.array([*(middle + 0.5 * ego.length_m * ahead), 0.42 * ego.height_m])
        return beams_of(
            frame.traffic, front, float(np.arctan2(ahead[1], ahead[0])), frame.origin_m
        )

    def _draw(
        self, target: Any, frames: Sequence[CameraFrame], arrays: dict[Any, Any], which: int
    ) -> None:
        """Draws all views; `which` of the sets of view blocks."""
        context = self._context
        context.enable_only(context.DEPTH_TEST | context.CULL_FACE)
        context.front_face = 'cw'  # clip y points down, which mirrors outlines
        context.depth_func = '<='
        target.use()
        target.clear(depth=1.0)
        scale = self._supersample if which == 0 else 1
        views = [view for frame in frames for view in frame.views]
        for unit, name in enumerate(_UNITS):
            if name in self._shared:
                self._shared[name].use(unit)
        for number, each in enumerate(views):
            self._enter(target, each.view.scaled(scale), which * len(views) + number)
            self._draw_meshes(each, arrays)
            self._draw_ground_and_sky(arrays)

    def _enter(self, target: Any, view: Any, block: int) -> None:
        target.viewport = (view.x, view.y, view.width, view.height)
        self._view_blocks.bind_to_uniform_block(
            UNIFORM_BLOCKS.index('View'), offset=block * VIEW_BLOCK_BYTES, size=VIEW_BLOCK_BYTES
        )

    def _draw_meshes(self, each: ViewFrame, arrays: dict[Any, Any]) -> None:
        for kind in Kind:
            first, count = each.drawn.spans[kind]
            if count:
                arrays[kind].render_indirect(
                    self._frame_rows.commands, count=count, first=each.first_command + first
                )

    def _draw_ground_and_sky(self, arrays: dict[Any, Any]) -> None:
        self._context.disable(self._context.CULL_FACE)
        for index, (_, textures, uniforms) in enumerate(self._windows):
            array = arrays['ground', index]
            for name, texture in textures.items():
                texture.use(_UNITS.index(name))
            for name, value in uniforms.items():
                if name in array.program:
                    array.program[name].value = value
            array.render()
        arrays['sky'].render()
        self._context.enable(self._context.CULL_FACE)

    def _draw_contacts(
        self, target: Any, frames: Sequence[CameraFrame], contacts: list[tuple[int, int]]
    ) -> None:
        """Darkens the ground under and around road users."""
        context = self._context
        context.enable_only(context.DEPTH_TEST | context.BLEND)
        context.blend_func = context.DST_COLOR, context.ZERO
        target.depth_mask = False
        target.use()
        views = [view for frame in frames for view in frame.views]
        for number, (each, (first, count)) in enumerate(zip(views, contacts, strict=True)):
            if count:
                self._enter(target, each.view.scaled(self._supersample), number)
                self._color_arrays['contact'].render_indirect(
                    self._frame_rows.commands, count=count, first=first
                )
        target.depth_mask = True


def _square(context: Any) -> tuple[Any, Any]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], 'f4')
    order = np.array([0, 1, 2, 0, 2, 3], np.uint32)
    return context.buffer(corners.tobytes()), context.buffer(order.tobytes())


def _near_road_users(frame: CameraFrame, each: ViewFrame) -> NDArray[np.void]:
    rows = each.drawn.rows
    eye = frame.world_T_camera[:2, 3] - frame.origin_m
    distance = np.hypot(rows['place'][:, 0] - eye[0], rows['place'][:, 1] - eye[1])
    is_user = rows['label'][:, 2] >= SemanticClass.CAR
    return rows[is_user & (distance < _CONTACT_RANGE_M)]
