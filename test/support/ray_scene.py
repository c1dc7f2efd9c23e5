"""A scene of upright boxes on flat ground, seen by asking every pixel's ray what it meets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import SemanticClass

from bev_perception.geometry.camera import Camera


class RayShot(NamedTuple):
    classes: np.ndarray
    instances: np.ndarray
    depth_m: np.ndarray


def ray_shot(camera: Camera, boxes: BoxArray) -> RayShot:
    """Returns what a camera sees: road, boxes and sky. Boxes in the base frame.

    An instance of 0 makes a box part of the scenery: a building.
    """
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = camera.rays(np.stack([u, v], axis=-1).astype(np.float64))
    origin = camera.base_T_camera[:3, 3]
    directions = rays @ camera.base_T_camera[:3, :3].T
    with np.errstate(divide='ignore', invalid='ignore'):
        ground = -origin[2] / directions[..., 2]
    depth = np.where(ground > 0, ground, np.inf)
    classes = np.where(ground > 0, int(SemanticClass.ROAD), int(SemanticClass.SKY))
    instances = np.zeros(classes.shape, np.int64)
    for row in range(len(boxes)):
        near = _box_depth(origin, directions, boxes, row)
        nearer = near < depth
        depth = np.where(nearer, near, depth)
        instance = int(boxes.instance[row])
        found = int(boxes.class_id[row]) if instance else int(SemanticClass.BUILDING)
        classes = np.where(nearer, found, classes)
        instances = np.where(nearer, instance, instances)
    nothing = np.isnan(rays[..., 0])
    classes[nothing], instances[nothing] = int(SemanticClass.VOID), 0
    depth = np.where(np.isfinite(depth) & ~nothing, depth, 0.0)
    return RayShot(classes.astype(np.uint8), instances.astype(np.uint16), depth.astype(np.float32))


def _box_depth(
    origin: np.ndarray, directions: np.ndarray, boxes: BoxArray, row: int
) -> np.ndarray:
    """Returns where rays enter a box, by its three pairs of planes; inf where they miss it."""
    yaw, center = boxes.yaw_rad[row], boxes.center_m[row]
    turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]])
    start, way = turn @ (origin - center), directions @ turn.T
    half = 0.5 * boxes.size_m[row]
    with np.errstate(divide='ignore', invalid='ignore'):
        planes = np.stack([(-half - start) / way, (half - start) / way])
    enter, leave = planes.min(axis=0).max(axis=-1), planes.max(axis=0).min(axis=-1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)
