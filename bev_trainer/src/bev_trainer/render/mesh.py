"""Meshes as the renderer takes them: flat-shaded triangles in a unit box."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]


class Material(IntEnum):
    """How a triangle looks; the renderer knows a colour and a finish for each."""

    PAINT = 0  # the instance's colour, glossy
    CLOTH = 1  # the instance's colour, matt
    CLOTH_DARK = 2  # trousers: dark, tinted by the instance's seed
    GLASS = 3
    RUBBER = 4
    METAL = 5  # bright
    PLASTIC = 6  # dark grey
    HEADLIGHT = 7  # shines forward when lamps burn
    TAILLIGHT = 8  # glows when lamps burn, bright when braking
    PLATE = 9
    SKIN = 10
    HAIR = 11
    CARGO = 12  # light grey boxes, tarpaulins
    FACADE = 13  # walls with windows, drawn procedurally from position, size and seed
    ROOF = 14
    LEAVES = 15  # the instance's colour, mottled
    BARK = 16
    POLE = 17  # galvanised
    LAMP = 18  # street lamp, shines at night
    LIGHT_RED = 19  # lamps of a traffic light
    LIGHT_YELLOW = 20
    LIGHT_GREEN = 21
    SIGN_WHITE = 22
    SIGN_RED = 23
    SIGN_BLUE = 24
    SIGN_BLACK = 25
    WOOD = 26


class Limb(IntEnum):
    """Part of a walking body that swings about the y axis through its pivot."""

    BODY = 0
    LEFT_LEG = 1
    RIGHT_LEG = 2
    LEFT_ARM = 3
    RIGHT_ARM = 4


# Height of the pivots as a share of the body's height, and the largest swing of a full stride.
HIP_HEIGHT, SHOULDER_HEIGHT = 0.50, 0.80
LEG_SWING_RAD, ARM_SWING_RAD = 0.30, 0.30
STRIDE_M = 1.4  # path of one full cycle, for a body of nominal height


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of one model in its unit box: x (ahead), y (left) in [-0.5, 0.5], z in [0, 1].

    An instance scales the box to its length, width and height. Standing limbs fill the box;
    swung ones stay inside it in x as long as the mesh leaves room for them.

    Attributes:
        positions: float32 [3 t, 3], three rows a triangle, counter-clockwise seen from outside.
        normals: float32 [3 t, 3] unit normals in the model's nominal proportions.
        materials: uint8 [3 t], of `Material`, equal within a triangle.
        limbs: uint8 [3 t], of `Limb`.
    """

    positions: FloatArray
    normals: FloatArray
    materials: ByteArray
    limbs: ByteArray

    @property
    def triangle_count(self) -> int:
        return len(self.positions) // 3
