"""The bird's-eye view as a picture: vehicle in the middle of its rings, forward up, left left."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_layers import draw_future, draw_ground
from bev_perception.draw.bev_objects import draw_objects
from bev_perception.draw.bev_view import BevView
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.layout import Rect
from bev_perception.draw.legend import LEGEND_PX, draw_legend
from bev_perception.draw.palette import BACKGROUND, EGO, GRID_LINE, PANEL, TEXT_DIM
from bev_perception.draw.strokes import draw_circle, draw_lines, fill_circle, fill_polygon
from bev_perception.frame import BevFrame
from bev_perception.geometry.grid import BevGrid

_RING_STEP_M = 10.0
_RING_LABEL_ANGLE_RAD = math.radians(-45.0)
_RING_LABEL_GAP_PX = 30.0
_LABEL_PX = 9.0
# A common passenger car around a base frame at its rear axle (rear end, front end, width in
# metres): picture only, nothing measured.
_COMMON_CAR_M = (-1.0, 3.7, 1.9)


def draw_bev(frame: BevFrame, size_px: tuple[int, int] = (860, 1000)) -> NDArray[np.uint8]:
    """Returns uint8 [height, width, 3] RGB: the grid with everything on it, and a legend below.

    Args:
        frame: what to show; parts that are None are left out.
        size_px: (width, height) of the picture; the grid takes the largest fitting area.
    """
    width, height = size_px
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = BACKGROUND
    area = bev_area(frame.grid, size_px)
    view = BevView(frame.grid, Rect(0, 0, area.width, area.height))
    picture[area.y : area.y + area.height, area.x : area.x + area.width] = _draw_map(frame, view)
    below = area.y + area.height
    draw_legend(picture, frame, Rect(0, below, width, height - below))
    return picture


def bev_area(grid: BevGrid, size_px: tuple[int, int]) -> Rect:
    """Returns the pixels that the grid fills in a picture of (width, height) from `draw_bev`."""
    width, height = size_px
    return BevView.fit(grid, Rect(0, 0, width, max(1, height - LEGEND_PX))).area


def _draw_map(frame: BevFrame, view: BevView) -> NDArray[np.uint8]:
    picture = draw_ground(frame, view)
    labels = LabelPlacer(picture, _LABEL_PX)
    draw_rings(picture, view, labels)
    draw_future(picture, frame, view)
    draw_ego(picture, view, labels)
    draw_objects(picture, frame.objects or (), view, labels)
    return picture


def draw_rings(picture: NDArray[np.uint8], view: BevView, labels: LabelPlacer) -> None:
    """Draws circles of whole tens of metres around the base frame; crowded labels are left out."""
    grid, center = view.grid, view.to_px([0.0, 0.0])
    lines = picture.copy()
    farthest_m = math.hypot(
        max(abs(grid.x_min_m), abs(grid.x_max_m)), max(abs(grid.y_min_m), abs(grid.y_max_m))
    )
    step_px = _RING_STEP_M * view.scale_px_per_m
    radii = [_RING_STEP_M * (index + 1) for index in range(int(farthest_m / _RING_STEP_M))]
    for radius_m in radii:
        draw_circle(lines, center, radius_m * view.scale_px_per_m, GRID_LINE)
    draw_lines(lines, [view.to_px([[grid.x_min_m, 0], [grid.x_max_m, 0]])], GRID_LINE)
    draw_lines(lines, [view.to_px([[0, grid.y_min_m], [0, grid.y_max_m]])], GRID_LINE)
    picture[...] = np.rint(0.45 * picture + 0.55 * lines).astype(np.uint8)
    every = max(1, math.ceil(_RING_LABEL_GAP_PX / step_px))
    direction = np.array([math.cos(_RING_LABEL_ANGLE_RAD), math.sin(_RING_LABEL_ANGLE_RAD)])
    for radius_m in radii[every - 1 :: every]:
        u, v = view.to_px(radius_m * direction)
        labels.place(f'{radius_m:.0f} m', TEXT_DIM, [(u, v, 'cm')])


def draw_ego(
    picture: NDArray[np.uint8],
    view: BevView,
    labels: LabelPlacer,
    extent_m: tuple[float, float, float] = _COMMON_CAR_M,
) -> None:
    """Draws the vehicle: a car's outline pointing up, a dot at the origin of the base frame.

    Args:
        picture: of the size of `view.area`, changed in place.
        view: from metres to pixels.
        labels: kept off the vehicle.
        extent_m: rear end and front end along x, and the width.
    """
    rear, nose, half = extent_m[0], extent_m[1], extent_m[2] / 2
    step = (nose - rear) / 4.7
    outline = [
        (rear, half), (nose - 0.9 * step, half), (nose, half * 0.6),
        (nose, -half * 0.6), (nose - 0.9 * step, -half), (rear, -half),
    ]  # fmt: skip
    window = [
        (nose - 1.2 * step, half * 0.75), (nose - 1.2 * step, -half * 0.75),
        (nose - 2.0 * step, 0.0),
    ]  # fmt: skip
    points = view.to_px(outline)
    fill_polygon(picture, points, EGO)
    fill_polygon(picture, view.to_px(window), PANEL)
    fill_circle(picture, view.to_px([0.0, 0.0]), 2.0, PANEL)
    low, high = points.min(axis=0), points.max(axis=0)
    labels.reserve((int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1))
