"""The legend under the bird's-eye view: ground, object classes, time and motion, one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_layers import hatch_pattern, shown_future_steps
from bev_perception.draw.layout import Rect
from bev_perception.draw.palette import (
    FREE,
    OCCUPIED,
    TEXT,
    TEXT_DIM,
    VELOCITY,
    class_color,
    semantic_color,
    time_color,
)
from bev_perception.draw.strokes import draw_lines, fill_circle, fill_polygon
from bev_perception.draw.text import draw_text, fill_box, text_size
from bev_perception.frame import BevFrame

LEGEND_PX = 84
_ROW_PX = 23
_SWATCH = (18, 12)
_TEXT_PX = 9.5
_SPACE_PX = 12

Swatch = Callable[[NDArray[np.uint8]], None]
Item = tuple[Swatch, str]


def draw_legend(picture: NDArray[np.uint8], frame: BevFrame, area: Rect) -> None:
    """Draws three rows into `area` of `picture`; what does not fit is counted, not drawn."""
    axes_px = 52
    rows = [_ground_items(frame), _class_items(frame), _motion_items(frame)]
    for index, items in enumerate(row for row in rows if row):
        middle = area.y + 18 + index * _ROW_PX
        _draw_row(picture, items, area.x, middle, area.x + area.width - axes_px)
    _draw_axes(picture, (area.x + area.width - 20, area.y + 46))


def _ground_items(frame: BevFrame) -> list[Item]:
    items = []
    if frame.occupancy is not None:
        items = [(_plain(FREE), 'free'), (_plain(OCCUPIED), 'occupied')]
    items.append((_unknown, 'unknown'))
    names = frame.semantic_classes if frame.semantics is not None else ()
    for index, name in enumerate(names):
        items.append((_plain(semantic_color(index)), name))
    return items


def _class_items(frame: BevFrame) -> list[Item]:
    names = {item.classes[0].index: item.classes[0].name for item in frame.objects or ()}
    return [(_plain(class_color(index)), names[index]) for index in sorted(names)]


def _motion_items(frame: BevFrame) -> list[Item]:
    items: list[Item] = []
    if frame.future_occupancy is not None:
        steps = len(frame.future_occupancy)
        for step in shown_future_steps(steps):
            ahead = f'+{step * frame.time_step_s:.1f} s'
            items.append((_outline(time_color(step / steps)), ahead))
    objects = frame.objects or ()
    if any(item.velocity_mps is not None for item in objects):
        items.append((_arrow, 'velocity (1 s)'))
    if any(item.trajectories for item in objects):
        items.append((_beads, 'predicted path'))
    return items


def _draw_row(
    picture: NDArray[np.uint8], items: Sequence[Item], left: int, middle: int, right: int
) -> None:
    x, (width, height) = left, _SWATCH
    for index, (swatch, name) in enumerate(items):
        used = width + 6 + text_size(name, _TEXT_PX)[0]
        rest = f'+{len(items) - index} more'
        needed = used + (_SPACE_PX + text_size(rest, _TEXT_PX)[0] if index < len(items) - 1 else 0)
        if x + needed > right:
            draw_text(picture, rest, (x, middle), _TEXT_PX, TEXT_DIM, 'lm')
            return
        top = middle - height // 2
        swatch(picture[top : top + height, x : x + width])
        draw_text(picture, name, (x + width + 6, middle), _TEXT_PX, TEXT, 'lm')
        x += used + _SPACE_PX


def _plain(color: tuple[int, int, int]) -> Swatch:
    def paint(part: NDArray[np.uint8]) -> None:
        part[...] = color

    return paint


def _outline(color: tuple[int, int, int]) -> Swatch:
    def paint(part: NDArray[np.uint8]) -> None:
        part[...] = FREE
        draw_lines(part, [[(1, 1), (16, 1), (16, 10), (1, 10)]], color, 1, closed=True)

    return paint


def _unknown(part: NDArray[np.uint8]) -> None:
    part[...] = hatch_pattern(*part.shape[:2])


def _arrow(part: NDArray[np.uint8]) -> None:
    draw_lines(part, [[(0, 5.5), (11, 5.5)]], VELOCITY)
    fill_polygon(part, [(17, 5.5), (10, 2.5), (10, 8.5)], VELOCITY)


def _beads(part: NDArray[np.uint8]) -> None:
    draw_lines(part, [[(2, 5.5), (15, 5.5)]], TEXT_DIM)
    for u in (2.5, 8.5, 14.5):
        fill_circle(part, (u, 5.5), 2.0, TEXT_DIM)


def _draw_axes(picture: NDArray[np.uint8], origin: tuple[int, int]) -> None:
    """Draws two small arrows: x up, y left, as everything above is drawn."""
    u, v = origin
    fill_box(picture, (u - 1, v - 1, u + 2, v + 2), TEXT_DIM)
    draw_lines(picture, [[(u, v), (u, v - 24)], [(u, v), (u - 24, v)]], TEXT_DIM)
    fill_polygon(picture, [(u, v - 29), (u - 3, v - 21), (u + 3, v - 21)], TEXT_DIM)
    fill_polygon(picture, [(u - 29, v), (u - 21, v - 3), (u - 21, v + 3)], TEXT_DIM)
    draw_text(picture, 'x', (u + 6, v - 24), _TEXT_PX, TEXT_DIM, 'lm')
    draw_text(picture, 'y', (u - 24, v + 10), _TEXT_PX, TEXT_DIM, 'cm')
