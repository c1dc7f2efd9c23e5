"""One image under all corruptions, side by side, to be looked at."""

from __future__ import annotations

import cv2
import numpy as np

from bev_perception.draw.palette import BACKGROUND, TEXT
from bev_perception.draw.text import draw_text, fill_box, text_size
from bev_perception.evaluation.robustness.images.corruption import CORRUPTIONS
from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import STRENGTHS

_GAP_PX = 6
_LABEL_PX = 11.0


def contact_sheet(rgb: Image, view: View, tile_width_px: int = 480) -> Image:
    """Returns the image (left) and its corruptions, one row per kind, stronger to the right.

    Args:
        rgb: uint8 [H, W, 3], of the size of the camera.
        view: where and when it was taken.
        tile_width_px: width of each picture.
    """
    rows = [
        [_tile(rgb, 'clean', tile_width_px)]
        + [
            _tile(corrupt(rgb, strength, view), f'{kind} {strength}', tile_width_px)
            for strength in STRENGTHS
        ]
        for kind, corrupt in CORRUPTIONS.items()
    ]
    height, width = rows[0][0].shape[:2]
    columns = len(STRENGTHS) + 1
    sheet = np.empty(
        (len(rows) * (height + _GAP_PX) + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3),
        np.uint8,
    )
    sheet[...] = BACKGROUND
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            y, x = _GAP_PX + row * (height + _GAP_PX), _GAP_PX + column * (width + _GAP_PX)
            sheet[y : y + height, x : x + width] = tile
    return sheet


def _tile(rgb: Image, title: str, width_px: int) -> Image:
    height_px = max(1, round(rgb.shape[0] * width_px / rgb.shape[1]))
    way = cv2.INTER_AREA if width_px < rgb.shape[1] else cv2.INTER_LINEAR
    tile = np.array(cv2.resize(rgb, (width_px, height_px), interpolation=way), np.uint8)
    width, height = text_size(title, _LABEL_PX)
    fill_box(tile, (0, 0, width + 12, height + 8), BACKGROUND, 0.75)
    draw_text(tile, title, (6, 4), _LABEL_PX, TEXT)
    return tile
