"""Semantic bird's-eye views: ground layers and footprints of road users on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.grid import BevGrid
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import (
    OBJECT_CLASSES,
    TWO_WHEELER_CLASSES,
    VEHICLE_CLASSES,
)
from bev_trainer.world.ground_raster import SAMPLED_LAYERS, GroundRaster

GROUND_LAYERS = tuple(str(layer.name).lower() for layer in SAMPLED_LAYERS)
BEV_LAYERS = (*GROUND_LAYERS, *(item.label for item in OBJECT_CLASSES))
# Layers of a model that are unions of these.
UNIONS: dict[str, tuple[str, ...]] = {
    'vehicle': tuple(item.label for item in VEHICLE_CLASSES),
    'two_wheeler': tuple(item.label for item in TWO_WHEELER_CLASSES),
}

_SHIFT = 8  # binary digits of a cell in cv2.fillPoly


def semantic_bev(
    ground: GroundRaster, world_T_base: ArrayLike, boxes_base: BoxArray, grid: BevGrid
) -> NDArray[np.bool_]:
    """Returns bool [C, Y, X] on a grid of the base frame, layers as in `BEV_LAYERS`.

    Layers overlap: the road goes on under a car. See `GroundRaster.sample` and `footprint_mask`.

    Args:
        ground: around the place.
        world_T_base: [4, 4] of the base.
        boxes_base: road users, base frame.
        grid: of the result.
    """
    layers = np.zeros((len(BEV_LAYERS), *grid.shape), np.uint8)
    layers[: len(GROUND_LAYERS)] = ground.sample(world_T_base, grid)
    first = len(GROUND_LAYERS) - int(OBJECT_CLASSES[0])
    outlines, near = grid_outlines(boxes_base, grid)
    for outline, class_id in zip(outlines, boxes_base.class_id[near].tolist(), strict=True):
        fill_footprint(layers[first + class_id], outline, 1)
    return layers.view(np.bool_)


def layers_of(semantic: NDArray[np.bool_], names: Sequence[str]) -> NDArray[np.bool_]:
    """Returns bool [len(names), Y, X]: layers of `semantic_bev`'s, or unions of them, by name.

    Raises:
        ValueError: there is no such layer.
    """
    return np.stack([semantic[_indices(name)].any(axis=0) for name in names])


def fill_footprint(target: NDArray, outline: NDArray[np.int32], value: int) -> None:
    """Sets the cells [Y, X] of one footprint, an outline of `grid_outlines`, to a value.

    These are the cells that a filled polygon of OpenCV touches: all whose centre is inside, and
    those along its outline. That is how the labels of Philion and Fidler, "Lift, Splat, Shoot"
    (ECCV 2020), are made, but corners are not rounded to whole cells here.
    """
    cv2.fillPoly(target, [outline], value, shift=_SHIFT)


def grid_outlines(
    boxes: BoxArray, grid: BevGrid
) -> tuple[list[NDArray[np.int32]], NDArray[np.intp]]:
    """Returns the footprints of boxes near a grid as OpenCV wants them, and their rows [k]."""
    origin = (grid.x_min_m, grid.y_min_m)
    cells = (boxes.footprints() - origin) / grid.resolution_m - 0.5
    low, high = cells.min(axis=1), cells.max(axis=1)
    outside = (high < -1.0) | (low > (grid.size_x, grid.size_y))
    near = np.flatnonzero(~outside.any(axis=1))
    fixed = np.rint(cells[near] * (1 << _SHIFT)).astype(np.int32)
    return list(fixed), near


def _indices(name: str) -> list[int]:
    parts = UNIONS.get(name, (name,))
    unknown = [part for part in parts if part not in BEV_LAYERS]
    if unknown:
        known = ', '.join((*BEV_LAYERS, *UNIONS))
        raise ValueError(f"there is no layer '{unknown[0]}'; there are {known}")
    return [BEV_LAYERS.index(part) for part in parts]
