"""Outlines of turn arrows painted on lanes, in (forward, left) metres of the arrow's middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_HALF_SHAFT = 0.09
_STRAIGHT_HEAD = np.array([[1.1, -0.38], [2.5, 0.0], [1.1, 0.38]])
_LEFT_HEAD = np.array([[0.25, 0.5], [0.82, 1.0], [1.39, 0.5]])
_BEND = np.array([[0.1, 0.0], [0.55, 0.12], [0.82, 0.34], [0.82, 0.54]])


def arrow_outlines(directions: frozenset[str]) -> list[FloatArray]:
    """Returns outlines [n, 2] of an arrow for a set of 's' (straight), 'l' and 'r'.

    They overlap where the branches part from the shaft. An empty set gives no outlines.
    """
    if not directions:
        return []
    shaft_end = 1.15 if 's' in directions else 0.2
    outlines = [_bar(np.array([[-2.4, 0.0], [shaft_end, 0.0]]))]
    if 's' in directions:
        outlines.append(_STRAIGHT_HEAD)
    for letter, side in (('l', 1.0), ('r', -1.0)):
        if letter in directions:
            shift = -1.1 if 's' in directions else 0.0
            mirror = np.array([1.0, side])
            move = np.array([shift, 0.0])
            branch = (_BEND + move) * mirror
            outlines += [_bar(branch), (_LEFT_HEAD + move) * mirror]
    return outlines


def _bar(line: FloatArray) -> FloatArray:
    """Returns the outline of a line with the width of the shaft."""
    steps = np.gradient(line, axis=0)
    normals = np.stack([-steps[:, 1], steps[:, 0]], -1)
    normals *= _HALF_SHAFT / np.linalg.norm(normals, axis=-1, keepdims=True)
    return np.concatenate([line + normals, (line - normals)[::-1]])
