"""Labels that never cover each other: the first comer keeps its place, others move or give way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.palette import BACKGROUND, Color
from bev_perception.draw.text import draw_text, fill_box, text_size

_PAD = 2


class LabelPlacer:
    """Draws labels into one image, each at the first free one of its candidate places."""

    def __init__(self, image: NDArray[np.uint8], height_px: float) -> None:
        self._image = image
        self._height_px = height_px
        self._taken: list[tuple[int, int, int, int]] = []

    def reserve(self, box_px: tuple[int, int, int, int]) -> None:
        """Keeps labels out of the box (x0, y0, x1, y1)."""
        self._taken.append(box_px)

    def place(self, text: str, color: Color, places: Sequence[tuple[float, float, str]]) -> bool:
        """Draws `text` at the first free place (x, y, anchor); returns False when none is free."""
        width, height = text_size(text, self._height_px)
        for x, y, anchor in places:
            x0 = round(x - {'l': 0.0, 'c': 0.5, 'r': 1.0}[anchor[0]] * width)
            y0 = round(y - {'t': 0.0, 'm': 0.5, 'b': 1.0}[anchor[1]] * height)
            box = x0 - _PAD, y0 - _PAD, x0 + width + _PAD, y0 + height + _PAD
            if self._is_free(box):
                self._taken.append(box)
                fill_box(self._image, box, BACKGROUND, 0.72)
                draw_text(self._image, text, (x0, y0), self._height_px, color)
                return True
        return False

    def _is_free(self, box: tuple[int, int, int, int]) -> bool:
        x0, y0, x1, y1 = box
        height, width = self._image.shape[:2]
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            return False
        return not any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self._taken)
