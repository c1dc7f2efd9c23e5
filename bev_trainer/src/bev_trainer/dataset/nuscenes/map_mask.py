"""Where vehicles can drive, as the picture that nuScenes calls a semantic prior."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_trainer.dataset.reader import Drive
from bev_trainer.world.classes import GroundLayer
from bev_trainer.world.ground_raster import GroundRaster

PIXEL_M = 0.1  # what the tools take for granted


def write_map_mask(path: Path, drives: Iterable[Path]) -> None:
    """Writes a grey PNG with 255 where vehicles can drive around one of the drives.

    Pixel (column, row) is the point (column, height - row) x 0.1 m of the world frame, so that
    the picture has north on top; what lies at negative coordinates is left out.
    """
    mask = np.zeros((1, 1), np.uint8)
    for drive in drives:
        with Drive(drive) as opened:
            mask = _with(mask, opened.ground)
    # Row 0 of the array is y = 0; that of the picture is y = height.
    picture = np.ascontiguousarray(np.roll(mask[::-1], 1, axis=0))
    picture[0] = 0
    path.write_bytes(cv2.imencode('.png', picture)[1].tobytes())


def _with(mask: NDArray[np.uint8], ground: GroundRaster) -> NDArray[np.uint8]:
    """Returns the mask [y, x], grown to hold the ground of one more drive."""
    rows, iy = _steps(ground.y_min_m, ground.layers.shape[0], ground.resolution_m)
    columns, ix = _steps(ground.x_min_m, ground.layers.shape[1], ground.resolution_m)
    height = max(mask.shape[0], int(rows.max(initial=0)) + 1)
    width = max(mask.shape[1], int(columns.max(initial=0)) + 1)
    grown = np.zeros((height, width), np.uint8)
    grown[: mask.shape[0], : mask.shape[1]] = mask
    drivable = (ground.layers[np.ix_(iy, ix)] & np.uint8(GroundLayer.DRIVABLE)) > 0
    if drivable.size:
        part = grown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part[drivable] = 255
    return grown


def _steps(
    lower_m: float, count: int, resolution_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the pixels along one axis that lie on a raster, and the raster's cell under each."""
    first = max(int(np.ceil(lower_m / PIXEL_M)), 0)
    last = int(np.floor((lower_m + count * resolution_m) / PIXEL_M))
    pixels = np.arange(first, last + 1)
    cells = np.floor((pixels * PIXEL_M - lower_m) / resolution_m).astype(np.int64)
    inside = (cells >= 0) & (cells < count)
    return pixels[inside], cells[inside]
