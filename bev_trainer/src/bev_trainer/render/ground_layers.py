"""Textures of a drive on the graphics side: the ground's windows, noise, street lamps' light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.finishes import Glow
from bev_trainer.render.ground_texture import GroundTexture, Window
from bev_trainer.render.mesh_store import MODEL_INDEX, MeshStore
from bev_trainer.world.scenery import Prop

_NOISE_SIZE = 256
LAMP_TEXEL_M = 1.0
_LAMP_REACH_M = 30.0
_HORIZON_M = 5000.0


def noise_texture(context: Any) -> Any:
    """Returns noise that repeats: fine grain (R, G), clouds (B), white (A); once a context."""
    if 'noise' not in context.extra:
        rng = np.random.default_rng(20240229)
        layers = [
            _tileable(rng, (64, 128, 256), (0.5, 0.3, 0.2)),
            _tileable(rng, (32, 64, 128, 256), (0.3, 0.3, 0.25, 0.15)),
            _tileable(rng, (4, 8, 16, 32, 64), (0.42, 0.28, 0.16, 0.09, 0.05)),
            rng.uniform(0.0, 1.0, (_NOISE_SIZE, _NOISE_SIZE)),
        ]
        pixels = np.rint(np.clip(np.stack(layers, axis=-1), 0, 1) * 255).astype(np.uint8)
        texture = context.texture((_NOISE_SIZE, _NOISE_SIZE), 4, pixels.tobytes())
        texture.build_mipmaps()
        texture.filter = (context.LINEAR_MIPMAP_NEAREST, context.LINEAR)
        context.extra['noise'] = texture
    return context.extra['noise']


def _tileable(
    rng: np.random.Generator, cells: Sequence[int], weights: Sequence[float]
) -> NDArray[np.float64]:
    """Returns smooth noise [256, 256] in 0..1 that repeats, its histogram stretched."""
    total = np.zeros((_NOISE_SIZE, _NOISE_SIZE))
    for cell, weight in zip(cells, weights, strict=True):
        values = np.pad(rng.uniform(0.0, 1.0, (cell, cell)), 4, mode='wrap')
        step = _NOISE_SIZE // cell
        size = (cell + 8) * step
        fine = cv2.resize(values, (size, size), interpolation=cv2.INTER_CUBIC)
        total += weight * fine[4 * step : -4 * step, 4 * step : -4 * step]
    low, high = np.percentile(total, (1, 99))
    return np.asarray((total - low) / (high - low))


def upload(context: Any, ground: GroundTexture) -> dict[str, Any]:
    """Returns the textures `cover_map` and `wear_map` of a window."""
    textures = {}
    for name, pixels in (('cover_map', ground.cover), ('wear_map', ground.wear)):
        texture = context.texture((pixels.shape[1], pixels.shape[0]), 4, pixels.tobytes())
        texture.build_mipmaps()
        texture.filter = (context.LINEAR_MIPMAP_NEAREST, context.LINEAR)
        texture.repeat_x = texture.repeat_y = False
        textures[name] = texture
    return textures


def near_corners(window: Window) -> NDArray[np.float32]:
    """Returns [6, 2]: two triangles over a window, world frame."""
    return _rectangle(window.x_min_m, window.y_min_m, window.x_max_m, window.y_max_m)


def far_corners(window: Window) -> NDArray[np.float32]:
    """Returns [24, 2]: triangles from around a window to the horizon."""
    x0, y0, x1, y1 = window.x_min_m, window.y_min_m, window.x_max_m, window.y_max_m
    left, right = x0 - _HORIZON_M, x1 + _HORIZON_M
    return np.concatenate(
        [
            _rectangle(left, y0 - _HORIZON_M, right, y0),
            _rectangle(left, y1, right, y1 + _HORIZON_M),
            _rectangle(left, y0, x0, y1),
            _rectangle(x1, y0, right, y1),
        ]
    )


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> NDArray[np.float32]:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y0], [x1, y1], [x0, y1]], np.float32)


def lamp_points(props: Sequence[Prop], store: MeshStore) -> NDArray[np.float64]:
    """Returns [n, 3] world places of the street lamps' lights."""
    points = []
    for prop in props:
        for x, y, z in store.glow_points[MODEL_INDEX[prop.model]].get(int(Glow.LAMP), ()):
            x, y, z = x * prop.length_m, y * prop.width_m, z * prop.height_m
            cos, sin = np.cos(prop.yaw_rad), np.sin(prop.yaw_rad)
            points.append((prop.x_m + x * cos - y * sin, prop.y_m + x * sin + y * cos, z))
    return np.array(points).reshape(-1, 3)


def lamp_image(points_m: NDArray[np.float64], window: Window) -> NDArray[np.float32]:
    """Returns [Y, X] light of street lamps on the ground; 1 right under one of usual height."""
    light = np.zeros((window.size_y, window.size_x), np.float32)
    reach = int(_LAMP_REACH_M / window.texel_m)
    for x, y, z in points_m:
        column = (x - window.x_min_m) / window.texel_m - 0.5
        row = (y - window.y_min_m) / window.texel_m - 0.5
        left, low = max(round(column) - reach, 0), max(round(row) - reach, 0)
        part = light[low : max(round(row) + reach, 0), left : max(round(column) + reach, 0)]
        dx = (np.arange(left, left + part.shape[1]) - column) * window.texel_m
        dy = (np.arange(low, low + part.shape[0]) - row) * window.texel_m
        squared = dx[None] ** 2 + dy[:, None] ** 2 + z**2
        fade = np.clip(1.4 - 1.4 * (squared - z**2) / _LAMP_REACH_M**2, 0.0, 1.0)
        part += (fade * 46.0 * z / squared**1.5 * (squared / z**2) ** 0.12).astype(np.float32)
    return light
