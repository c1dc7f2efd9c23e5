"""Everything that is known about one camera at the instant it fired, in one frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert, transform
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.bev import semantic_bev
from bev_trainer.labels.boxes import BoxArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CameraTruth:
    """Label images of a camera with the world around it, at its own trigger time.

    All geometry is in the base frame of that time, not of the frame's reference instant.

    Attributes:
        camera: calibration of the images.
        classes: uint8 [H, W] of `SemanticClass`.
        instances: uint16 [H, W].
        depth_m: float32 [H, W], as `Shot.depth_m`.
        boxes: of all road users.
        grid: of `layers`.
        layers: bool [C, Y, X] in the order of `BEV_LAYERS`.
    """

    camera: Camera
    classes: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    depth_m: NDArray[np.float32]
    boxes: BoxArray
    grid: BevGrid
    layers: NDArray[np.bool_]


def read_truth(drive: Drive, frame: int, grid: BevGrid) -> list[CameraTruth]:
    """Returns the truth of every camera at a label frame; raises DatasetError."""
    truths: list[CameraTruth] = []
    offsets_ns = drive.description.camera_offsets_ns
    for index, camera in enumerate(drive.cameras):
        twin = offsets_ns.index(offsets_ns[index])
        if twin < index:
            boxes, layers = truths[twin].boxes, truths[twin].layers
        else:
            world_T_base = drive.camera_world_T_base[frame, index]
            boxes = drive.boxes_at(drive.camera_stamp_ns(frame, index))
            boxes = boxes.transformed(invert(world_T_base))
            layers = semantic_bev(drive.ground, world_T_base, boxes, grid)
        truths.append(
            CameraTruth(
                camera,
                drive.classes(frame, index),
                drive.instances(frame, index),
                drive.depth_m(frame, index),
                boxes,
                grid,
                layers,
            )
        )
    return truths


def back_project(camera: Camera, depth_m: NDArray[np.float32]) -> FloatArray:
    """Returns [H, W, 3] in the base frame: what every pixel shows; NaN where there is nothing."""
    points = pixel_rays(camera) * np.where(depth_m > 0, depth_m, np.nan)[..., None]
    return transform(camera.base_T_camera, points)


@lru_cache(maxsize=16)
def pixel_rays(camera: Camera) -> FloatArray:
    """Returns the viewing rays [H, W, 3] of all pixels in the camera frame; read-only."""
    u, v = np.arange(camera.width), np.arange(camera.height)
    rays = camera.rays(np.stack(np.meshgrid(u, v), axis=-1))
    rays.setflags(write=False)
    return rays


def pixel_spans_m(camera: Camera, points_m: FloatArray) -> FloatArray:
    """Returns [H, W]: how wide every pixel is across its ray where its point is; NaN: no point.

    Args:
        camera: whose image it is.
        points_m: [H, W, 3] what the pixels show, in the base frame.
    """
    distance_m = np.linalg.norm(points_m - camera.base_T_camera[:3, 3], axis=-1)
    return np.asarray(_pixel_angles_rad(camera) * distance_m, np.float64)


@lru_cache(maxsize=16)
def _pixel_angles_rad(camera: Camera) -> FloatArray:
    """Returns [H, W]: the angle between the rays of neighbours, the larger of both directions."""
    rays = pixel_rays(camera)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    along = [np.linalg.norm(np.gradient(rays, axis=axis), axis=-1) for axis in (0, 1)]
    return np.asarray(np.fmax(*along), np.float64)
