"""Poses and stamps the way nuScenes writes them."""

from __future__ import annotations

from typing import Any

from bev_perception.geometry.pose import Matrix, quaternion_of


def rotation_wxyz(pose: Matrix) -> list[float]:
    """Returns the rotation of a [4, 4] transform as w, x, y, z."""
    x, y, z, w = quaternion_of(pose).tolist()
    return [w, x, y, z]


def placement(pose: Matrix) -> dict[str, Any]:
    """Returns the columns translation and rotation of a [4, 4] transform."""
    return {'translation': pose[:3, 3].tolist(), 'rotation': rotation_wxyz(pose)}


def microseconds(stamp_ns: int) -> int:
    """Returns a stamp in whole microseconds, rounded."""
    return round(stamp_ns / 1000)
