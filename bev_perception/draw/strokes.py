"""Smooth lines, polygons and discs at sub-pixel coordinates (integers are pixel centres)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.draw.palette import Color

_SHIFT = 4
_MAX_DASHES = 2000


def fixed_point(points_px: ArrayLike) -> NDArray[np.int32]:
    """Returns [..., 2] int32 in the 1/16 pixels that the drawing calls of OpenCV understand."""
    bounded = np.clip(np.asarray(points_px, np.float64), -1e6, 1e6)
    return np.rint(bounded * (1 << _SHIFT)).astype(np.int32)


def draw_lines(
    image: NDArray[np.uint8],
    lines_px: Sequence[ArrayLike],
    color: Color,
    thickness: int = 1,
    closed: bool = False,
) -> None:
    """Draws smooth polylines, each [n, 2] in sub-pixel coordinates."""
    points = [fixed_point(line).reshape(-1, 1, 2) for line in lines_px]
    if points:
        cv2.polylines(image, points, closed, color, thickness, cv2.LINE_AA, _SHIFT)


def draw_dashed(
    image: NDArray[np.uint8],
    lines_px: Sequence[ArrayLike],
    color: Color,
    dash_px: float = 5.0,
    gap_px: float = 4.0,
) -> None:
    """Draws smooth dashed polylines of one pixel, each [n, 2]; every line begins with a dash."""
    for line in lines_px:
        points = np.asarray(line, np.float64)
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        starts = np.arange(0.0, along[-1], dash_px + gap_px)
        for start in starts[:_MAX_DASHES].tolist():
            end = min(start + dash_px, along[-1])
            inner = along[(along > start) & (along < end)]
            places = np.concatenate([[start], inner, [end]])
            dash = np.stack([np.interp(places, along, points[:, axis]) for axis in (0, 1)], -1)
            draw_lines(image, [dash], color)


def fill_polygon(image: NDArray[np.uint8], polygon_px: ArrayLike, color: Color) -> None:
    """Fills one polygon [n, 2], smooth at its edges."""
    cv2.fillPoly(image, [fixed_point(polygon_px)], color, cv2.LINE_AA, _SHIFT)


def fill_circle(
    image: NDArray[np.uint8], center_px: ArrayLike, radius_px: float, color: Color
) -> None:
    """Fills one disc, smooth at its edge."""
    u, v = fixed_point(center_px).tolist()
    radius = round(radius_px * (1 << _SHIFT))
    cv2.circle(image, (u, v), radius, color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def draw_circle(
    image: NDArray[np.uint8], center_px: ArrayLike, radius_px: float, color: Color
) -> None:
    """Draws one circle line of one pixel."""
    u, v = fixed_point(center_px).tolist()
    radius = round(radius_px * (1 << _SHIFT))
    cv2.circle(image, (u, v), radius, color, 1, cv2.LINE_AA, _SHIFT)
