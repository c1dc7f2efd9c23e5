"""Semantic bird's-eye views: ground layers and footprints of road users on a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.footprints import footprint_cells
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


def semantic_bev(
    ground: GroundRaster, world_T_base: ArrayLike, boxes_base: BoxArray, grid: BevGrid
) -> NDArray[np.bool_]:
    """Returns bool [C, Y, X] on a grid of the base frame, layers as in `BEV_LAYERS`.

    Layers overlap: the road goes on under a car. See `GroundRaster.sample` and `footprint_cells`.

    Args:
        ground: around the place.
        world_T_base: [4, 4] of the base.
        boxes_base: road users, base frame.
        grid: of the result.
    """
    layers = np.zeros((len(BEV_LAYERS), *grid.shape), np.bool_)
    layers[: len(GROUND_LAYERS)] = ground.sample(world_T_base, grid)
    first = len(GROUND_LAYERS) - int(OBJECT_CLASSES[0])
    cells = footprint_cells(boxes_base.center_m, boxes_base.size_m, boxes_base.yaw_rad, grid)
    for row, window, mask in cells:
        layers[first + int(boxes_base.class_id[row])][window] |= mask
    return layers


def layers_of(semantic: NDArray[np.bool_], names: Sequence[str]) -> NDArray[np.bool_]:
    """Returns bool [len(names), Y, X]: layers of `semantic_bev`'s, or unions of them, by name.

    Raises:
        ValueError: there is no such layer.
    """
    return np.stack([semantic[_indices(name)].any(axis=0) for name in names])


def _indices(name: str) -> list[int]:
    parts = UNIONS.get(name, (name,))
    unknown = [part for part in parts if part not in BEV_LAYERS]
    if unknown:
        known = ', '.join((*BEV_LAYERS, *UNIONS))
        raise ValueError(f"there is no layer '{unknown[0]}'; there are {known}")
    return [BEV_LAYERS.index(part) for part in parts]
