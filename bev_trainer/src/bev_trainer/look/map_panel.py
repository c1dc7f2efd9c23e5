"""The frame of every panel seen from above: ground, axes in metres, rings, the vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev import draw_ego, draw_rings
from bev_perception.draw.bev_view import BevView
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.layout import Rect
from bev_perception.draw.palette import BACKGROUND, GRID_LINE, TEXT, TEXT_DIM
from bev_perception.draw.strokes import draw_lines
from bev_perception.draw.text import draw_text
from bev_perception.geometry.grid import BevGrid
from bev_trainer.dataset.reader import Drive
from bev_trainer.look.colors import paint_layers
from bev_trainer.world.ground_raster import GroundRaster

Image = NDArray[np.uint8]

LABEL_PX = 9.0
_TITLE_PX, _AXIS_LEFT_PX, _AXIS_BELOW_PX, _EDGE_PX = 30, 48, 40, 14
_TICK_PX = 5
_TICK_STEPS_M = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_LEAST_TICK_GAP_PX = 60.0
_SAMPLES = 2  # of the ground per pixel, along each side


@dataclass(frozen=True)
class MapPanel:
    """A panel with a title and a map between axes.

    Attributes:
        width: of the whole panel in pixels.
        height: likewise.
        view: the map in it.
    """

    width: int
    height: int
    view: BevView

    AXES_PX: ClassVar[int] = _AXIS_LEFT_PX + _EDGE_PX  # to the left and right of the map

    @classmethod
    def fit(cls, grid: BevGrid, map_height: int) -> MapPanel:
        """Returns the panel whose map is this high."""
        map_width = max(1, round(map_height * grid.size_y / grid.size_x))
        area = Rect(_AXIS_LEFT_PX, _TITLE_PX, map_width, map_height)
        width = map_width + cls.AXES_PX
        return cls(width, _TITLE_PX + map_height + _AXIS_BELOW_PX, BevView(grid, area))

    @property
    def inner(self) -> BevView:
        """The view whose pixels are those of the map alone, as the drawing code wants it."""
        return BevView(self.view.grid, Rect(0, 0, self.view.area.width, self.view.area.height))

    def compose(self, picture: Image, title: str) -> Image:
        """Returns the panel [h, w, 3] around a map of the size of the view's area."""
        panel = np.empty((self.height, self.width, 3), np.uint8)
        panel[:] = BACKGROUND
        area = self.view.area
        panel[area.y : area.y + area.height, area.x : area.x + area.width] = picture
        draw_text(panel, title, (area.x + 2, 12), 12.0, TEXT, 'lm', bold=True)
        self._draw_axes(panel)
        return panel

    def _draw_axes(self, panel: Image) -> None:
        area, view, grid = self.view.area, self.view, self.view.grid
        right, low = area.x + area.width, area.y + area.height
        frame = [(area.x - 1, area.y - 1), (right, area.y - 1), (right, low), (area.x - 1, low)]
        draw_lines(panel, [frame], GRID_LINE, closed=True)
        step_m = _tick_step(view.scale_px_per_m)
        for x_m in _ticks(grid.x_min_m, grid.x_max_m, step_m):
            v = view.to_px([x_m, 0.0])[1]
            draw_lines(panel, [[(area.x - 1 - _TICK_PX, v), (area.x - 1, v)]], GRID_LINE)
            draw_text(panel, f'{x_m:g}', (area.x - 9, v), LABEL_PX, TEXT_DIM, 'rm')
        for y_m in _ticks(grid.y_min_m, grid.y_max_m, step_m):
            u = view.to_px([0.0, y_m])[0]
            draw_lines(panel, [[(u, low), (u, low + _TICK_PX)]], GRID_LINE)
            draw_text(panel, f'{y_m:g}', (u, low + 8), LABEL_PX, TEXT_DIM, 'ct')
        draw_text(panel, 'x [m]', (area.x - 4, area.y - 16), LABEL_PX, TEXT_DIM, 'rm')
        middle = area.x + area.width / 2
        draw_text(panel, 'left  <  y [m]  >  right', (middle, low + 31), LABEL_PX, TEXT_DIM, 'cm')


def draw_ground_layers(ground: GroundRaster, world_T_base: NDArray, view: BevView) -> Image:
    """Returns [h, w, 3] of the size of `view.area`: the ground raster around the base frame."""
    height, width = view.area.height, view.area.width
    u = (np.arange(width * _SAMPLES) + 0.5) / _SAMPLES
    v = (np.arange(height * _SAMPLES) + 0.5) / _SAMPLES
    x_m = view.grid.x_max_m - v[:, None] / view.scale_px_per_m
    y_m = view.grid.y_max_m - u[None, :] / view.scale_px_per_m
    # On the ground z is 0; sums of a column and a row are much faster than 4 million products.
    world_x_m, world_y_m = (row[0] * x_m + (row[1] * y_m + row[3]) for row in world_T_base[:2])
    painted = paint_layers(ground.at(world_x_m, world_y_m))
    return np.asarray(cv2.resize(painted, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def draw_ego_and_rings(picture: Image, drive: Drive, view: BevView, labels: LabelPlacer) -> None:
    """Draws rings of whole tens of metres around the base frame, and the vehicle's own box."""
    draw_rings(picture, view, labels)
    description = drive.description
    middle, half = description.ego_base_offset_m, description.ego_length_m / 2
    extent_m = middle - half, middle + half, description.ego_width_m
    draw_ego(picture, view, labels, extent_m)


def _tick_step(scale_px_per_m: float) -> float:
    fitting = [step for step in _TICK_STEPS_M if step * scale_px_per_m >= _LEAST_TICK_GAP_PX]
    return fitting[0] if fitting else _TICK_STEPS_M[-1]


def _ticks(low_m: float, high_m: float, step_m: float) -> list[float]:
    first, last = np.ceil(low_m / step_m - 1e-9), np.floor(high_m / step_m + 1e-9)
    return [float(index * step_m) for index in np.arange(first, last + 1)]
