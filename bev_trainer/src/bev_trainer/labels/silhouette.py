"""How many pixels of a camera's image a road user would fill if nothing hid it.

Drawing each of them alone would be exact and slow. Instead the convex hull of its mesh is
projected and cut by the picture, and its area multiplied by the share of the hull that the mesh
fills, seen from about the same side. The shares are measured once per model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, transform
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.render.meshes import mesh_of
from bev_trainer.render.posing import posed_positions
from bev_trainer.world.catalogue import MODELS
from bev_trainer.world.classes import SemanticClass

FloatArray = NDArray[np.float64]

# Views in which the share is measured: from ahead to behind, level and from above. Road users
# are as good as symmetric.
_AZIMUTHS = np.deg2rad(np.arange(0.0, 181.0, 30.0))
_ELEVATIONS = np.deg2rad([0.0, 30.0])
_VIEW_PX = 1024
_WALK_M = (0.0, 0.175, 0.35)  # legs together, half way, and apart
_EDGE_STEPS = 12
_DIRECTIONS = 80
_FAR_PX = 1e5


@dataclass(frozen=True, eq=False)
class _Outline:
    """What stands for a mesh.

    Attributes:
        points: [p, 3] corners of its convex hull, the outermost ones, in the unit box.
        edges: [p', 3] points along all edges of the hull.
        fill: [elevations, azimuths] share of the hull's picture that the mesh fills.
    """

    points: FloatArray
    edges: FloatArray
    fill: FloatArray


def silhouette_pixels(
    camera: Camera, boxes: BoxArray, models: Sequence[str]
) -> NDArray[np.float32]:
    """Returns float32 [n]: expected pixels of each road user in the image, not hidden by others.

    Args:
        camera: its pose is relative to the base.
        boxes: in the base frame, where they are when the camera fires.
        models: key of `catalogue.MODELS` of each box.
    """
    pixels = np.zeros(len(boxes), np.float32)
    camera_m = camera.base_T_camera[:3, 3]
    rows = np.flatnonzero(_may_be_seen(camera, boxes))
    if not len(rows):
        return pixels
    boxes, outlines = boxes.selected(rows), [outline_of(models[row]) for row in rows.tolist()]
    area = _areas(camera, boxes, [outline.points for outline in outlines])
    # Some corners have no image: find where edges leave the lens's reach.
    cut = np.flatnonzero(np.isnan(area))
    if len(cut):
        area[cut] = _areas(
            camera, boxes.selected(cut), [outlines[row].edges for row in cut], partial=True
        )
    pixels[rows] = area * _fill(boxes, outlines, camera_m)
    return pixels


@cache
def outline_of(model: str) -> _Outline:
    """Returns what stands for a model; takes some 0.1 s the first time."""
    entry, mesh = MODELS[model], mesh_of(model)
    size = np.array([entry.length_m, entry.width_m, entry.height_m])
    walk_m = _WALK_M if entry.object_class == SemanticClass.PEDESTRIAN else _WALK_M[:1]
    poses = [
        posed_positions(mesh, entry.length_m, entry.width_m, entry.height_m, travelled_m)
        for travelled_m in walk_m
    ]
    corners = _extremes(poses[0])
    hull = ConvexHull(corners)
    fill = np.array(
        [
            [np.mean([_view_fill(pose, corners, azimuth, elevation) for pose in poses])
             for azimuth in _AZIMUTHS]
            for elevation in _ELEVATIONS
        ]
    )  # fmt: skip
    ends = np.concatenate([hull.simplices[:, [0, 1]], hull.simplices[:, [1, 2]]])
    ends = np.unique(np.sort(np.concatenate([ends, hull.simplices[:, [0, 2]]]), axis=1), axis=0)
    steps = np.linspace(0.0, 1.0, _EDGE_STEPS)[:, None, None]
    edges = (1.0 - steps) * corners[ends[:, 0]] + steps * corners[ends[:, 1]]
    return _Outline(corners / size, edges.reshape(-1, 3) / size, fill)


def _extremes(points: FloatArray) -> FloatArray:
    """Returns the points [p, 3] that lie farthest out in some of many directions."""
    # A Fibonacci sphere: evenly spread directions.
    height = 1.0 - 2.0 * (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(_DIRECTIONS)
    ring = np.sqrt(1.0 - height**2)
    directions = np.stack([ring * np.cos(turn), ring * np.sin(turn), height])
    return points[np.unique(np.argmax(points @ directions, axis=0))]


def _view_fill(pose: FloatArray, hull: FloatArray, azimuth: float, elevation: float) -> float:
    """Returns the area of triangles [3 t, 3] over that of a hull [p, 3], seen from far away."""
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    up = np.array(
        [
            -np.sin(elevation) * np.cos(azimuth),
            -np.sin(elevation) * np.sin(azimuth),
            np.cos(elevation),
        ]
    )
    axes = np.stack([right, up], axis=-1)
    flat, outline = pose @ axes, hull @ axes
    low = flat.min(axis=0)
    scale = (_VIEW_PX - 4) / np.ptp(flat, axis=0).max()
    shift = 4
    corners = np.rint(((flat - low) * scale + 2.0) * (1 << shift)).astype(np.int32)
    picture = np.zeros((_VIEW_PX, _VIEW_PX), np.uint8)
    for triangle in corners.reshape(-1, 3, 2):
        cv2.fillConvexPoly(picture, triangle, 1, shift=shift)
    drawn = np.count_nonzero(picture) / scale**2
    return drawn / ConvexHull(outline).volume  # of a flat hull, that is its area


def _may_be_seen(camera: Camera, boxes: BoxArray) -> NDArray[np.bool_]:
    """Returns bool [n]: false where the sphere around a box lies beyond the field of view."""
    local = transform(invert(camera.base_T_camera), boxes.center_m)
    distance = np.linalg.norm(local, axis=-1)
    radius = 0.5 * np.linalg.norm(boxes.size_m, axis=-1)
    angle = np.arctan2(np.hypot(local[:, 0], local[:, 1]), local[:, 2])
    reach = np.arcsin(np.minimum(radius / np.maximum(distance, 1e-9), 1.0))
    return (angle - reach < _field_of_view(camera)) | (distance < radius)


@lru_cache(maxsize=64)
def _field_of_view(camera: Camera) -> float:
    """Returns the largest angle in rad between the optical axis and a pixel's ray."""
    u, v = np.linspace(-0.5, camera.width - 0.5, 33), np.linspace(-0.5, camera.height - 0.5, 33)
    rays = camera.rays(np.stack(np.meshgrid(u, v), axis=-1))
    angle = np.arctan2(np.hypot(rays[..., 0], rays[..., 1]), rays[..., 2])
    # A lens whose circle lies within the picture: where it ends may be between the samples.
    return float(np.nanmax(angle)) + (0.2 if np.isnan(angle).any() else 0.01)


def _areas(
    camera: Camera, boxes: BoxArray, shapes: Sequence[FloatArray], partial: bool = False
) -> FloatArray:
    """Returns [n]: area in pixels of the convex hulls of shapes, cut by the picture.

    NaN where a point has no image, or with `partial` the area of those that have one.
    """
    owner = np.repeat(np.arange(len(shapes)), [len(shape) for shape in shapes])
    local = np.concatenate(shapes) * boxes.size_m[owner]
    cos, sin = np.cos(boxes.yaw_rad)[owner], np.sin(boxes.yaw_rad)[owner]
    center = boxes.center_m[owner]
    points = np.stack(
        [
            center[:, 0] + cos * local[:, 0] - sin * local[:, 1],
            center[:, 1] + sin * local[:, 0] + cos * local[:, 1],
            center[:, 2] + local[:, 2] - 0.5 * boxes.size_m[owner, 2],
        ],
        axis=-1,
    )
    uv, _ = camera.project_base(points)
    good = np.isfinite(uv).all(axis=-1)
    area = np.zeros(len(shapes))
    # Some may have no point in the image at all; one alone has no area, nor is it a line.
    good &= (np.bincount(owner[good], minlength=len(shapes)) > 1)[owner]
    shown, groups = np.unique(owner[good], return_inverse=True)
    hulls = shapely.convex_hull(
        shapely.linestrings(np.clip(uv[good], -_FAR_PX, _FAR_PX), indices=groups)
    )
    whole = shapely.clip_by_rect(hulls, -0.5, -0.5, camera.width - 0.5, camera.height - 0.5)
    area[shown] = shapely.area(whole)
    if not partial:
        area[owner[~good]] = np.nan
    return area


def _fill(boxes: BoxArray, outlines: Sequence[_Outline], camera_m: FloatArray) -> FloatArray:
    """Returns [n] shares of the hulls that are filled, between the views that were measured."""
    way = camera_m - boxes.center_m
    azimuth = np.abs(np.mod(np.arctan2(way[:, 1], way[:, 0]) - boxes.yaw_rad + np.pi, 2 * np.pi))
    azimuth = np.abs(azimuth - np.pi)
    elevation = np.arctan2(way[:, 2], np.hypot(way[:, 0], way[:, 1]))
    place = azimuth / _AZIMUTHS[1]
    column = np.minimum(place.astype(int), len(_AZIMUTHS) - 2)
    table = np.stack([outline.fill for outline in outlines])
    rows = np.arange(len(boxes))
    across = place - column
    levels = [
        (1.0 - across) * table[rows, level, column] + across * table[rows, level, column + 1]
        for level in range(len(_ELEVATIONS))
    ]
    up = np.clip(elevation / _ELEVATIONS[1], 0.0, 1.0)
    return (1.0 - up) * levels[0] + up * levels[1]
