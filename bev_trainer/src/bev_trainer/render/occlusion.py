"""What buildings hide: instances that a camera cannot see and need not draw.

The region behind a box, seen from a point, is convex. An instance is hidden if all corners of its
box lie behind the walls of one building; nothing that would fill a pixel is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.instances import Instances
from bev_trainer.render.mesh_store import mesh_store

FloatArray = NDArray[np.float64]

_MOST_WALLS = 10  # the nearest ones; further ones hide little
_RANGE_M = 140.0
_MARGIN_M = 0.15  # around what may be hidden, for swinging limbs
_INSET_M = 0.01  # of walls, for rounding
_CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])


class Occluders:
    """The walls of all buildings among the scenery.

    Args:
        scenery: what stands.
    """

    def __init__(self, scenery: Instances) -> None:
        boxes = mesh_store().walls
        owner = np.repeat(
            np.arange(len(scenery.model)), [len(boxes[model]) for model in scenery.model]
        )
        parts: list[Any] = [boxes[model] for model in scenery.model]
        unit = np.concatenate([np.zeros((0, 5)), *parts])
        size = scenery.rows['size'][owner, :3].astype(np.float64)
        low, high = unit[:, :2] * size[:, :2], unit[:, 2:4] * size[:, :2]
        self._half = np.maximum(0.5 * (high - low) - _INSET_M, 0.0)
        self._top_m = unit[:, 4] * size[:, 2] - _INSET_M
        yaw = scenery.yaw_rad[owner]
        self._cos, self._sin = np.cos(yaw), np.sin(yaw)
        middle = 0.5 * (low + high)
        self._middle = scenery.center_m[owner, :2] + _turned(middle, self._cos, self._sin)

    def hidden(
        self, instances: Instances, chosen: NDArray[np.int64], eye_m: FloatArray
    ) -> NDArray[np.bool_]:
        """Returns [len(chosen)] whether an eye [3] in the world frame cannot see an instance."""
        walls = self._near(eye_m)
        if len(chosen) == 0 or len(walls) == 0:
            return np.zeros(len(chosen), bool)
        corners, top_m = _corners(instances, chosen)
        cos, sin = self._cos[walls], self._sin[walls]
        eye = _turned(eye_m[:2] - self._middle[walls], cos, -sin)
        way = (corners - eye_m[:2]).reshape(-1, 2)
        ends = []
        # Where the line of sight to each corner [4 n] passes each wall's slabs [k], 0..1 of it.
        for axis, along in enumerate(((cos, sin), (-sin, cos))):
            rate = way @ np.stack(along)
            rate[rate == 0] = 1e-12
            np.reciprocal(rate, out=rate)
            start = rate * -eye[:, axis]
            reach = np.abs(rate, out=rate)
            reach *= self._half[walls, axis]
            ends.append((start - reach, start + reach))
        enter = np.maximum(ends[0][0], ends[1][0])
        leave = np.minimum(ends[0][1], ends[1][1])
        rise = np.repeat(top_m - eye_m[2], 4)[:, None]
        behind = (enter <= leave) & (enter > 0) & (enter < 1)
        behind &= enter * rise <= self._top_m[walls] - eye_m[2]
        return np.asarray(behind.reshape(len(chosen), 4, -1).all(axis=1).any(axis=1))

    def _near(self, eye_m: FloatArray) -> NDArray[np.int64]:
        """Returns the walls near an eye that stands outside and below them."""
        way = self._middle - eye_m[:2]
        local = np.abs(_turned(way, self._cos, -self._sin)) - self._half
        gap = np.linalg.norm(np.maximum(local, 0.0), axis=1)
        use = np.flatnonzero((gap > 0.2) & (gap < _RANGE_M) & (self._top_m > eye_m[2] + 0.5))
        return use[np.argsort(gap[use], kind='stable')[:_MOST_WALLS]]


def _corners(instances: Instances, chosen: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Returns the corners of footprints [n, 4, 2] in the world and the heights of tops [n]."""
    half = 0.5 * instances.rows['size'][chosen, :2].astype(np.float64) + _MARGIN_M
    yaw, center = instances.yaw_rad[chosen], instances.center_m[chosen]
    turn = np.stack([np.cos(yaw), np.sin(yaw), -np.sin(yaw), np.cos(yaw)], axis=-1)
    turn *= np.repeat(half, 2, axis=1)
    way = (_CORNERS @ turn.reshape(-1, 2, 2)) + center[:, None, :2]
    return way, 2.0 * center[:, 2] + _MARGIN_M


def _turned(xy: FloatArray, cos: FloatArray, sin: FloatArray) -> FloatArray:
    x, y = xy[..., 0], xy[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)
