"""Targets in the images: which road users every camera shows, where, and how far away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.gaussian import draw_maximum, gaussian_patch, gaussian_radius
from bev_perception.evaluation.class_map import model_class
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert, transform
from bev_trainer.targets.labels import ObjectLabels

# Offset (u, v) in feature pixels, logarithm of the distance in metres, logarithms of length,
# width and height in metres, sine and cosine of the heading as seen from the camera.
VIEW_CHANNELS = 8
_MIN_OVERLAP = 0.7
_NEAREST_M = 0.5


def view_targets(
    objects: ObjectLabels,
    cameras: Sequence[Camera | None],
    classes: Sequence[str],
    size: tuple[int, int],
    stride: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns heatmaps [N, K, h, w] in 0..1 and boxes [N, 8, h, w], NaN but at centres.

    As in CenterNet (Zhou et al. 2019, section 4) and FCOS3D (Wang et al. 2021): a road user is
    where its box centre falls in the image, at the feature pixel that holds it. Of two in one
    pixel the nearer one counts. The heading is that against the line of sight, which is what an
    image shows (Mousavian et al. 2017, section 3). Road users that no camera shows are left out;
    which of the cameras it is that shows one is not asked.

    Args:
        objects: in the base frame.
        cameras: of the network's input, in the same base frame; None: there is no image.
        classes: K, of the model.
        size: (h, w) of the features.
        stride: pixels of the image per feature pixel.
    """
    heatmaps = np.zeros((len(cameras), len(classes), *size), np.float32)
    boxes = np.full((len(cameras), VIEW_CHANNELS, *size), np.nan, np.float32)
    kinds = [model_class(name, classes) for name in objects.class_name]
    known = np.array([kind is not None for kind in kinds], np.bool_)
    rows = np.flatnonzero(objects.visible & known)
    for index, camera in enumerate(cameras):
        if camera is None:
            continue
        points = transform(invert(camera.base_T_camera), objects.center_m[rows])
        uv, inside = camera.project(points)
        distance_m = np.linalg.norm(points, axis=-1)
        inside &= distance_m > _NEAREST_M
        place = (uv + 0.5) / stride  # in feature pixels from the edge
        for near in np.argsort(-distance_m, kind='stable'):
            if not inside[near]:
                continue
            row = int(rows[near])
            ix, iy = int(place[near, 0]), int(place[near, 1])
            name = kinds[row]
            assert name is not None
            _draw(heatmaps[index, classes.index(name)], objects, row, camera, distance_m[near],
                  (iy, ix), stride)  # fmt: skip
            boxes[index, :, iy, ix] = [
                place[near, 0] - ix - 0.5,
                place[near, 1] - iy - 0.5,
                np.log(distance_m[near]),
                *np.log(objects.size_m[row]),
                *_seen_heading(objects, row, camera),
            ]
    return heatmaps, boxes


def _draw(
    heatmap: NDArray[np.float32],
    objects: ObjectLabels,
    row: int,
    camera: Camera,
    distance_m: float,
    cell: tuple[int, int],
    stride: int,
) -> None:
    """Draws a bump as wide as a box of that size looks there."""
    cells_per_m = camera.K[0, 0] / (distance_m * stride)
    length, width, height = objects.size_m[row] * cells_per_m
    radius = int(gaussian_radius(height, max(length, width), _MIN_OVERLAP))
    draw_maximum(heatmap, gaussian_patch(min(max(radius, 1), max(heatmap.shape))), *cell)


def _seen_heading(objects: ObjectLabels, row: int, camera: Camera) -> tuple[float, float]:
    """Returns sine and cosine of the heading against the direction from the camera."""
    sight = objects.center_m[row, :2] - camera.base_T_camera[:2, 3]
    angle = objects.yaw_rad[row] - np.arctan2(sight[1], sight[0])
    return float(np.sin(angle)), float(np.cos(angle))
