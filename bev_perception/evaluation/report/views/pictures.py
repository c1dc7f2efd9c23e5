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
    'worst': 'worst',
    'median': 'median',
    'best': 'best',
    'differs': 'models differ',
}
MAX_PICTURES = 60
_KEPT_BYTES = 300_000
_MAX_WIDTH_PX = 1760
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class PictureView:
    """One picture.

    Attributes:
        anchor: to link to.
        kind: why it is shown, for people.
        scene: name.
        stamp_ns: of the frame.
        score: as text.
        uri: the picture itself; empty when it cannot be read.
    """

    anchor: str
    kind: str
    scene: str
    stamp_ns: int
    score: str
    uri: str


@dataclass(frozen=True)
class PictureGroup:
    """Pictures of one run: worst ones, then median ones, then best ones."""

    title: str
    pictures: tuple[PictureView, ...]


def picture_groups(pictures: Sequence[FramePicture]) -> tuple[PictureGroup, ...]:
    """Returns the first `MAX_PICTURES` pictures by run and reason."""
    shown = list(enumerate(pictures[:MAX_PICTURES]))
    kinds = list(_TITLES)
    shown.sort(key=lambda row: kinds.index(row[1].kind))
    return tuple(
        PictureGroup(run, tuple(_view(index, p) for index, p in shown if p.run == run))
        for run in dict.fromkeys(picture.run for picture in pictures[:MAX_PICTURES])
    )


def _view(index: int, picture: FramePicture) -> PictureView:
    return PictureView(
        f'frame-{index}',
        _TITLES[picture.kind],
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
