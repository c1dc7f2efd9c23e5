"""States over time: one strip per camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.report.charts.svg import Svg, element, number, picture

_WIDTH, _ROW, _SCORE = 720.0, 12.0, 34.0
_MOST_CELLS = 360


@dataclass(frozen=True, eq=False)
class Stretch:
    """Cells of a strip that hold the same.

    Attributes:
        start, stop: first cell and the one after the last.
        state: what they hold.
    """

    start: int
    stop: int
    state: str


def time_cells(stamps_ns: Sequence[int]) -> NDArray[np.int64]:
    """Returns the cell of each frame on a strip: even in time, so that gaps stay gaps."""
    if not stamps_ns:
        return np.zeros(0, np.int64)
    away_ns = np.array(stamps_ns, np.int64) - stamps_ns[0]
    period_ns = float(np.median(np.diff(away_ns))) if len(stamps_ns) > 1 else 1.0
    wanted = away_ns[-1] / max(period_ns, 1.0) + 1
    cells = min(_MOST_CELLS, round(float(wanted)))
    return np.round(away_ns / max(int(away_ns[-1]), 1) * (cells - 1)).astype(np.int64)


def stretches(cells: Sequence[int], states: Sequence[str], usual: str) -> list[Stretch]:
    """Returns what cells hold, from left to right; cells without a frame are left out.

    A cell of several frames holds the last state among them that is not the usual one.
    """
    held: dict[int, str] = {}
    for cell, state in zip(cells, states, strict=True):
        if state != usual or cell not in held:
            held[cell] = state
    found: list[Stretch] = []
    for cell, state in sorted(held.items()):
        if found and found[-1].stop == cell and found[-1].state == state:
            found[-1] = Stretch(found[-1].start, cell + 1, state)
        else:
            found.append(Stretch(cell, cell + 1, state))
    return found


def strip(rows: Sequence[Sequence[Stretch]], cells: int, classes: dict[str, str]) -> Svg:
    """Returns the strips under each other.

    Args:
        rows: of each camera.
        cells: number of cells of all of them.
        classes: class of the style sheet of each state.
    """
    unit = _WIDTH / max(cells, 1)
    parts = []
    for row, found in enumerate(rows):
        for one in found:
            parts.append(
                element(
                    'rect',
                    element('title', one.state.replace('_', ' ').lower()),
                    x=one.start * unit,
                    y=row * _ROW + 1,
                    width=(one.stop - one.start) * unit,
                    height=_ROW - 2,
                    class_=classes.get(one.state, 'st-other'),
                )
            )
    height = max(len(rows), 1) * _ROW
    return picture(_WIDTH, height, 'camera states over time', *parts, class_='strip', stretch=True)


def score_strip(
    cells: NDArray[np.int64], scores: Sequence[float | None], marks: Sequence[int]
) -> Svg:
    """Returns the score of frames over time, 0 at the bottom and 1 at the top.

    Args:
        cells: of each frame.
        scores: of each frame; None where nothing could be scored.
        marks: cells at which the past was dropped.
    """
    count = int(cells[-1]) + 1 if cells.size else 1
    unit = _WIDTH / count
    parts = [element('line', x1=0, x2=_WIDTH, y1=y, y2=y, class_='grid') for y in (1, _SCORE - 1)]
    d, last = '', None
    worst: dict[int, float] = {}
    for cell, score in zip(cells.tolist(), scores, strict=True):
        if score is not None:
            worst[cell] = min(score, worst.get(cell, 1.0))
    for cell, score in worst.items():
        x = number((cell + 0.5) * unit)
        y = number(_SCORE - 1 - min(max(score, 0.0), 1.0) * (_SCORE - 2))
        d += f'L{x} {y}' if last == cell - 1 else f'M{x} {y}h0'
        last = cell
    parts += [
        element('line', x1=x * unit, x2=x * unit, y1=0, y2=_SCORE, class_='dropped') for x in marks
    ]
    if d:
        parts.append(element('path', d=d, class_='line'))
    return picture(_WIDTH, _SCORE, 'score over time', *parts, class_='strip c0', stretch=True)
