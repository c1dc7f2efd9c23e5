"""Class and depth images back-projected onto the outlines of the labels: does all fit?"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.bev_view import BevView
from bev_perception.draw.labels import LabelPlacer
from bev_perception.draw.palette import BACKGROUND, TEXT, Color, mix
from bev_perception.draw.strokes import draw_lines
from bev_trainer.dataset.reader import Drive
from bev_trainer.labels.bev import BEV_LAYERS, semantic_bev
from bev_trainer.look.colors import paint_classes, semantic_class_color
from bev_trainer.look.map_panel import LABEL_PX, MapPanel, draw_ego_and_rings
from bev_trainer.look.points import frame_points
from bev_trainer.world.classes import OBJECT_CLASSES, SemanticClass

Image = NDArray[np.uint8]

_GROUND_LIGHT = 0.8


def draw_points_panel(drive: Drive, frame: int, panel: MapPanel) -> Image:
    """Returns the panel of a label frame; raises DatasetError.

    Points of a class lie within the outlines of the same colour when images, calibration, boxes
    and cells agree.
    """
    view = panel.inner
    picture = np.empty((view.area.height, view.area.width, 3), np.uint8)
    picture[:] = mix(BACKGROUND, (0, 0, 0), 0.4)
    points_m, classes = frame_points(drive, frame)
    paint_points(picture, points_m, classes, view)
    boxes = drive.boxes(frame)
    layers = semantic_bev(drive.ground, drive.world_T_base[frame], boxes, view.grid)
    for name, color in _outlined():
        _outline(picture, layers[BEV_LAYERS.index(name)], color, view)
    for footprint in boxes.footprints():
        draw_lines(picture, [view.to_px(footprint)], TEXT, closed=True)
    draw_ego_and_rings(picture, drive, view, LabelPlacer(picture, LABEL_PX))
    return panel.compose(picture, 'images back-projected: points by class, label cells outlined')


def paint_points(
    picture: Image, points_m: NDArray[np.float64], classes: NDArray[np.uint8], view: BevView
) -> None:
    """Paints every point [k, 3] as 2 x 2 pixels in the colour of its class, road users on top."""
    colors = paint_classes(classes)
    colors[classes < SemanticClass.CAR] = np.rint(
        _GROUND_LIGHT * colors[classes < SemanticClass.CAR]
    ).astype(np.uint8)
    order = np.argsort(classes, kind='stable')
    colors = colors[order]
    corner = np.floor(view.to_px(points_m[order, :2])).astype(np.int64)
    height, width = picture.shape[:2]
    for du, dv in ((0, 0), (1, 0), (0, 1), (1, 1)):
        u, v = corner[:, 0] + du, corner[:, 1] + dv
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        picture[v[inside], u[inside]] = colors[inside]


def _outlined() -> list[tuple[str, Color]]:
    """Returns the layers to outline, those on top last."""
    ground = [('sidewalk', SemanticClass.SIDEWALK), ('drivable', SemanticClass.LANE_MARKING)]
    return [(name, semantic_class_color(item)) for name, item in ground] + [
        (item.label, semantic_class_color(item)) for item in OBJECT_CLASSES
    ]


def _outline(picture: Image, cells: NDArray[np.bool_], color: Color, view: BevView) -> None:
    mask = view.enlarge(cells.astype(np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, color, 1)
