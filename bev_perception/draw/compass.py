"""A small sign that says where a camera looks: a circle seen from above, forward up."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.palette import TEXT_DIM, Color
from bev_perception.draw.strokes import draw_circle, fill_polygon
from bev_perception.geometry.camera import Camera


def draw_compass(
    image: NDArray[np.uint8],
    center_px: tuple[float, float],
    radius_px: float,
    camera: Camera,
    color: Color,
) -> None:
    """Draws a circle with the camera's horizontal field of view as a wedge: up is forward."""
    draw_circle(image, center_px, radius_px, TEXT_DIM)
    left, right = view_sector(camera)
    angles = np.linspace(left, right, 25)
    rim = np.stack([-np.sin(angles), -np.cos(angles)], axis=-1) * (radius_px - 0.5)
    fill_polygon(image, np.concatenate([np.zeros((1, 2)), rim]) + center_px, color)


def view_sector(camera: Camera) -> tuple[float, float]:
    """Returns (left, right) limits in rad of what the camera sees along its middle row.

    Angles count from base x (forward) to y (left); left >= right, and they do not wrap, so that
    left - right is the width. A camera that looks straight up or down has a full circle.
    """
    columns = np.linspace(-0.5, camera.width - 0.5, 65)
    middle = np.full_like(columns, (camera.height - 1) / 2)
    rays = camera.rays(np.stack([columns, middle], axis=-1))
    rays = rays[np.isfinite(rays).all(axis=-1)] @ camera.base_T_camera[:3, :3].T
    axis = camera.base_T_camera[:3, 2]
    if len(rays) == 0 or math.hypot(axis[0], axis[1]) < 0.2:
        return math.pi, -math.pi
    turns = np.unwrap(np.arctan2(rays[:, 1], rays[:, 0]))
    return float(turns.max()), float(turns.min())
