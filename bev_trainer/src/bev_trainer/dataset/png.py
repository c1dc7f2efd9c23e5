"""Label images as PNG: class, instance and depth of every pixel, exact and quick to code."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

DEPTH_COUNTS_PER_M = 256.0  # as in KITTI's depth maps
MAX_DEPTH_M = 65535 / DEPTH_COUNTS_PER_M

_TOO_FAR_M = float(np.nextafter(np.float32(65535.5 / DEPTH_COUNTS_PER_M), np.float32(0.0)))

_SIGNATURE = b'\x89PNG\r\n\x1a\n'
_FILTER_UP = 2
_DEFLATE_LEVEL = 1


def encode_png(image: NDArray[np.uint8] | NDArray[np.uint16], areas: bool = False) -> bytes:
    """Returns a grey PNG of an image [H, W] of 8 or 16 bits; the same bytes for the same image.

    Every row is stored as its difference from the row above, which suits label images: it is
    quicker than a search for the best of PNG's five filters row by row, and the file no larger.

    Args:
        image: to be stored.
        areas: it holds areas of equal values, such as classes. Looking for runs only makes their
            files smaller, and those of other images larger.

    Raises:
        ValueError: another shape or type.
    """
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise ValueError(f'needs uint8 or uint16 [H, W], got {image.dtype} {image.shape}')
    height, width = image.shape
    big_endian = np.ascontiguousarray(image, image.dtype.newbyteorder('>'))
    rows = big_endian.view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack('>IIBBBBB', width, height, 8 * image.itemsize, 0, 0, 0, 0)
    strategy = zlib_ng.Z_RLE if areas else zlib_ng.Z_DEFAULT_STRATEGY
    deflate = zlib_ng.compressobj(_DEFLATE_LEVEL, strategy=strategy)
    data = deflate.compress(filtered.data) + deflate.flush()
    return _SIGNATURE + _chunk(b'IHDR', header) + _chunk(b'IDAT', data) + _chunk(b'IEND', b'')


def decode_png(content: bytes, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """Returns the grey image [H, W] of a PNG.

    Raises:
        ValueError: it is not a PNG, or not a grey one of this many bits.
    """
    image: Any = None
    if content[:8] == _SIGNATURE:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError('is not a PNG image')
    if image.ndim != 2 or image.dtype != dtype:
        raise ValueError(
            f'must be a grey image of {np.dtype(dtype).name}, is {image.dtype.name} {image.shape}'
        )
    return image


def depth_to_counts(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Returns uint16 counts of 1/256 m; 0 where there is nothing, or nothing within 255.99 m.

    The rounding error is at most 1/512 m.

    Raises:
        ValueError: a depth is negative or not finite.
    """
    depth_m = np.ascontiguousarray(depth_m, np.float32)
    if not depth_m.size:
        return np.zeros(depth_m.shape, np.uint16)
    if not (depth_m.min() >= 0.0 and depth_m.max() < np.inf):
        raise ValueError('depths must be finite and not negative')
    within = cv2.threshold(depth_m.ravel(), _TOO_FAR_M, 0.0, cv2.THRESH_TOZERO_INV)[1]
    counts = cv2.multiply(within, np.array(DEPTH_COUNTS_PER_M), dtype=cv2.CV_16U)
    return np.asarray(counts, np.uint16).reshape(depth_m.shape)


def counts_to_depth(counts: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Returns metres, 0 for nothing; the inverse of `depth_to_counts`."""
    return counts.astype(np.float32) / np.float32(DEPTH_COUNTS_PER_M)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', check)
