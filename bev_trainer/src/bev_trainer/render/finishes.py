"""What the materials of meshes look like."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from bev_trainer.render.mesh import Material
from bev_trainer.world.catalogue import Rgb


class Glow(IntEnum):
    """When a material shines by itself; the vertex shader knows the same numbers."""

    NONE = 0
    HEADLIGHT = 1
    TAILLIGHT = 2
    LAMP = 3
    RED = 4
    YELLOW = 5
    GREEN = 6


class Kind(IntEnum):
    """Which program draws a material."""

    SOLID = 0
    LEAVES = 1
    FACADE = 2


@dataclass(frozen=True)
class Finish:
    """Looks of one material.

    Attributes:
        color_rgb: linear reflectance.
        tint: share of the instance's colour that takes the place of `color_rgb`.
        gloss: 0 matt, 1 mirror-like.
        glow: when it shines.
        kind: which program draws it.
        smooth: whether its edges are rounded by shading.
    """

    color_rgb: Rgb
    tint: float = 0.0
    gloss: float = 0.0
    glow: Glow = Glow.NONE
    kind: Kind = Kind.SOLID
    smooth: bool = False


_M = Material

FINISHES: dict[Material, Finish] = {
    _M.PAINT: Finish((0.5, 0.5, 0.5), 1.0, 0.55, smooth=True),
    _M.CLOTH: Finish((0.4, 0.4, 0.4), 1.0, smooth=True),
    _M.CLOTH_DARK: Finish((0.045, 0.05, 0.07), 0.12, smooth=True),
    _M.GLASS: Finish((0.018, 0.022, 0.024), 0.0, 1.0, smooth=True),
    _M.RUBBER: Finish((0.022, 0.022, 0.023)),
    _M.METAL: Finish((0.45, 0.46, 0.47), 0.0, 0.7),
    _M.PLASTIC: Finish((0.04, 0.04, 0.043), 0.0, 0.12),
    _M.HEADLIGHT: Finish((0.60, 0.62, 0.64), 0.0, 0.8, Glow.HEADLIGHT),
    _M.TAILLIGHT: Finish((0.28, 0.012, 0.012), 0.0, 0.5, Glow.TAILLIGHT),
    _M.PLATE: Finish((0.72, 0.72, 0.66), 0.0, 0.1),
    _M.SKIN: Finish((0.42, 0.26, 0.19), smooth=True),
    _M.HAIR: Finish((0.05, 0.035, 0.025), smooth=True),
    _M.CARGO: Finish((0.62, 0.62, 0.60), 0.0, 0.15),
    _M.FACADE: Finish((0.4, 0.4, 0.4), 1.0, kind=Kind.FACADE),
    _M.ROOF: Finish((0.13, 0.10, 0.09), 0.10),
    _M.LEAVES: Finish((0.10, 0.17, 0.05), 1.0, kind=Kind.LEAVES, smooth=True),
    _M.BARK: Finish((0.11, 0.085, 0.065)),
    _M.POLE: Finish((0.30, 0.31, 0.32), 0.0, 0.25),
    _M.LAMP: Finish((0.75, 0.75, 0.72), 0.0, 0.3, Glow.LAMP),
    _M.LIGHT_RED: Finish((0.10, 0.015, 0.01), 0.0, 0.3, Glow.RED),
    _M.LIGHT_YELLOW: Finish((0.12, 0.08, 0.01), 0.0, 0.3, Glow.YELLOW),
    _M.LIGHT_GREEN: Finish((0.01, 0.08, 0.05), 0.0, 0.3, Glow.GREEN),
    _M.SIGN_WHITE: Finish((0.78, 0.78, 0.78), 0.0, 0.2),
    _M.SIGN_RED: Finish((0.55, 0.03, 0.03), 0.0, 0.2),
    _M.SIGN_BLUE: Finish((0.03, 0.10, 0.38), 0.0, 0.2),
    _M.SIGN_BLACK: Finish((0.02, 0.02, 0.02), 0.0, 0.1),
    _M.WOOD: Finish((0.26, 0.16, 0.09)),
}
