"""Colours of every picture: one dark theme, stable colours per class index and per time step."""

from __future__ import annotations

import colorsys

Color = tuple[int, int, int]

BACKGROUND: Color = (17, 20, 26)
PANEL: Color = (25, 29, 37)
FREE: Color = (34, 39, 49)
UNKNOWN: Color = (62, 66, 74)
UNKNOWN_HATCH: Color = (86, 91, 100)
OCCUPIED: Color = (236, 238, 242)
GRID_LINE: Color = (98, 108, 124)
TEXT: Color = (232, 236, 242)
TEXT_DIM: Color = (152, 162, 178)
EGO: Color = (250, 250, 250)
VELOCITY: Color = (255, 255, 255)
GOOD: Color = (92, 200, 120)
WARNING: Color = (255, 178, 46)
BAD: Color = (240, 84, 84)

_OBJECT_COLORS: tuple[Color, ...] = (
    (255, 158, 61),
    (77, 195, 255),
    (122, 224, 96),
    (255, 99, 146),
    (190, 140, 255),
    (255, 224, 82),
    (52, 222, 193),
    (255, 128, 98),
    (126, 148, 255),
    (214, 236, 120),
    (240, 130, 222),
    (160, 205, 220),
)
_SEMANTIC_COLORS: tuple[Color, ...] = (
    (44, 104, 122),
    (136, 96, 44),
    (84, 110, 52),
    (116, 62, 108),
    (70, 78, 140),
    (134, 64, 58),
    (46, 118, 88),
    (120, 112, 60),
)
_TIME_RAMP: tuple[Color, ...] = ((255, 232, 92), (255, 138, 60), (226, 64, 118), (138, 76, 214))


def class_color(index: int) -> Color:
    """Returns the bright colour of object class `index`; the same for ever, distinct for 12."""
    if index < len(_OBJECT_COLORS):
        return _OBJECT_COLORS[index]
    return _golden_hue(index, lightness=0.66, saturation=0.8)


def semantic_color(index: int) -> Color:
    """Returns the muted colour of semantic class `index`, dark enough to lie under objects."""
    if index < len(_SEMANTIC_COLORS):
        return _SEMANTIC_COLORS[index]
    return _golden_hue(index, lightness=0.34, saturation=0.5)


def time_color(share: float) -> Color:
    """Returns the colour of a future instant; share 0 is now, 1 the end of the horizon."""
    position = min(max(share, 0.0), 1.0) * (len(_TIME_RAMP) - 1)
    lower = min(int(position), len(_TIME_RAMP) - 2)
    return mix(_TIME_RAMP[lower], _TIME_RAMP[lower + 1], position - lower)


def mix(first: Color, second: Color, share: float) -> Color:
    """Returns `first` for share 0, `second` for share 1, linear in between."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _golden_hue(index: int, lightness: float, saturation: float) -> Color:
    hue = (index * 0.618033988749895) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)
