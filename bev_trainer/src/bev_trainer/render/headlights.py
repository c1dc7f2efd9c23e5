"""Headlights that light the road: the ego vehicle's and those of the nearest others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.instances import LAMPS, Instances

FloatArray = NDArray[np.float64]

MAX_BEAMS = 9  # as the shaders' uniform block
_REACH_M = 90.0
_LOWEST_CLASS, _HIGHEST_CLASS = 10, 15  # everything with headlights, bicycles included
_EGO_STRENGTH, _OTHER_STRENGTH = 9.0, 7.0


def beams_of(
    traffic: Instances,
    ego_front_m: FloatArray,
    ego_yaw_rad: float,
    origin_m: FloatArray,
) -> FloatArray:
    """Returns [n, 2, 4]: (x, y, z, strength) local and (direction x, y, 0, 0), the ego's first.

    Args:
        traffic: road users at the time.
        ego_front_m: [3] middle of the ego's headlights, world frame.
        ego_yaw_rad: its heading.
        origin_m: [2] of the local frame.
    """
    label = traffic.rows['label']
    kind = label[:, 2]
    shines = (label[:, 3] & LAMPS > 0) & (kind >= _LOWEST_CLASS) & (kind <= _HIGHEST_CLASS)
    distance = np.linalg.norm(traffic.center_m[:, :2] - ego_front_m[:2], axis=1)
    index = np.flatnonzero(shines & (distance < _REACH_M))
    index = index[np.argsort(distance[index], kind='stable')][: MAX_BEAMS - 1]
    ahead = traffic.rows['place'][index, 2:].astype(np.float64)
    size = traffic.rows['size'][index].astype(np.float64)
    beams = np.zeros((1 + len(index), 2, 4))
    beams[0, 0] = (*(ego_front_m[:2] - origin_m), ego_front_m[2], _EGO_STRENGTH)
    beams[0, 1, :2] = np.cos(ego_yaw_rad), np.sin(ego_yaw_rad)
    beams[1:, 0, :2] = traffic.center_m[index, :2] + 0.5 * size[:, :1] * ahead - origin_m
    beams[1:, 0, 2] = np.clip(0.40 * size[:, 2], 0.6, 0.95)
    beams[1:, 0, 3] = _OTHER_STRENGTH * np.where(kind[index] == _HIGHEST_CLASS, 0.15, 1.0)
    beams[1:, 1, :2] = ahead
    return beams
