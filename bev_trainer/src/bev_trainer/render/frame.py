"""One frame as the renderer takes it: every camera at its own time, every view with its draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import Matrix
from bev_trainer.render.culling import DrawList
from bev_trainer.render.instances import Instances
from bev_trainer.render.views import View

FloatArray = NDArray[np.float64]

VIEW_BLOCK_BYTES = 1024  # a multiple of every alignment that OpenGL may ask for


@dataclass(frozen=True, eq=False)
class ViewFrame:
    """One view at its time: what it draws, and where its commands begin."""

    view: View
    drawn: DrawList
    first_command: int


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One camera at its time.

    Attributes:
        views: of its lens.
        world_T_base: [4, 4].
        world_T_camera: [4, 4].
        traffic: the road users at this time.
        origin_m: [2] of the local frame, common to all cameras of the frame.
    """

    views: list[ViewFrame]
    world_T_base: Matrix
    world_T_camera: Matrix
    traffic: Instances
    origin_m: FloatArray


def view_block(
    frame: CameraFrame,
    view: View,
    exposure: float,
    shadows: FloatArray,
    beams: FloatArray,
) -> bytes:
    """Returns the uniform block `View` of the shaders (std140), padded.

    Args:
        frame: of the view's camera.
        view: at the scale it is drawn in.
        exposure: extra factor of this camera.
        shadows: [3, 4] from `Shadows.placement`.
        beams: [n, 2, 4] from `beams_of`.
    """
    world_R_view = frame.world_T_camera[:3, :3] @ view.camera_R_view
    eye = frame.world_T_camera[:3, 3] - (*frame.origin_m, 0.0)
    view_T_local = np.eye(4)
    view_T_local[:3, :3] = world_R_view.T
    view_T_local[:3, 3] = -world_R_view.T @ eye
    clip_T_local = view.clip_T_optical() @ view_T_local
    rays = world_R_view @ view.rays_of_fragments()
    rows = np.zeros((VIEW_BLOCK_BYTES // 16, 4), '<f4')
    rows[0:4] = clip_T_local.T  # columns one after the other
    rows[4] = (*eye, exposure)
    rows[5, :3], rows[6, :3], rows[7, :3] = rays[:, 2], rays[:, 0], rays[:, 1]
    rows[8, :2] = frame.origin_m
    rows[9:12] = shadows
    rows[12, 0] = len(beams)
    rows[13 : 13 + 2 * len(beams)] = beams.reshape(-1, 4)
    return rows.tobytes()
