"""What lies on the ground of the bird's-eye view: occupancy, semantics, unknown, the future."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_view import BevView
from bev_perception.draw.palette import (
    FREE,
    OCCUPIED,
    UNKNOWN,
    UNKNOWN_HATCH,
    semantic_color,
    time_color,
)
from bev_perception.frame import BevFrame

_HATCH_PERIOD_PX = 9
_SEMANTIC_STRENGTH = 0.85
_SHOWN_FUTURE_STEPS = 4


def draw_ground(frame: BevFrame, view: BevView) -> NDArray[np.uint8]:
    """Returns [h, w, 3] RGB of the size of `view.area`: every cell in its colour.

    Free cells are dark, occupied ones bright; the strongest semantic class tints a cell from
    probability 0.5 on; cells that no camera observed are grey and hatched, whatever they hold.
    """
    colors = np.empty((*frame.grid.shape, 3), np.float32)
    colors[:] = FREE
    if frame.semantics is not None and len(frame.semantics):
        _tint(colors, frame.semantics)
    if frame.occupancy is not None:
        share = np.clip(frame.occupancy, 0.0, 1.0)[..., None]
        colors += share * (np.array(OCCUPIED, np.float32) - colors)
    picture = view.enlarge(np.rint(colors).astype(np.uint8))
    _hatch(picture, view.enlarge((~frame.observed).astype(np.uint8)).astype(bool))
    return picture


def draw_future(picture: NDArray[np.uint8], frame: BevFrame, view: BevView) -> None:
    """Outlines the cells that are more likely occupied than not at up to four future instants."""
    if frame.future_occupancy is None:
        return
    for step in reversed(shown_future_steps(len(frame.future_occupancy))):
        likely = np.where(frame.observed, frame.future_occupancy[step - 1], np.float32(0.0))
        field = view.enlarge(np.ascontiguousarray(likely, np.float32), smooth=True)
        mask = (field > 0.5).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        color = time_color(step / len(frame.future_occupancy))
        cv2.drawContours(picture, contours, -1, color, 1, cv2.LINE_AA)


def shown_future_steps(steps: int) -> list[int]:
    """Returns which of the steps 1..`steps` are drawn: at most four, evenly spread to the last."""
    shown = min(steps, _SHOWN_FUTURE_STEPS)
    return [round(steps * (index + 1) / shown) for index in range(shown)]


def hatch_pattern(height: int, width: int) -> NDArray[np.uint8]:
    """Returns [h, w, 3]: the look of unknown, grey with lighter diagonal lines."""
    diagonal = (np.arange(height)[:, None] + np.arange(width)[None, :]) % _HATCH_PERIOD_PX
    colors = np.array([UNKNOWN, UNKNOWN_HATCH], np.uint8)
    return colors[(diagonal < 2).astype(np.intp)]


def _tint(colors: NDArray[np.float32], semantics: NDArray[np.float32]) -> None:
    strongest = semantics.argmax(axis=0)
    probability = np.take_along_axis(semantics, strongest[None], axis=0)[0]
    tints = np.array([semantic_color(index) for index in range(len(semantics))], np.float32)
    share = _SEMANTIC_STRENGTH * np.where(probability >= 0.5, np.clip(probability, 0, 1), 0.0)
    colors += share[..., None] * (tints[strongest] - colors)


def _hatch(picture: NDArray[np.uint8], unknown: NDArray[np.bool_]) -> None:
    pattern = hatch_pattern(*picture.shape[:2])
    picture[unknown] = pattern[unknown]
