"""A camera whose projection is easy to work out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import make_pose

# Columns: camera right, down, forward in base axes (forward, left, up), for a level camera.
LEVEL = Rotation.from_matrix([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def level_camera(
    width: int,
    height: int,
    focal: float,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
    position_m: Sequence[float] = (0.0, 0.0, 0.0),
    wide: bool = False,
) -> Camera:
    """Returns a centred camera; positive pitch looks down."""
    rotation = Rotation.from_euler('ZYX', [yaw_deg, pitch_deg, roll_deg], degrees=True) * LEVEL
    return Camera(
        name=f'yaw_{yaw_deg:g}',
        frame_id='optical',
        width=width,
        height=height,
        K=np.array(
            [[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]]
        ),
        distortion=Distortion('equidistant', (0.0,) * 4) if wide else Distortion('none'),
        base_T_camera=make_pose(position_m, rotation.as_quat()),
    )
