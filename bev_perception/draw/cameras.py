"""One camera as a picture: its image, the boxes in it, its name, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_layers import hatch_pattern
from bev_perception.draw.bev_objects import object_label
from bev_perception.draw.boxes import Wireframe, wireframe
from bev_perception.draw.compass import draw_compass
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.palette import (
    BACKGROUND,
    BAD,
    GOOD,
    TEXT,
    TEXT_DIM,
    WARNING,
    class_color,
    mix,
)
from bev_perception.draw.strokes import draw_lines, fill_circle, fill_polygon
from bev_perception.draw.text import draw_text, fill_box, fit_text, text_size
from bev_perception.frame import BevObject, CameraReport, CameraState
from bev_perception.geometry.camera import Camera

_LABEL_PX = 9.0
_NAME_PX = 11.0
_BANNER_PX = 14.0
_DIMMED = 0.45
_SMALLEST_LABELLED_PX, _LARGE_PX = 8, 120
_NAME_ROW_PX = 24
_FRONT_OPACITY, _BACK_OPACITY = 0.34, 0.13


def draw_camera(
    image: NDArray[np.uint8] | None,
    camera: Camera | None,
    objects: Sequence[BevObject],
    report: CameraReport,
    size_px: tuple[int, int],
) -> NDArray[np.uint8]:
    """Returns uint8 [height, width, 3] RGB: the camera's image with 3D boxes and its name.

    A camera that was not used is dimmed, or hatched where there is no image, carries no boxes,
    and says why in a banner.

    Args:
        image: [H, W, 3] RGB, the whole picture of the camera at any resolution; None: no image.
        camera: calibration of the full picture; None: no boxes.
        objects: in the base frame.
        report: name and state of the camera.
        size_px: (width, height) of the result.
    """
    width, height = size_px
    used = report.state is CameraState.USED
    tile = _backdrop(image, size_px, used)
    if used and camera is not None:
        draw_boxes(tile, camera, objects)
    draw_name(tile, report.name, camera, GOOD if used else _state_color(report.state))
    if not used:
        headline = f'{report.name}: {state_text(report)}'
        _draw_banner(tile, headline, report.detail, _state_color(report.state))
    draw_lines(
        tile,
        [[(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]],
        TEXT_DIM if used else _state_color(report.state),
        closed=True,
    )
    return tile


def state_text(report: CameraReport) -> str:
    """Returns the state in words, with the age of a late image: 'late 0.52 s'."""
    words = report.state.name.lower().replace('_', ' ')
    if report.state is CameraState.LATE and report.age_s is not None:
        return f'{words} {report.age_s:.2f} s'
    return words


def _backdrop(
    image: NDArray[np.uint8] | None, size_px: tuple[int, int], used: bool
) -> NDArray[np.uint8]:
    width, height = size_px
    if image is None:
        return hatch_pattern(height, width) // 2
    interpolation = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_LINEAR
    tile = cv2.resize(image, size_px, interpolation=interpolation).astype(np.float32)
    return np.rint(tile * (1.0 if used else _DIMMED)).astype(np.uint8)


def draw_boxes(
    tile: NDArray[np.uint8],
    camera: Camera,
    objects: Sequence[BevObject],
    label: Callable[[BevObject], str] = object_label,
) -> None:
    """Draws far boxes first, so that near ones lie on top, but gives near ones their labels first.

    Boxes are projected at the camera's own resolution and scaled: lines stay crisp in any tile.

    Args:
        tile: [h, w, 3] RGB, the whole picture of the camera at any size, changed in place.
        camera: calibration of the full picture.
        objects: in the base frame.
        label: text of an object's label.
    """
    eye = camera.base_T_camera[:3, 3]
    scale = np.array([tile.shape[1] / camera.width, tile.shape[0] / camera.height])
    ranked = sorted(objects, key=lambda item: math.dist(item.center_m, eye), reverse=True)
    frames = [(item, wireframe(item, camera)) for item in ranked]
    drawn = [(item, frame) for item, frame in frames if frame is not None]
    for item, frame in drawn:
        _draw_wireframe(tile, frame, scale, class_color(item.classes[0].index))
    labels = LabelPlacer(tile, _LABEL_PX)
    labels.reserve((0, 0, tile.shape[1], _NAME_ROW_PX))
    bounds = [_bounds_px(frame, scale) for _, frame in drawn]
    for left, top, right, bottom in bounds:
        if max(right - left, bottom - top) < _LARGE_PX:
            labels.reserve((left, top, right, bottom))
    for (item, _), box in reversed(list(zip(drawn, bounds, strict=True))):
        _draw_label(item, label(item), box, labels)


def _draw_wireframe(
    tile: NDArray[np.uint8], frame: Wireframe, scale: NDArray, color: tuple[int, int, int]
) -> None:
    size = min(frame.bounds[2] - frame.bounds[0], frame.bounds[3] - frame.bounds[1]) * scale[1]
    thickness = 1 if size < 40 else 2
    hidden = mix(color, BACKGROUND, 0.45)
    draw_lines(tile, [to_tile(line, scale) for line in frame.far_edges], hidden)
    if frame.front is not None:
        opacity = _FRONT_OPACITY if frame.front_faces_camera else _BACK_OPACITY
        _shade(tile, to_tile(frame.front, scale), color, opacity)
    draw_lines(tile, [to_tile(line, scale) for line in frame.near_edges], color, thickness)


def _shade(
    tile: NDArray[np.uint8], polygon: NDArray, color: tuple[int, int, int], opacity: float
) -> None:
    """Tints a polygon, touching no more of the tile than the polygon covers."""
    low = np.maximum(np.floor(polygon.min(axis=0)).astype(int) - 1, 0)
    high = np.ceil(polygon.max(axis=0)).astype(int) + 2
    part = tile[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    if part.size == 0:
        return
    filled = np.ascontiguousarray(part)
    fill_polygon(filled, polygon - low, color)
    mixed = part + np.float32(opacity) * (filled.astype(np.float32) - part)
    part[...] = np.rint(mixed).astype(np.uint8)


def _draw_label(
    item: BevObject, text: str, box: tuple[int, int, int, int], labels: LabelPlacer
) -> None:
    left, top, right, bottom = box
    if bottom - top < _SMALLEST_LABELLED_PX:
        return
    middle = (left + right) / 2
    places = [(middle, top - 4 - rise, 'cb') for rise in (0, 17, 34)]
    places += [(middle, bottom + 4, 'ct'), (left + 5, max(top, _NAME_ROW_PX) + 5, 'lt')]
    if bottom - top < _LARGE_PX:
        places.pop()
    labels.place(text, class_color(item.classes[0].index), places)


def _bounds_px(frame: Wireframe, scale: NDArray) -> tuple[int, int, int, int]:
    corners = to_tile(np.array(frame.bounds).reshape(2, 2), scale)
    left, top, right, bottom = np.rint(corners).astype(int).ravel().tolist()
    return left, top, right + 1, bottom + 1


def to_tile(uv: NDArray, scale: NDArray) -> NDArray[np.float64]:
    """Returns pixels of the full picture as pixels of the tile; both count pixel centres."""
    return (np.asarray(uv) + 0.5) * scale - 0.5


def draw_name(
    tile: NDArray[np.uint8], name: str, camera: Camera | None, color: tuple[int, int, int]
) -> None:
    """Writes the name of a camera into the corner of its tile, with where it looks."""
    left = 30 if camera is not None else 20
    text = fit_text(name, _NAME_PX, tile.shape[1] - left - 12)
    right = left + text_size(text, _NAME_PX)[0] + 8
    fill_box(tile, (0, 0, right, _NAME_ROW_PX), BACKGROUND, 0.78)
    if camera is not None:
        draw_compass(tile, (15.0, 11.5), 9.0, camera, color)
    else:
        fill_circle(tile, (10, 11.5), 4.0, color)
    draw_text(tile, text, (left, 12), _NAME_PX, TEXT, 'lm')


def _draw_banner(
    tile: NDArray[np.uint8], headline: str, detail: str, color: tuple[int, int, int]
) -> None:
    height, width = tile.shape[:2]
    half = 26 if detail else 17
    middle = height // 2
    fill_box(tile, (0, middle - half, width, middle + half), BACKGROUND, 0.82)
    fill_box(tile, (0, middle - half, 5, middle + half), color)
    text = fit_text(headline, _BANNER_PX, width - 24, bold=True)
    offset = 10 if detail else 0
    draw_text(tile, text, (width / 2, middle - offset), _BANNER_PX, color, 'cm', bold=True)
    if detail:
        small = fit_text(detail, 10.0, width - 24)
        draw_text(tile, small, (width / 2, middle + 13), 10.0, TEXT, 'cm')


def _state_color(state: CameraState) -> tuple[int, int, int]:
    return WARNING if state is CameraState.LATE else BAD
