"""RGB pictures as cameras send them: JPEG, or one of the raw encodings of `sensor_msgs`."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from bev_trainer.dataset.bag.messages import jpeg_message, raw_image_message
from numpy.typing import NDArray

from bev_perception.errors import ConfigError

ByteArray = NDArray[np.uint8]

_JPEG_QUALITY = 90
_CONVERSIONS = {
    'bgr8': cv2.COLOR_RGB2BGR,
    '8UC3': cv2.COLOR_RGB2BGR,
    'rgba8': cv2.COLOR_RGB2RGBA,
    'bgra8': cv2.COLOR_RGB2BGRA,
    'mono8': cv2.COLOR_RGB2GRAY,
    '8UC1': cv2.COLOR_RGB2GRAY,
    'yuv422': cv2.COLOR_RGB2YUV_UYVY,
    'uyvy': cv2.COLOR_RGB2YUV_UYVY,
    'yuv422_yuy2': cv2.COLOR_RGB2YUV_YUYV,
    'yuyv': cv2.COLOR_RGB2YUV_YUYV,
}
# Colour channel of the four pixels of a 2 x 2 block, in reading order.
_BAYER_CHANNELS = {
    'bayer_rggb8': (0, 1, 1, 2),
    'bayer_bggr8': (2, 1, 1, 0),
    'bayer_gbrg8': (1, 2, 0, 1),
    'bayer_grbg8': (1, 0, 2, 1),
}
RAW_ENCODINGS = ('rgb8', 'mono16', *_CONVERSIONS, *_BAYER_CHANNELS)


def image_message(rgb: ByteArray, encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """Returns sensor_msgs/CompressedImage for 'jpeg', else sensor_msgs/Image."""
    if encoding == 'jpeg':
        return jpeg_message(encode_jpeg(rgb), stamp_ns, frame_id)
    rows = encode_raw(rgb, encoding)
    return raw_image_message(rows, rgb.shape[1], encoding, stamp_ns, frame_id)


def encode_jpeg(rgb: ByteArray) -> bytes:
    """Returns the picture [H, W, 3] as a JPEG file."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def encode_raw(rgb: ByteArray, encoding: str) -> ByteArray:
    """Returns uint8 [H, step]: the picture [H, W, 3] in a raw encoding, little-endian.

    Raises:
        ConfigError: unknown encoding, or an odd width with one that shares colour in pairs.
    """
    if encoding not in RAW_ENCODINGS:
        raise ConfigError(
            f"sample drive: encoding '{encoding}' is not one of jpeg, {', '.join(RAW_ENCODINGS)}"
        )
    if encoding.startswith(('yuv', 'uyvy', 'yuyv')) and rgb.shape[1] % 2:
        raise ConfigError(f"sample drive: '{encoding}' needs an even width, got {rgb.shape[1]}")
    if encoding == 'rgb8':
        return rgb.reshape(len(rgb), -1)
    if encoding == 'mono16':
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype('<u2') * np.uint16(257)
        return gray.astype('<u2').view(np.uint8)
    if encoding in _BAYER_CHANNELS:
        return _mosaic(rgb, _BAYER_CHANNELS[encoding])
    converted = np.asarray(cv2.cvtColor(rgb, _CONVERSIONS[encoding]), np.uint8)
    return converted.reshape(len(rgb), -1)


def _mosaic(rgb: ByteArray, channels: tuple[int, int, int, int]) -> ByteArray:
    mosaic = np.empty(rgb.shape[:2], np.uint8)
    for index, channel in enumerate(channels):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, channel]
    return mosaic
