"""Objects seen from above: boxes with headings, velocities, predicted paths, and their labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_view import BevView
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.palette import FREE, VELOCITY, class_color, mix
from bev_perception.draw.strokes import draw_lines, fill_circle, fill_polygon
from bev_perception.frame import BevObject, Trajectory

_FILL_OPACITY = 0.38
_SLOWEST_ARROW_MPS = 0.5
_ARROW_SECONDS = 1.0
_ARROW_HEAD_PX = 7.0


def draw_objects(
    picture: NDArray[np.uint8],
    objects: Sequence[BevObject],
    view: BevView,
    labels: LabelPlacer,
    label: Callable[[BevObject], str] | None = None,
) -> None:
    """Draws every object with all that belongs to it; the most certain come out on top.

    Args:
        picture: of the size of `view.area`, changed in place.
        objects: in the base frame.
        view: from metres to pixels.
        labels: where labels are free.
        label: text of an object's label; None: `object_label`.
    """
    rising = sorted(objects, key=lambda item: item.existence_probability)
    filled = picture.copy()
    for item in rising:
        fill_polygon(filled, view.to_px(footprint(item)), _color(item))
    mixed = picture + _FILL_OPACITY * (filled.astype(np.float32) - picture)
    picture[...] = np.rint(mixed).astype(np.uint8)
    for item in rising:
        for trajectory in reversed(item.trajectories):
            _draw_trajectory(picture, trajectory, view, _color(item))
    for item in rising:
        _draw_box(picture, item, view)
        _draw_velocity(picture, item, view)
    for item in rising:
        labels.reserve(bounds_px(item, view))
    for item in reversed(rising):
        _draw_label(item, (label or object_label)(item), view, labels)


def footprint(item: BevObject) -> NDArray[np.float64]:
    """Returns [4, 2] corners x, y in metres: front left, rear left, rear right, front right."""
    length, width, _ = item.size_m
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (length / 2, width / 2)
    return corners @ _turn(item.yaw_rad).T + item.center_m[:2]


def object_label(item: BevObject) -> str:
    """Returns the short name of an object: first four digits of its id, then its class."""
    short = item.object_id.hex()[:4] if any(item.object_id) else ''
    return f'{short} {item.classes[0].name}'.strip()


def _draw_box(picture: NDArray[np.uint8], item: BevObject, view: BevView) -> None:
    corners = footprint(item)
    front = (corners[0] + corners[3]) / 2
    tick_m = max(0.35 * item.size_m[0], 4.0 / view.scale_px_per_m)
    tip = front + _turn(item.yaw_rad)[:, 0] * min(tick_m, 1.5)
    inside = front - _turn(item.yaw_rad)[:, 0] * item.size_m[0] * 0.3
    color = _color(item)
    draw_lines(picture, [view.to_px(corners)], color, 1, closed=True)
    draw_lines(picture, [view.to_px(corners[[0, 3]])], color, 3)
    draw_lines(picture, [view.to_px([inside, tip])], color, 2)


def _draw_velocity(picture: NDArray[np.uint8], item: BevObject, view: BevView) -> None:
    if item.velocity_mps is None or math.hypot(*item.velocity_mps) < _SLOWEST_ARROW_MPS:
        return
    start = np.asarray(item.center_m[:2])
    tail, head = view.to_px([start, start + np.multiply(item.velocity_mps, _ARROW_SECONDS)])
    along = (head - tail) / max(float(np.linalg.norm(head - tail)), 1e-9)
    across = np.array([-along[1], along[0]])
    base = head - along * _ARROW_HEAD_PX
    draw_lines(picture, [[tail, base]], VELOCITY, 1)
    wing = across * _ARROW_HEAD_PX * 0.38
    fill_polygon(picture, [head, base + wing, base - wing], VELOCITY)


def _draw_trajectory(
    picture: NDArray[np.uint8], trajectory: Trajectory, view: BevView, color: tuple[int, int, int]
) -> None:
    """Draws a path with one bead per pose; less probable modes are paler."""
    points = view.to_px(np.asarray(trajectory.positions_m)[:, :2])
    paled = mix(FREE, color, 0.3 + 0.7 * min(max(trajectory.probability, 0.0), 1.0))
    draw_lines(picture, [points], paled, 1)
    for point in points:
        fill_circle(picture, point, 2.5, paled)


def _draw_label(item: BevObject, text: str, view: BevView, labels: LabelPlacer) -> None:
    left, top, right, bottom = bounds_px(item, view)
    u, v = (left + right) / 2, (top + bottom) / 2
    places = [(right + 4, v, 'lm'), (left - 4, v, 'rm'), (u, top - 4, 'cb'), (u, bottom + 4, 'ct')]
    labels.place(text, _color(item), places)


def bounds_px(item: BevObject, view: BevView) -> tuple[int, int, int, int]:
    """Returns the pixels (x0, y0, x1, y1) around an object's footprint, x1 and y1 exclusive."""
    corners = view.to_px(footprint(item))
    left, top = np.floor(corners.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(corners.max(axis=0)).astype(int).tolist()
    return left, top, right + 1, bottom + 1


def _color(item: BevObject) -> tuple[int, int, int]:
    return class_color(item.classes[0].index)


def _turn(yaw_rad: float) -> NDArray[np.float64]:
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cos, -sin], [sin, cos]])
