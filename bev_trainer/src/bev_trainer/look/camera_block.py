"""One camera of a sheet: its image with boxes, and its class and depth images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

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
    """How the pictures of a camera share a block: class and depth image have half its size.

    Attributes:
        image_width: of the image in pixels.
        image_height: likewise.
        labels: where class and depth image are: one above the other beside the image, side by
            side below it, or nowhere.
    """

    image_width: int
    image_height: int
    labels: Literal['beside', 'below', 'none']

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the block."""
        rects = self.parts()
        return rects[-1].x + rects[-1].width, max(rect.y + rect.height for rect in rects)

    def parts(self) -> tuple[Rect, ...]:
        """Returns where image, class image and depth image lie; the image alone without labels."""
        width, height = self.image_width, self.image_height
        image = Rect(0, 0, width, height)
        if self.labels == 'none':
            return (image,)
        if self.labels == 'beside':
            small = (height - GAP_PX) // 2
            other, x, low = round(small * width / height), width + GAP_PX, height - small
            return image, Rect(x, 0, other, small), Rect(x, low, other, small)
        small = (width - GAP_PX) // 2
        other, y, right = round(small * height / width), height + GAP_PX, width - small
        return image, Rect(0, y, small, other), Rect(right, y, small, other)


def draw_camera_block(drive: Drive, frame: int, index: int, shape: BlockShape) -> Image:
    """Returns [h, w, 3] RGB: a camera with the boxes at the time it fired.

    Raises:
        DatasetError: the drive lacks what is shown.
    """
    width, height = shape.size_px
    block = np.empty((height, width, 3), np.uint8)
    block[:] = BACKGROUND
    image, *small = shape.parts()
    _put(block, _draw_image(drive, frame, index, (image.width, image.height)), image)
    if small:
        classes, depth = small
        _put(block, _small(paint_classes(drive.classes(frame, index)), classes, 'class'), classes)
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
        share = min(max(0.01, visible[row] / max(whole[row], 1.0)), 1.0)
        return f'{item.instance}  {math.hypot(*item.center_m[:2]):.0f} m  {share:.0%}'

    draw_boxes(tile, camera, [o for o in objects if visible[o.instance - 1] > 0], label)
    draw_name(tile, camera.name, camera, GOOD)
    offset_ms = drive.description.camera_offsets_ns[index] / 1e6
    _note(tile, f'fired at {offset_ms:+.0f} ms')
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
