"""Pictures of frames, inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from bev_perception.evaluation.report.numbers import number_text
from bev_perception.evaluation.results import FramePicture, PictureKind

_TITLES: dict[PictureKind, str] = {
    'worst': 'Worst frames',
    'median': 'Median frames',
    'best': 'Best frames',
    'differs': 'Frames where the models differ most',
}
MAX_PICTURES = 60
_KEPT_BYTES = 300_000
_MAX_WIDTH_PX = 1600
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class PictureView:
    """One picture.

    Attributes:
        anchor: to link to.
        run, scene: what it is of.
        stamp_ns: of the frame.
        score: as text.
        uri: the picture itself; empty when it cannot be read.
    """

    anchor: str
    run: str
    scene: str
    stamp_ns: int
    score: str
    uri: str


@dataclass(frozen=True)
class PictureGroup:
    """Pictures that are shown for the same reason."""

    title: str
    pictures: tuple[PictureView, ...]


def picture_groups(pictures: Sequence[FramePicture]) -> tuple[PictureGroup, ...]:
    """Returns the first `MAX_PICTURES` pictures by reason."""
    views = [
        (picture.kind, _view(index, picture))
        for index, picture in enumerate(pictures[:MAX_PICTURES])
    ]
    groups = (
        PictureGroup(title, tuple(view for other, view in views if other == kind))
        for kind, title in _TITLES.items()
    )
    return tuple(group for group in groups if group.pictures)


def _view(index: int, picture: FramePicture) -> PictureView:
    return PictureView(
        f'frame-{index}',
        picture.run,
        picture.scene,
        picture.stamp_ns,
        number_text(picture.score),
        picture_uri(picture.png),
    )


def picture_uri(png: bytes) -> str:
    """Returns a picture as data URI; large ones become JPEG of at most `_MAX_WIDTH_PX`.

    Returns:
        Empty when it is no picture.
    """
    if len(png) <= _KEPT_BYTES and png.startswith(b'\x89PNG'):
        return f'data:image/png;base64,{base64.b64encode(png).decode()}'
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) if png else None
    if pixels is None:
        return ''
    height, width = pixels.shape[:2]
    if width > _MAX_WIDTH_PX:
        size = (_MAX_WIDTH_PX, max(1, round(height * _MAX_WIDTH_PX / width)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}'
