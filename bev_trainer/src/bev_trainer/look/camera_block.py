"""One camera of a sheet: its image with boxes, and its class and depth images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.draw.boxes import wireframe
from bev_perception.draw.cameras import draw_boxes, draw_name, to_tile
from bev_perception.draw.layout import Rect
from bev_perception.draw.palette import BACKGROUND, GOOD, TEXT_DIM, class_color, mix
from bev_perception.draw.strokes import draw_dashed, draw_lines
from bev_perception.draw.text import draw_text, fill_box, text_size
from bev_perception.frame import BevObject
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import invert
from bev_trainer.dataset.reader import Drive
from bev_trainer.look.annotations import objects_of
from bev_trainer.look.colors import paint_classes, paint_depth

Image = NDArray[np.uint8]

GAP_PX = 3
_LABEL_PX = 8.5
_NOTE_PX = 9.0
_SMALLEST_HIDDEN_PX = 150.0  # silhouette, in pixels of the sheet
_FARTHEST_HIDDEN_M = 50.0


@dataclass(frozen=True)
class BlockShape:
    """How the three pictures of a camera share a block.

    Attributes:
        labels_beside: class and depth image are to the right of the image, one above the other;
            else below it, side by side.
        labelled: whether there are class and depth images at all.
    """

    labels_beside: bool
    labelled: bool

    def aspect(self, camera: Camera) -> float:
        """Returns width / height of a block."""
        aspect = camera.width / camera.height
        if not self.labelled:
            return aspect
        return 1.5 * aspect if self.labels_beside else aspect / 1.5

    def parts(self, width: int, height: int) -> tuple[Rect, Rect, Rect]:
        """Returns where image, class image and depth image lie in a labelled block."""
        if self.labels_beside:
            left = round(width / 1.5)
            x, half = left + GAP_PX, (height - GAP_PX) // 2
            small = Rect(x, 0, width - x, half), Rect(x, height - half, width - x, half)
            return Rect(0, 0, left, height), *small
        top = round(height / 1.5)
        y, half = top + GAP_PX, (width - GAP_PX) // 2
        small = Rect(0, y, half, height - y), Rect(width - half, y, half, height - y)
        return Rect(0, 0, width, top), *small


def draw_camera_block(
    drive: Drive, frame: int, index: int, shape: BlockShape, size_px: tuple[int, int]
) -> Image:
    """Returns [h, w, 3] RGB: a camera with the boxes at the time it fired.

    Raises:
        DatasetError: the drive lacks what is shown.
    """
    width, height = size_px
    block = np.empty((height, width, 3), np.uint8)
    block[:] = BACKGROUND
    if not shape.labelled:
        _put(block, _draw_image(drive, frame, index, size_px), Rect(0, 0, width, height))
        return block
    image, classes, depth = shape.parts(width, height)
    _put(block, _draw_image(drive, frame, index, (image.width, image.height)), image)
    painted = paint_classes(drive.classes(frame, index))
    _put(block, _small(painted, classes, 'class'), classes)
    _put(block, _small(paint_depth(drive.depth_m(frame, index)), depth, 'depth'), depth)
    return block


def _draw_image(drive: Drive, frame: int, index: int, size_px: tuple[int, int]) -> Image:
    camera = drive.cameras[index]
    tile = _resized(drive.image(frame, index), size_px)
    boxes = drive.boxes_at(drive.camera_stamp_ns(frame, index))
    objects = objects_of(boxes.transformed(invert(drive.camera_world_T_base[frame, index])))
    visible = drive.objects.visible_pixels[:, frame, index]
    whole = drive.objects.silhouette_pixels[:, frame, index]
    scale = (size_px[0] / camera.width) * (size_px[1] / camera.height)
    hidden = [
        item
        for item in objects
        if visible[item.instance - 1] == 0
        and whole[item.instance - 1] * scale >= _SMALLEST_HIDDEN_PX
        and math.hypot(*item.center_m[:2]) <= _FARTHEST_HIDDEN_M
    ]
    _draw_hidden(tile, camera, hidden)

    def label(item: BevObject) -> str:
        row = item.instance - 1
        share = min(1.0, visible[row] / max(whole[row], 1.0))
        return f'{item.instance}  {math.hypot(*item.center_m[:2]):.0f} m  {share:.0%}'

    draw_boxes(tile, camera, [o for o in objects if visible[o.instance - 1] > 0], label)
    draw_name(tile, camera.name, camera, GOOD)
    offset_ms = drive.description.camera_offsets_ns[index] / 1e6
    _note(tile, f'{offset_ms:+.0f} ms')
    return _framed(tile)


def _draw_hidden(tile: Image, camera: Camera, objects: list[BevObject]) -> None:
    scale = np.array([tile.shape[1] / camera.width, tile.shape[0] / camera.height])
    for item in objects:
        frame = wireframe(item, camera)
        if frame is not None:
            lines = [to_tile(line, scale) for line in (*frame.near_edges, *frame.far_edges)]
            draw_dashed(tile, lines, mix(class_color(item.classes[0].index), BACKGROUND, 0.25))


def _small(painted: Image, area: Rect, name: str) -> Image:
    size = area.width, area.height
    enlarge = area.width > painted.shape[1]
    interpolation = cv2.INTER_NEAREST if enlarge else cv2.INTER_AREA
    tile: Image = np.asarray(cv2.resize(painted, size, interpolation=interpolation), np.uint8)
    _note(tile, name)
    return _framed(tile)


def _note(tile: Image, text: str) -> None:
    """Writes a few words into the upper right corner."""
    width = tile.shape[1]
    fill_box(tile, (width - text_size(text, _NOTE_PX)[0] - 10, 0, width, 18), BACKGROUND, 0.7)
    draw_text(tile, text, (width - 5, 9), _NOTE_PX, TEXT_DIM, 'rm')


def _resized(image: Image, size_px: tuple[int, int]) -> Image:
    enlarge = size_px[0] > image.shape[1]
    interpolation = cv2.INTER_CUBIC if enlarge else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size_px, interpolation=interpolation), np.uint8)


def _framed(tile: Image) -> Image:
    height, width = tile.shape[:2]
    corners = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
    draw_lines(tile, [corners], mix(TEXT_DIM, BACKGROUND, 0.5), closed=True)
    return tile


def _put(block: Image, part: Image, area: Rect) -> None:
    block[area.y : area.y + area.height, area.x : area.x + area.width] = part
