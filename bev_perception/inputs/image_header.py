"""Sizes of JPEG and PNG images, read from their headers before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

_JPEG_START = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
_JPEG_SCAN = 0xDA
_JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_START = b'\x89PNG\r\n\x1a\n'


@dataclass(frozen=True)
class ImageHeader:
    """What the header of a compressed image says.

    Attributes:
        codec: 'jpeg' or 'png'.
        width: pixels, as stored (EXIF orientation is not applied).
        height: likewise.
        complete: whether the end marker is there; False for truncated data.
    """

    codec: str
    width: int
    height: int
    complete: bool


def read_header(data: bytes) -> ImageHeader | None:
    """Returns the header of a JPEG or PNG image; None when the data is neither."""
    if data.startswith(_JPEG_START):
        return _read_jpeg(data)
    if data.startswith(_PNG_START) and data[12:16] == b'IHDR' and len(data) >= 24:
        width, height = (int.from_bytes(data[at : at + 4], 'big') for at in (16, 20))
        return ImageHeader('png', width, height, data.rfind(b'IEND') >= 0)
    return None


def _read_jpeg(data: bytes) -> ImageHeader | None:
    """Walks the marker segments (ITU-T T.81, B.1.1) up to the frame and the first scan."""
    size: tuple[int, int] | None = None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            at += 2
        elif marker == _JPEG_SCAN and size is not None:
            # Inside a scan 0xFF is escaped, so an end marker behind it is the real one, not
            # that of an embedded thumbnail.
            return ImageHeader('jpeg', *size, data.rfind(_JPEG_END, at) >= 0)
        else:
            if marker in _JPEG_FRAMES and at + 9 <= len(data):
                height, width = (int.from_bytes(data[i : i + 2], 'big') for i in (at + 5, at + 7))
                size = width, height
            at += 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
    return ImageHeader('jpeg', *size, False) if size is not None else None
