"""The base frame turned about its z axis: cameras, ego poses and labels with it.

The frame turns clockwise, seen from above, so all that is told in it turns counter-clockwise: the
cameras, the road users, the maps. Images do not change. A model that learns with it cannot tell
directions by which camera saw them (BEVDet, Huang et al. 2021, section 3.3, augments in BEV space
likewise).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.grid_lookup import looked_up
from bev_perception.geometry.pose import Matrix, pose_from_yaw, wrap_angle
from bev_trainer.targets.labels import ObjectLabels


def turn_pose(turn_rad: float) -> Matrix:
    """Returns turned_T_base [4, 4]."""
    return pose_from_yaw(0.0, 0.0, 0.0, turn_rad)


def turned_camera(camera: Camera, turn_rad: float) -> Camera:
    """Returns the camera in the turned frame."""
    if turn_rad == 0.0:
        return camera
    return camera.with_pose(turn_pose(turn_rad) @ camera.base_T_camera)


def turned_ego(world_T_base: ArrayLike, turn_rad: float) -> Matrix:
    """Returns the pose [4, 4] of the turned frame in the world."""
    pose = np.asarray(world_T_base, np.float64)
    return pose if turn_rad == 0.0 else pose @ turn_pose(-turn_rad)


def turned_objects(labels: ObjectLabels, turn_rad: float) -> ObjectLabels:
    """Returns the road users in the turned frame."""
    if turn_rad == 0.0:
        return labels
    turn = turn_pose(turn_rad)[:3, :3].T
    return replace(
        labels,
        center_m=labels.center_m @ turn,
        yaw_rad=wrap_angle(labels.yaw_rad + turn_rad),
        velocity_mps=labels.velocity_mps @ turn[:2, :2],
        path_m=labels.path_m @ turn[:2, :2],
        path_yaw_rad=wrap_angle(labels.path_yaw_rad + turn_rad),
    )


def turned_lookup(
    values: NDArray[Any], source: BevGrid, target: BevGrid, turn_rad: float
) -> NDArray[Any]:
    """Returns values [..., Y, X] of the source's cells that hold the target's cell centres.

    The target lies in the turned frame. Zero where it reaches beyond the source.

    Args:
        values: [..., y, x] on the source, in the base frame.
        source: grid.
        target: grid.
        turn_rad: see the module's description.
    """
    if turn_rad == 0.0:
        return looked_up(values, source, target)
    x, y = np.moveaxis(target.cell_centers() @ turn_pose(turn_rad)[:2, :2], -1, 0)
    iy, ix, inside = source.to_cell(x, y)
    result = np.zeros((*values.shape[:-2], *target.shape), values.dtype)
    result[..., inside] = values[..., iy[inside], ix[inside]]
    return result
