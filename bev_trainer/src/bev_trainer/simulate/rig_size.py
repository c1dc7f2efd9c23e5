"""A rig whose cameras give smaller images, as if each driver scaled and cropped them."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.rig_file import RigFile, RigFileCamera
from bev_trainer.errors import SimulationError

# Rows above the horizon, as a share of the height: what the shipped models crop to.
HORIZON_SHARE = 0.4
_LEVEL_PART = np.sin(np.deg2rad(5.0))


def sized_rig(rig: RigFile, size: tuple[int, int] | None) -> RigFile:
    """Returns the rig with images of `size` (width, height); None: as they are.

    Images are scaled to the width; rows beyond the height are cropped such that the horizon comes
    to lie at `HORIZON_SHARE` of it, as far as the image reaches. Where scaling leaves fewer rows
    than asked for, the image keeps those. Placements, lenses and topics stay as they are.

    Raises:
        SimulationError: a camera lacks intrinsics or placement, or is smaller than `size`.
    """
    cameras = tuple(_sized(camera, size) for camera in rig.cameras)
    return rig.model_copy(update={'cameras': cameras})


def _sized(entry: RigFileCamera, size: tuple[int, int] | None) -> RigFileCamera:
    camera = entry.camera()
    if camera is None or entry.intrinsics is None:
        raise SimulationError(
            f"camera '{entry.name}': the rig file must give intrinsics and base_T_camera to "
            'simulate it; write it with `bev rig from-bag --calibration full`'
        )
    if size is None:
        return entry
    sized = _scaled_cropped(camera, *size)
    intrinsics = entry.intrinsics.model_copy(
        update={
            'width': sized.width,
            'height': sized.height,
            'k': tuple(float(value) for value in sized.K.ravel()),
        }
    )
    return entry.model_copy(update={'intrinsics': intrinsics})


def _scaled_cropped(camera: Camera, width: int, height: int) -> Camera:
    if width > camera.width:
        raise SimulationError(
            f"camera '{camera.name}': {width} pixels wide images were asked for, but it has "
            f'{camera.width}; choose a smaller --size or another rig'
        )
    scale = width / camera.width
    rows = max(round(camera.height * scale), 1)
    kept = min(rows, height)
    wanted = horizon_row(camera) * scale - HORIZON_SHARE * kept
    first = int(np.clip(round(wanted), 0, rows - kept))
    return camera.scaled_cropped(scale, scale, 0, first, width, kept)


def horizon_row(camera: Camera) -> float:
    """Returns the image row, in pixels from the top edge, where level ground ends ahead.

    The middle row for a camera that looks straight up or down.
    """
    axis = camera.base_T_camera[:3, 2]
    level = np.array([axis[0], axis[1], 0.0])
    middle = camera.height / 2
    if np.linalg.norm(level) < _LEVEL_PART:
        return middle
    uv, _ = camera.project(camera.base_T_camera[:3, :3].T @ level)
    return float(uv[1]) + 0.5 if np.isfinite(uv[1]) else middle
