"""The labels seen from above: ground, road users with past and future, what cameras observe."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_objects import bounds_px, draw_objects, footprint
from bev_perception.draw.bev_view import BevView
from bev_perception.draw.compass import view_sector
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.palette import BACKGROUND, TEXT_DIM, UNKNOWN_HATCH, class_color, mix
from bev_perception.draw.strokes import draw_dashed, draw_lines
from bev_perception.frame import BevObject
from bev_perception.geometry.camera import Camera
from bev_trainer.dataset.reader import Drive
from bev_trainer.look.annotations import Scene
from bev_trainer.look.map_panel import LABEL_PX, MapPanel, draw_ego_and_rings, draw_ground_layers

Image = NDArray[np.uint8]

UNSEEN_LIGHT = 0.36
_HATCH_PERIOD_PX = 8
_NAME_PLACES = [24, 20, 28, 16, 32, 12, 36]  # of 49 points on the arc of a view
_SECTOR_SHARE = 0.3  # of the shorter side of the map


def draw_bev_panel(drive: Drive, frame: int, scene: Scene, panel: MapPanel) -> Image:
    """Returns the panel of the labels at a frame; raises DatasetError."""
    view = panel.inner
    picture = draw_ground_layers(drive.ground, drive.world_T_base[frame], view)
    labelled = frame in drive.description.label_frames
    if labelled:
        darken_unseen(picture, view.enlarge(_observed(drive, frame)).astype(bool))
    shown = [item for item in scene.objects if _is_inside(item, view)]
    labels = LabelPlacer(picture, LABEL_PX)
    for item in shown:
        labels.reserve(bounds_px(item, view))
    draw_ego_and_rings(picture, drive, view, labels)
    _draw_sectors(picture, drive.cameras, view, labels)
    _draw_pasts(picture, scene, view)
    hidden = [item for item in shown if item.instance not in scene.visible]
    for item in hidden:
        corners = footprint(item)
        outline = view.to_px(np.concatenate([corners, corners[:1]]))
        draw_dashed(picture, [outline], _color(item), 3.0, 3.0)
    seen = [item for item in shown if item.instance in scene.visible]
    draw_objects(picture, seen, view, labels, lambda item: str(item.instance))
    title = 'labels: ground, road users, past and future' + (', observed cells' * labelled)
    return panel.compose(picture, title)


def darken_unseen(picture: Image, observed: NDArray[np.bool_]) -> None:
    """Darkens and hatches the pixels [h, w] that no camera observes."""
    height, width = picture.shape[:2]
    diagonal = (np.arange(height)[:, None] + np.arange(width)[None, :]) % _HATCH_PERIOD_PX
    dark = UNSEEN_LIGHT * picture + (1.0 - UNSEEN_LIGHT) * np.array(BACKGROUND, np.float32)
    lines = mix(BACKGROUND, UNKNOWN_HATCH, 0.45)
    dark[diagonal == 0] = 0.5 * dark[diagonal == 0] + 0.5 * np.array(lines, np.float32)
    picture[~observed] = np.rint(dark[~observed]).astype(np.uint8)


def _observed(drive: Drive, frame: int) -> NDArray[np.uint8]:
    return np.any(drive.observed(frame), axis=0).view(np.uint8)


def _draw_sectors(
    picture: Image, cameras: tuple[Camera, ...], view: BevView, labels: LabelPlacer
) -> None:
    """Draws the two limits of every camera's view, an arc between them, and its name."""
    reach_m = _SECTOR_SHARE * min(picture.shape[:2]) / view.scale_px_per_m
    layer = picture.copy()
    named = []
    for index, camera in enumerate(cameras):
        left, right = view_sector(camera)
        angles = np.linspace(left, right, 49)
        radius_m = reach_m * (1.0 + 0.05 * (index % 3))
        eye = camera.base_T_camera[:2, 3]
        arc = eye + radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        full = left - right > 2 * math.pi - 1e-6
        line = arc if full else np.concatenate([eye[None], arc, eye[None]])
        draw_lines(layer, [view.to_px(line)], TEXT_DIM)
        places = [(u, v, 'cm') for u, v in view.to_px(arc[_NAME_PLACES]).tolist()]
        named.append((camera.name, places))
    picture[...] = np.rint(0.5 * picture + 0.5 * layer).astype(np.uint8)
    for name, places in named:
        labels.place(name, TEXT_DIM, places)


def _draw_pasts(picture: Image, scene: Scene, view: BevView) -> None:
    for item, past in zip(scene.objects, scene.pasts, strict=True):
        if len(past) > 1:
            color = mix(BACKGROUND, _color(item), 0.6)
            draw_lines(picture, [view.to_px(past)], color, 2)


def _is_inside(item: BevObject, view: BevView) -> bool:
    return bool(view.grid.to_cell(item.center_m[0], item.center_m[1])[2])


def _color(item: BevObject) -> tuple[int, int, int]:
    return class_color(item.classes[0].index)
