"""Where RViz docks its panels: the state of a Qt main window, written as `saveState` does."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

MAX_PER_ROW = 6
LEFT_WIDTH = 340
ROW_HEIGHT = 220

_LEFT, _TOP, _BOTTOM = 0, 2, 3
_HORIZONTAL, _VERTICAL = 1, 2
_MAIN_WINDOW, _FORMAT_VERSION = 0xFF, 0
_DOCKS, _WIDGET, _SEQUENCE, _TOOL_BARS = 0xFD, 0xFB, 0xFC, 0xFC
_VISIBLE = 1
_MIN_PIXELS, _MAX_PIXELS = 60, 0xFFFFFF

# What Qt writes before the place of a member of a dock area, and after it.
_Member = tuple[bytes, bytes]


def main_window_state(left: Sequence[str], bottom: Sequence[str], width: int, height: int) -> str:
    """Returns the hexadecimal text for `QMainWindow State` of an RViz configuration.

    Panels that belong to displays (such as Image) float unless this state docks them.

    Args:
        left: names of the panels at the left edge, from top to bottom; at least one.
        bottom: names of the panels at the bottom, in rows of at most MAX_PER_ROW.
        width: of the window (pixels).
        height: of the window (pixels).
    """
    rows = _rows(bottom)
    bottom_height = min(ROW_HEIGHT * len(rows), height // 2)
    upper = height - bottom_height
    docks = [
        struct.pack('>iii', _LEFT, LEFT_WIDTH, upper)
        + _sequence(_VERTICAL, [_dock(name) for name in left], upper)
    ]
    if rows:
        lines = [_sequence(_HORIZONTAL, [_dock(name) for name in row], width) for row in rows]
        members = [(struct.pack('>B', _SEQUENCE), line) for line in lines]
        docks.append(
            struct.pack('>iii', _BOTTOM, width, bottom_height)
            + _sequence(_VERTICAL, members, bottom_height)
        )
    state = struct.pack('>IIBi', _MAIN_WINDOW, _FORMAT_VERSION, _DOCKS, len(docks))
    centre = struct.pack('>ii', width - LEFT_WIDTH, upper)
    # The lower corners belong to the bottom area (Qt.BottomDockWidgetArea), the others to the top.
    corners = struct.pack('>iiii', 4, 4, 8, 8)
    return (state + b''.join(docks) + centre + corners + _tool_bar()).hex()


def _rows(names: Sequence[str]) -> list[Sequence[str]]:
    """Returns the names in rows of nearly equal length."""
    if not names:
        return []
    length = math.ceil(len(names) / math.ceil(len(names) / MAX_PER_ROW))
    return [names[start : start + length] for start in range(0, len(names), length)]


def _dock(name: str) -> _Member:
    return struct.pack('>B', _WIDGET) + _text(name) + struct.pack('>B', _VISIBLE), b''


def _sequence(orientation: int, members: Sequence[_Member], pixels: int) -> bytes:
    """Returns members that share `pixels` evenly along `orientation`."""
    share = pixels // len(members)
    body = b''.join(
        before + struct.pack('>iiii', index * share, share, _MIN_PIXELS, _MAX_PIXELS) + after
        for index, (before, after) in enumerate(members)
    )
    return struct.pack('>BBi', _SEQUENCE, orientation, len(members)) + body


def _tool_bar() -> bytes:
    """Returns RViz's one tool bar, alone in one line at the top."""
    line = struct.pack('>Biii', _TOOL_BARS, 1, _TOP, 1)
    return line + _text('Tools') + struct.pack('>Biiii', _VISIBLE, 0, -1, 0, 0)


def _text(text: str) -> bytes:
    encoded = text.encode('utf-16-be')
    return struct.pack('>I', len(encoded)) + encoded
