"""Placing pictures of different shapes in one panel, in rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rect:
    """A rectangle of pixels; x grows to the right, y downwards."""

    x: int
    y: int
    width: int
    height: int


def mosaic(aspects: Sequence[float], width: int, height: int, gap: int) -> list[Rect]:
    """Returns one rectangle per picture, in the order given, inside a panel of width x height.

    Pictures of one row share their height; no row is wider than the panel, and rows that could be
    higher than their share of the panel are as high as each other. Of all ways to break the order
    into rows, the one with the largest geometric mean of picture areas is taken: large, and even.

    Args:
        aspects: width / height of each picture.
        width: of the panel in pixels.
        height: of the panel in pixels.
        gap: pixels between neighbours.
    """
    if not aspects:
        return []
    candidates = (place_rows(rows, width, height, gap) for rows in _row_breaks(list(aspects)))
    return max(candidates, key=_log_areas)


def _row_breaks(aspects: list[float]) -> Iterator[list[list[float]]]:
    """Yields every way to cut the list into consecutive non-empty rows, late cuts first."""
    for cuts in reversed(range(1 << (len(aspects) - 1))):
        rows = [[aspects[0]]]
        for index, aspect in enumerate(aspects[1:]):
            if cuts >> index & 1:
                rows.append([aspect])
            else:
                rows[-1].append(aspect)
        yield rows


def place_rows(rows: Sequence[Sequence[float]], width: int, height: int, gap: int) -> list[Rect]:
    """Returns the rectangles of given rows of aspects, from the top left corner; see `mosaic`."""
    limits = [(width - gap * (len(row) - 1)) / sum(row) for row in rows]
    level = _level(limits, height - gap * (len(rows) - 1))
    rects = []
    y = 0.0
    for row, limit in zip(rows, limits, strict=True):
        row_height = min(limit, level)
        x = 0.0
        for aspect in row:
            left, top = round(x), round(y)
            right, bottom = round(x + row_height * aspect), round(y + row_height)
            rects.append(Rect(left, top, max(1, right - left), max(1, bottom - top)))
            x += row_height * aspect + gap
        y += row_height + gap
    return rects


def _level(limits: list[float], total: float) -> float:
    """Returns the common height at which rows, none higher than its limit, fill the total."""
    for index, limit in enumerate(sorted(limits)):
        share = total / (len(limits) - index)
        if limit >= share:
            return share
        total -= limit
    return max(limits)


def _log_areas(rects: list[Rect]) -> float:
    # Rounded, so that a pixel more or less decides nothing.
    return round(sum(math.log(rect.width * rect.height) for rect in rects), 1)
