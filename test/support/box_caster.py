"""Casts the rays of a camera against boxes on flat ground: labels without OpenGL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import GroundLayer, SemanticClass
from bev_trainer.world.ground_raster import GroundRaster

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert


@dataclass(frozen=True, eq=False)
class CastLabels:
    """Label images [H, W], and pixels [n] that each box would have alone and has."""

    classes: np.ndarray
    instances: np.ndarray
    depth_m: np.ndarray
    alone: np.ndarray
    visible: np.ndarray


def cast(
    camera: Camera, world_T_base: np.ndarray, boxes_world: BoxArray, ground: GroundRaster
) -> CastLabels:
    """Returns what a camera sees of boxes and ground in the world frame."""
    height, width = camera.height, camera.width
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    rays = camera.rays(np.stack([u, v], axis=-1)).reshape(-1, 3)
    world_T_camera = world_T_base @ camera.base_T_camera
    directions = np.nan_to_num(rays, nan=0.0) @ world_T_camera[:3, :3].T
    origin = world_T_camera[:3, 3]
    sees = ~np.isnan(rays[:, 0])
    to_box = np.stack(
        [_box_hits(origin, directions, box_pose(boxes_world, i), size)
         for i, size in enumerate(boxes_world.size_m)]
        or [np.full(len(rays), np.inf)]
    )  # fmt: skip
    to_box[:, ~sees] = np.inf
    with np.errstate(divide='ignore'):
        down = sees & (directions[:, 2] < -1e-9)
        to_ground = np.where(down, -origin[2] / np.where(down, directions[:, 2], 1.0), np.inf)
    nearest = to_box.argmin(axis=0)
    depth = np.minimum(to_box.min(axis=0), to_ground)
    hits_box = (to_box.min(axis=0) < to_ground) & (depth < 250.0)
    hits_ground = ~hits_box & (depth < 250.0)
    classes = np.where(sees, SemanticClass.SKY, SemanticClass.VOID).astype(np.uint8)
    points = origin + np.where(np.isfinite(depth), depth, 0.0)[:, None] * directions
    classes[hits_ground] = ground_classes(ground, points[hits_ground, :2])
    instances = np.zeros(len(rays), np.uint16)
    if len(boxes_world):
        classes[hits_box] = boxes_world.class_id[nearest[hits_box]]
        instances[hits_box] = boxes_world.instance[nearest[hits_box]]
    depth = np.where(hits_box | hits_ground, depth, 0.0).astype(np.float32)
    shape = (height, width)
    return CastLabels(
        classes.reshape(shape),
        instances.reshape(shape),
        depth.reshape(shape),
        np.isfinite(to_box).sum(axis=1)[: len(boxes_world)],
        np.array([(instances == i).sum() for i in boxes_world.instance], np.int64),
    )


def box_pose(boxes: BoxArray, index: int) -> np.ndarray:
    """Returns [4, 4]: where a box is in the frame of the boxes."""
    cos, sin = np.cos(boxes.yaw_rad[index]), np.sin(boxes.yaw_rad[index])
    pose = np.eye(4)
    pose[:2, :2] = [[cos, -sin], [sin, cos]]
    pose[:3, 3] = boxes.center_m[index]
    return pose


def ground_classes(ground: GroundRaster, xy: np.ndarray) -> np.ndarray:
    """Returns the class of ground points [k, 2]: paint over crossing over road over sidewalk."""
    layers = ground_layers(ground, xy)
    found = np.full(len(xy), SemanticClass.TERRAIN, np.uint8)
    for layer, kind in (
        (GroundLayer.SIDEWALK, SemanticClass.SIDEWALK),
        (GroundLayer.DRIVABLE, SemanticClass.ROAD),
        (GroundLayer.CROSSING, SemanticClass.CROSSING),
        (GroundLayer.LANE_MARKING, SemanticClass.LANE_MARKING),
    ):
        found[(layers & np.uint8(layer)) > 0] = kind
    return found


def ground_layers(ground: GroundRaster, xy: np.ndarray) -> np.ndarray:
    """Returns the layer bits under points [..., 2]; 0 outside the raster."""
    ix = np.floor((xy[..., 0] - ground.x_min_m) / ground.resolution_m).astype(np.int64)
    iy = np.floor((xy[..., 1] - ground.y_min_m) / ground.resolution_m).astype(np.int64)
    height, width = ground.layers.shape
    inside = (ix >= 0) & (ix < width) & (iy >= 0) & (iy < height)
    layers = np.zeros(inside.shape, np.uint8)
    layers[inside] = ground.layers[iy[inside], ix[inside]]
    return layers


def _box_hits(
    origin: np.ndarray, directions: np.ndarray, pose: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Returns how far along each ray the box begins; infinity where it is missed."""
    inverse = invert(pose)
    start = inverse[:3, :3] @ origin + inverse[:3, 3]
    local = directions @ inverse[:3, :3].T
    with np.errstate(divide='ignore', invalid='ignore'):
        one, two = ((side * size / 2 - start) / local for side in (-1, 1))
    near = np.nanmax(np.minimum(one, two), axis=1)
    far = np.nanmin(np.maximum(one, two), axis=1)
    return np.where((near <= far) & (near > 0), near, np.inf)
