"""The column of a sheet that says what the colours mean, what is there, and how well it fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.palette import (
    BACKGROUND,
    BAD,
    FREE,
    GOOD,
    GRID_LINE,
    PANEL,
    TEXT,
    TEXT_DIM,
    VELOCITY,
    Color,
    class_color,
    mix,
)
from bev_perception.draw.strokes import draw_dashed, draw_lines, fill_circle, fill_polygon
from bev_perception.draw.text import draw_text, fit_text
from bev_trainer.look.agreement import LIMITS, Agreement
from bev_trainer.look.annotations import BEAD_S, FUTURE_S, PAST_S, Scene
from bev_trainer.look.bev_panel import darken_unseen
from bev_trainer.look.colors import FAR_M, NEAR_M, paint_depth, semantic_class_color
from bev_trainer.world.classes import OBJECT_CLASSES, SemanticClass

Image = NDArray[np.uint8]
Swatch = Callable[[Image], None]

KEY_PX = 316
_ROW_PX, _TEXT_PX, _HEAD_PX = 23, 9.5, 11.0
_SEEN_PX, _PRESENT_PX = KEY_PX - 80, KEY_PX - 12
_SWATCH = (26, 14)
_WORDS = {
    'masks': 'masks in projected boxes',
    'points': 'points in 3D boxes',
    'ground': 'ground at z = 0',
    'drivable': 'drivable in cells',
    'vehicles': 'vehicles in cells',
}


def draw_key_panel(scene: Scene, measured: Agreement | None, height: int) -> Image:
    """Returns [height, KEY_PX, 3]; `measured`: of all cameras of a label frame."""
    panel = np.empty((height, KEY_PX, 3), np.uint8)
    panel[:] = PANEL
    y = _draw_objects(panel, scene, 14)
    y = _draw_items(panel, 'seen from above', _map_items(), y + 12)
    y = _draw_items(panel, 'in images', _image_items(), y + 12)
    if measured is not None:
        statics = [item for item in SemanticClass if SemanticClass.SKY <= item < SemanticClass.CAR]
        y = _draw_items(panel, 'pixels', [(_plain(i), _words(i)) for i in statics], y + 12)
        y = _draw_depth(panel, y + 12)
        _draw_agreement(panel, measured, y + 12)
    return panel


def _draw_objects(panel: Image, scene: Scene, y: int) -> int:
    """Draws how many road users of each class are there, and how many are seen."""
    here = Counter(item.classes[0].name for item in scene.objects)
    seen = Counter(i.classes[0].name for i in scene.objects if i.instance in scene.visible)
    y = _draw_head(panel, 'road users', y)
    draw_text(panel, 'seen', (_SEEN_PX, y - 19), _TEXT_PX, TEXT_DIM, 'rm')
    draw_text(panel, 'present', (_PRESENT_PX, y - 19), _TEXT_PX, TEXT_DIM, 'rm')
    for item in OBJECT_CLASSES:
        _draw_row(panel, _plain(item), item.label, y)
        count = here[item.label]
        color = TEXT if count else TEXT_DIM
        draw_text(panel, str(seen[item.label]), (_SEEN_PX, y + 8), _TEXT_PX, color, 'rm')
        draw_text(panel, str(count), (_PRESENT_PX, y + 8), _TEXT_PX, color, 'rm')
        y += _ROW_PX
    return y


def _map_items() -> list[tuple[Swatch, str]]:
    return [
        (_box, 'box, heading, instance id'),
        (_hidden, 'no camera shows it'),
        (_arrow, 'velocity, 1 s long'),
        (_past, f'past {PAST_S:.0f} s'),
        (_beads, f'future {FUTURE_S:.0f} s, bead = {BEAD_S:g} s'),
        (_unseen, 'no camera observes it'),
    ]


def _image_items() -> list[tuple[Swatch, str]]:
    return [
        (_cuboid, 'instance, distance, visible'),
        (_hidden, 'hidden behind others'),
    ]


def _draw_depth(panel: Image, y: int) -> int:
    y = _draw_head(panel, 'depth', y)
    width = KEY_PX - 24
    depths = np.geomspace(NEAR_M, FAR_M, width).astype(np.float32)
    panel[y : y + 14, 12 : 12 + width] = paint_depth(depths[None])
    for metres in (1, 3, 10, 30, 100):
        share = np.log(metres / NEAR_M) / np.log(FAR_M / NEAR_M)
        x, anchor = 12 + share * (width - 1), {1: 'l', 100: 'r'}.get(metres, 'c')
        text = f'{metres} m' if metres in (1, 100) else str(metres)
        draw_text(panel, text, (x, y + 25), _TEXT_PX - 1, TEXT_DIM, f'{anchor}m')
    return y + 34


def _draw_agreement(panel: Image, measured: Agreement, y: int) -> None:
    y = _draw_head(panel, 'does it fit?', y)
    for name, limit in LIMITS.items():
        share = getattr(measured, name)
        color = GOOD if share.value >= limit else BAD
        text = f'{100 * share.value:.2f} %' if share.total else '-'
        draw_text(panel, _WORDS[name], (12, y + 8), _TEXT_PX, TEXT, 'lm')
        draw_text(panel, text, (KEY_PX - 12, y + 8), _TEXT_PX, color, 'rm', bold=True)
        y += _ROW_PX


def _draw_items(panel: Image, head: str, items: list[tuple[Swatch, str]], y: int) -> int:
    y = _draw_head(panel, head, y)
    for swatch, text in items:
        _draw_row(panel, swatch, text, y)
        y += _ROW_PX
    return y


def _draw_head(panel: Image, text: str, y: int) -> int:
    draw_text(panel, text, (12, y + 8), _HEAD_PX, TEXT_DIM, 'lm', bold=True)
    draw_lines(panel, [[(12, y + 20), (KEY_PX - 12, y + 20)]], mix(GRID_LINE, PANEL, 0.5))
    return y + 28


def _draw_row(panel: Image, swatch: Swatch, text: str, y: int) -> None:
    if y + _SWATCH[1] + 2 > len(panel):
        return
    swatch(panel[y + 1 : y + 1 + _SWATCH[1], 12 : 12 + _SWATCH[0]])
    left = 12 + _SWATCH[0] + 10
    text = fit_text(text, _TEXT_PX, KEY_PX - left - 8)
    draw_text(panel, text, (left, y + 8), _TEXT_PX, TEXT, 'lm')


def _words(item: SemanticClass) -> str:
    return item.label.replace('_', ' ')


def _plain(item: SemanticClass) -> Swatch:
    color: Color = semantic_class_color(item)

    def paint(part: Image) -> None:
        part[...] = color

    return paint


def _box(part: Image) -> None:
    part[...] = FREE
    color = class_color(0)
    draw_lines(part, [[(2, 3), (19, 3), (19, 10), (2, 10)]], color, closed=True)
    draw_lines(part, [[(19, 3), (19, 10)]], color, 3)
    draw_lines(part, [[(14, 6.5), (25, 6.5)]], color, 2)


def _cuboid(part: Image) -> None:
    part[...] = FREE
    near, far = [(4, 4), (16, 4), (16, 12), (4, 12)], [(9, 1), (21, 1), (21, 9), (16, 12)]
    draw_lines(part, [near], class_color(0), closed=True)
    draw_lines(part, [[near[0], *far], [near[1], far[1]]], class_color(0))


def _hidden(part: Image) -> None:
    part[...] = FREE
    draw_dashed(part, [[(3, 3), (22, 3), (22, 10), (3, 10), (3, 3)]], class_color(0), 3, 3)


def _arrow(part: Image) -> None:
    part[...] = FREE
    draw_lines(part, [[(2, 6.5), (17, 6.5)]], VELOCITY)
    fill_polygon(part, [(24, 6.5), (16, 3.5), (16, 9.5)], VELOCITY)


def _past(part: Image) -> None:
    part[...] = FREE
    draw_lines(part, [[(2, 9), (12, 5), (24, 6)]], mix(BACKGROUND, class_color(0), 0.6), 2)


def _beads(part: Image) -> None:
    part[...] = FREE
    draw_lines(part, [[(2, 6.5), (23, 6.5)]], class_color(0))
    for u in (3.5, 12.5, 21.5):
        fill_circle(part, (u, 6.5), 2.5, class_color(0))


def _unseen(part: Image) -> None:
    part[...] = semantic_class_color(SemanticClass.ROAD)
    observed = np.zeros(part.shape[:2], bool)
    observed[:, : part.shape[1] // 2] = True
    darken_unseen(part, observed)
