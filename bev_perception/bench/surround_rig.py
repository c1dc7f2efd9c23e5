"""A level six-camera rig with the proportions of nuScenes, made from numbers."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import make_pose

IMAGE_WIDTH = 1600
IMAGE_HEIGHT = 900

# name, yaw in degrees, x, y, z in metres, focal length in pixels
_CAMERAS = (
    ('front', 0.0, 1.71, 0.02, 1.51, 1266.0),
    ('front_left', 55.0, 1.53, 0.49, 1.50, 1272.0),
    ('front_right', -55.0, 1.55, -0.49, 1.49, 1260.0),
    ('back', 180.0, 0.03, 0.01, 1.57, 809.0),
    ('back_left', 110.0, 1.03, 0.48, 1.56, 1256.0),
    ('back_right', -110.0, 1.01, -0.48, 1.56, 1259.0),
)


def surround_rig(width: int, height: int) -> tuple[Camera, ...]:
    """Returns the six cameras as a model sees them: resized to `width`, cropped at the top."""
    scale = width / IMAGE_WIDTH
    crop_top = IMAGE_HEIGHT * scale - height
    cameras = []
    for name, yaw_deg, x_m, y_m, z_m, focal in _CAMERAS:
        # Camera axes (right, down, forward) in base axes (forward, left, up), then the yaw.
        level = Rotation.from_matrix([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
        rotation = Rotation.from_euler('z', yaw_deg, degrees=True) * level
        center = ((IMAGE_WIDTH - 1) / 2, (IMAGE_HEIGHT - 1) / 2)
        camera = Camera(
            name=name,
            frame_id=f'{name}_optical',
            width=IMAGE_WIDTH,
            height=IMAGE_HEIGHT,
            K=np.array([[focal, 0.0, center[0]], [0.0, focal, center[1]], [0.0, 0.0, 1.0]]),
            distortion=Distortion('none'),
            base_T_camera=make_pose((x_m, y_m, z_m), rotation.as_quat()),
        )
        cameras.append(camera.scaled_cropped(scale, scale, 0.0, crop_top, width, height))
    return tuple(cameras)
