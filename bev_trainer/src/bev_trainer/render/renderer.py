"""A scenario as camera images with exact depth, classes and instances.

Every camera is one or several ideal pinhole views in a common atlas. All views of a frame are
drawn into it one after the other, near before far, writing colour, labels and depth at once; what
a lens bends is put together from the atlas by a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import Matrix
from bev_trainer.render.atlas import Atlas
from bev_trainer.render.culling import DrawList, draw_list, visible
from bev_trainer.render.frame import CameraFrame, ViewFrame
from bev_trainer.render.instances import (
    Instances,
    Signals,
    TrackTable,
    prop_instances,
)
from bev_trainer.render.lens import Lens, composition, lens_of
from bev_trainer.render.lighting import light_of
from bev_trainer.render.mesh_store import mesh_store
from bev_trainer.render.occlusion import Occluders
from bev_trainer.render.painter import Painter
from bev_trainer.render.sensor import Sensor, SensorLook
from bev_trainer.render.shot import Shot
from bev_trainer.render.smoothing import smoothed, with_glow
from bev_trainer.render.timing import StageTimes
from bev_trainer.render.views import View, pack
from bev_trainer.world.classes import GROUND_CLASSES, SemanticClass
from bev_trainer.world.world import Scenario

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]


class ScenarioRenderer:
    """Draws what the cameras of a vehicle see on its drive.

    Args:
        context: from `open_context`; several renderers may share it, one after the other.
        scenario: to draw.
        cameras: of the rig, with the intrinsics of the pictures wanted.
        look: of lens and sensor; `ideal_sensor` for none.
        supersample: samples per pixel along each side, of colour; labels and depth are those at
            the centre of the pixel in any case.
    """

    def __init__(
        self,
        context: Any,
        scenario: Scenario,
        cameras: Sequence[Camera],
        look: SensorLook,
        supersample: int = 1,
    ) -> None:
        self.times = StageTimes()
        self._scenario, self._cameras, self._supersample = scenario, tuple(cameras), supersample
        with self.times.stage('set up'):
            self._lenses = [lens_of(camera, i) for i, camera in enumerate(self._cameras)]
            self._views, size = pack([view for lens in self._lenses for view in lens.views])
            self._light = light_of(scenario.weather)
            self._scenery = prop_instances(scenario.world.props, self._light.lamps)
            self._occluders = Occluders(self._scenery)
            world = scenario.world
            self._signals = Signals(world.props, world.road_map, world.signals)
            self._traffic = TrackTable(scenario.others, self._light.lamps)
            self._atlas = Atlas(context, size, supersample)
            self._painter = Painter(
                context,
                scenario,
                self._light,
                (self._scenery, self._traffic.parked()),
                len(self._cameras),
                supersample,
            )
            self._pictures = [
                _Picture(lens, self._placed(i), size[0], supersample)
                for i, lens in enumerate(self._lenses)
            ]
            weather = scenario.weather
            self._sensors = [
                Sensor(look, i, (camera.width, camera.height), weather)
                for i, camera in enumerate(self._cameras)
            ]

    def shoot(self, times_s: Sequence[float]) -> list[Shot]:
        """Returns one shot per camera, camera i at world time `times_s[i]`.

        Raises:
            ValueError: not one time per camera, or the ego vehicle does not exist then.
        """
        if len(times_s) != len(self._cameras):
            raise ValueError(f'{len(self._cameras)} cameras need as many times: {len(times_s)}')
        with self.times.stage('cull'):
            frames = self._frames(times_s)
        self._painter.paint(self._atlas, frames, self.times)
        with self.times.stage('read back'):
            color, labels, depth = self._atlas.read()
        shots = []
        for index, picture in enumerate(self._pictures):
            with self.times.stage('compose'):
                shot = picture.shot(color, labels, depth)
            with self.times.stage('sensor'):
                rgb = self._developed(shot.rgb, picture.blank)
                rgb = self._sensors[index].expose(rgb, float(times_s[index]))
            shots.append(replace(shot, rgb=rgb))
        self.times.images += len(shots)
        return shots

    def close(self) -> None:
        """Gives back what the graphics side holds; the context stays."""
        self._painter.release()
        self._atlas.release()

    def __enter__(self) -> ScenarioRenderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _developed(
        self, rgb: NDArray[np.uint8], blank: NDArray[np.bool_] | None
    ) -> NDArray[np.uint8]:
        if self._supersample == 1:
            rgb = smoothed(rgb)
        if self._light.night > 0:
            rgb = with_glow(rgb, self._light.night)
        if blank is not None:
            rgb[blank] = 0
        return rgb

    def _placed(self, camera: int) -> tuple[View, ...]:
        return tuple(view for view in self._views if view.camera == camera)

    def _frames(self, times_s: Sequence[float]) -> list[CameraFrame]:
        """Returns what each camera sees: poses, and instances by view."""
        traffic: dict[float, Instances] = {}
        frames: list[CameraFrame] = []
        origin = np.floor(self._scenario.world_T_base(times_s[0])[:2, 3])
        first_row = first_command = 0
        for index, camera in enumerate(self._cameras):
            time_s = float(times_s[index])
            if time_s not in traffic:
                traffic[time_s] = self._traffic.at(time_s)
            self._signals.light(self._scenery, time_s)
            world_T_base = self._scenario.world_T_base(time_s)
            world_T_camera = world_T_base @ camera.base_T_camera
            views = []
            seen = self._seen(index, world_T_camera, traffic[time_s])
            for view, chosen in zip(self._placed(index), seen, strict=True):
                drawn = self._drawn(
                    chosen, world_T_camera[:3, 3], traffic[time_s], origin, first_row
                )
                views.append(ViewFrame(view, drawn, first_command))
                first_row += len(drawn.rows)
                first_command += len(drawn.commands)
            frames.append(
                CameraFrame(views, world_T_base, world_T_camera, traffic[time_s], origin)
            )
        return frames

    def _seen(
        self, camera: int, world_T_camera: Matrix, traffic: Instances
    ) -> list[tuple[IndexArray, IndexArray]]:
        """Returns by view of a camera what it sees of scenery and of traffic."""
        eye = world_T_camera[:3, 3]
        columns = []
        for instances in (self._scenery, traffic):
            by_view = []
            for view in self._placed(camera):
                planes = view.side_planes @ world_T_camera[:3, :3].T
                focal = float(max(view.K[0, 0], view.K[1, 1]))
                by_view.append(visible(instances, eye, planes, focal))
            inside = np.unique(np.concatenate(by_view))
            shown = np.zeros(len(instances.model), bool)
            shown[inside] = ~self._occluders.hidden(instances, inside, eye)
            columns.append([index[shown[index]] for index in by_view])
        return list(zip(*columns, strict=True))

    def _drawn(
        self,
        chosen: tuple[IndexArray, IndexArray],
        eye_m: FloatArray,
        traffic: Instances,
        origin_m: FloatArray,
        first_row: int,
    ) -> DrawList:
        parts = []
        for instances, index in zip((self._scenery, traffic), chosen, strict=True):
            distance = np.linalg.norm(instances.center_m[index] - eye_m, axis=1)
            parts.append((instances.placed(index, origin_m), instances.model[index], distance))
        rows, model, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
        return draw_list(rows, model, distance, mesh_store().ranges, first_row)


class _Picture:
    """The way from the atlas to the picture of one camera."""

    def __init__(
        self, lens: Lens, placed: tuple[View, ...], atlas_width: int, supersample: int
    ) -> None:
        self._lens, self._view, self._supersample = lens, placed[0], supersample
        self.blank: NDArray[np.bool_] | None = None
        if lens.is_direct:
            return
        self._table = self._fine = composition(lens, placed, atlas_width)
        if supersample > 1:
            fine = lens_of(_finer(lens.camera, supersample), placed[0].camera)
            views = tuple(view.scaled(supersample) for view in placed)
            self._fine = composition(fine, views, atlas_width * supersample)
        if self._table.blank.any():
            self.blank = self._table.blank
        down = lens.rays @ lens.camera.base_T_camera[2, :3]
        self._ground = np.where(down < 0, np.uint8(255), np.uint8(0))
        self._sky = cv2.bitwise_not(self._ground)
        self._ground_m = (-lens.camera.base_T_camera[2, 3] / np.minimum(down, -1e-12)).astype('f4')

    def shot(
        self, color: NDArray[np.uint8], labels: NDArray[np.uint8], depth: NDArray[np.float32]
    ) -> Shot:
        """Returns the picture; the atlas has color [sH, sW, 4], labels [H, W, 4], depth [H, W]."""
        if self._lens.is_direct:
            return self._direct(color, labels, depth)
        table, fine = self._table, self._fine
        rgb = cv2.cvtColor(
            cv2.remap(color, fine.map_xy, fine.map_weights, cv2.INTER_LINEAR), cv2.COLOR_RGBA2RGB
        )
        height, width = table.blank.shape
        if self._supersample > 1:
            rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        picked = labels.view('<u4').take(table.nearest)[..., None].view(np.uint8)
        reach = depth.take(table.nearest) * table.depth_scale
        classes = cv2.extractChannel(picked, 2)
        # The nearest ray of a view is not quite the pixel's: on the plane it can be put right.
        on_ground = cv2.inRange(classes, float(min(GROUND_CLASSES)), float(max(GROUND_CLASSES)))
        cv2.copyTo(self._ground_m, cv2.bitwise_and(on_ground, self._ground), reach)
        beyond = cv2.bitwise_and(on_ground, self._sky)
        classes[beyond > 0], reach[beyond > 0] = SemanticClass.SKY, 0.0
        if self.blank is not None:
            for image in (picked, classes, reach):
                image[self.blank] = 0
        return Shot(
            np.asarray(rgb, np.uint8),
            np.asarray(classes, np.uint8),
            _instances(picked),
            reach,
        )

    def _direct(
        self, color: NDArray[np.uint8], labels: NDArray[np.uint8], depth: NDArray[np.float32]
    ) -> Shot:
        view, scale = self._view, self._supersample
        rows, columns = slice(view.y, view.y + view.height), slice(view.x, view.x + view.width)
        fine = color[
            scale * view.y : scale * (view.y + view.height),
            scale * view.x : scale * (view.x + view.width),
        ]
        rgb = cv2.cvtColor(fine, cv2.COLOR_RGBA2RGB)
        if scale > 1:
            rgb = cv2.resize(rgb, (view.width, view.height), interpolation=cv2.INTER_AREA)
        picked = labels[rows, columns]
        return Shot(
            np.asarray(rgb, np.uint8),
            np.ascontiguousarray(picked[..., 2]),
            _instances(picked),
            np.ascontiguousarray(depth[rows, columns]),
        )


def _instances(labels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.asarray(labels.view('<u4')[..., 0].astype(np.uint16))  # the lower half


def _finer(camera: Camera, factor: int) -> Camera:
    size = (camera.width * factor, camera.height * factor)
    return camera.scaled_cropped(factor, factor, 0.0, 0.0, *size)
