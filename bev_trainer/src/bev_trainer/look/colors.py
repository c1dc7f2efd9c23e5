"""Colours of what pixels and cells can be: the same in every panel of a sheet."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.palette import Color, class_color
from bev_trainer.world.classes import GroundLayer, SemanticClass

NEAR_M, FAR_M = 1.0, 100.0

_OPEN_GROUND: Color = (50, 66, 48)  # terrain, darker: seen from above there is much of it

_STATIC: dict[SemanticClass, Color] = {
    SemanticClass.VOID: (0, 0, 0),
    SemanticClass.SKY: (104, 140, 178),
    SemanticClass.ROAD: (82, 88, 102),
    SemanticClass.LANE_MARKING: (240, 236, 220),
    SemanticClass.CROSSING: (150, 160, 196),
    SemanticClass.SIDEWALK: (142, 112, 92),
    SemanticClass.TERRAIN: (70, 92, 62),
    SemanticClass.BUILDING: (128, 100, 122),
    SemanticClass.VEGETATION: (52, 134, 78),
    SemanticClass.STRUCTURE: (196, 186, 120),
}


def semantic_class_color(item: SemanticClass) -> Color:
    """Returns the colour of a class; those of road users are the ones of their boxes."""
    if item < SemanticClass.CAR:
        return _STATIC[item]
    return class_color(int(item - SemanticClass.CAR))


def paint_classes(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns RGB [..., 3] of `SemanticClass` values [...]; black for what is none."""
    table = np.zeros((256, 3), np.uint8)
    for item in SemanticClass:
        table[item] = semantic_class_color(item)
    return table[classes]


def paint_layers(layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns RGB [..., 3] of `GroundLayer` bits [...]: paint over crossing over road."""
    table = np.empty((256, 3), np.uint8)
    table[:] = _OPEN_GROUND
    bits = np.arange(256)
    for layer, item in (
        (GroundLayer.SIDEWALK, SemanticClass.SIDEWALK),
        (GroundLayer.DRIVABLE, SemanticClass.ROAD),
        (GroundLayer.CROSSING, SemanticClass.CROSSING),
        (GroundLayer.LANE_MARKING, SemanticClass.LANE_MARKING),
    ):
        table[(bits & int(layer)) > 0] = semantic_class_color(item)
    return table[layers]


def paint_depth(depth_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns RGB [H, W, 3]: red near to blue far, by the logarithm; black for nothing."""
    share = np.log(np.maximum(depth_m, 1e-3) / NEAR_M) / np.log(FAR_M / NEAR_M)
    counts = np.rint(255.0 * (1.0 - np.clip(share, 0.0, 1.0))).astype(np.uint8)
    painted = cv2.applyColorMap(np.atleast_2d(counts), cv2.COLORMAP_TURBO)[..., ::-1].copy()
    painted[np.atleast_2d(depth_m) <= 0] = 0
    return np.asarray(painted, np.uint8)
