"""Images as they arrive, undecoded, and their decoding to RGB at the resolution needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import ImageError
from bev_perception.geometry.camera import Camera
from bev_perception.inputs.image_header import read_header
from bev_perception.inputs.state import CameraState

ByteArray = NDArray[np.uint8]


@dataclass(frozen=True)
class _PixelFormat:
    """Bytes per pixel, samples per pixel as OpenCV sees them, and the conversion to RGB."""

    bytes_per_pixel: int
    channels: int
    to_rgb: int | None
    subsampled: bool = False


# OpenCV names a Bayer pattern by the 2 x 2 block that starts at the second row and column,
# ROS by the block at the first: rggb in ROS is BG in OpenCV. Subsampled formats mix neighbours,
# so their reduction comes after the conversion.
_RAW_FORMATS = {
    'rgb8': _PixelFormat(3, 3, None),
    'bgr8': _PixelFormat(3, 3, cv2.COLOR_BGR2RGB),
    '8UC3': _PixelFormat(3, 3, cv2.COLOR_BGR2RGB),
    'rgba8': _PixelFormat(4, 4, cv2.COLOR_RGBA2RGB),
    'bgra8': _PixelFormat(4, 4, cv2.COLOR_BGRA2RGB),
    'mono8': _PixelFormat(1, 1, cv2.COLOR_GRAY2RGB),
    '8UC1': _PixelFormat(1, 1, cv2.COLOR_GRAY2RGB),
    'mono16': _PixelFormat(2, 1, cv2.COLOR_GRAY2RGB),
    'bayer_rggb8': _PixelFormat(1, 1, cv2.COLOR_BayerBG2RGB, subsampled=True),
    'bayer_bggr8': _PixelFormat(1, 1, cv2.COLOR_BayerRG2RGB, subsampled=True),
    'bayer_gbrg8': _PixelFormat(1, 1, cv2.COLOR_BayerGR2RGB, subsampled=True),
    'bayer_grbg8': _PixelFormat(1, 1, cv2.COLOR_BayerGB2RGB, subsampled=True),
    'yuv422': _PixelFormat(2, 2, cv2.COLOR_YUV2RGB_UYVY, subsampled=True),
    'uyvy': _PixelFormat(2, 2, cv2.COLOR_YUV2RGB_UYVY, subsampled=True),
    'yuv422_yuy2': _PixelFormat(2, 2, cv2.COLOR_YUV2RGB_YUY2, subsampled=True),
    'yuyv': _PixelFormat(2, 2, cv2.COLOR_YUV2RGB_YUY2, subsampled=True),
}

_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


@dataclass(frozen=True, eq=False)
class CameraImage:
    """One image as received, not decoded.

    Attributes:
        data: uint8 [bytes], a view of the message's buffer.
        encoding: raw: a `sensor_msgs` encoding name; compressed: the message's `format`.
        width: pixels; 0 when compressed.
        height: pixels; 0 when compressed.
        step: bytes per row, padding included; 0 when compressed.
        compressed: whether `data` is a JPEG or PNG file.
        is_bigendian: byte order of samples wider than a byte.
    """

    data: ByteArray
    encoding: str
    width: int
    height: int
    step: int
    compressed: bool
    is_bigendian: bool = False


def decode(image: CameraImage, camera: Camera, reduction: int) -> ByteArray:
    """Returns the image as uint8 [h, w, 3] RGB, contiguous, reduced by 1, 2, 4 or 8.

    Each output pixel is the mean of a reduction x reduction block that starts at the top left.
    Blocks cut by the right or lower edge: JPEG keeps them (h = ceil(height / reduction)), all
    other formats drop them (floor). The result may share memory with `image.data`.

    Raises:
        ImageError: with the `CameraState` of a camera whose image is not what `camera` describes.
    """
    decoded = _decode_compressed if image.compressed else _decode_raw
    return np.ascontiguousarray(decoded(image, camera, reduction))


def _decode_raw(image: CameraImage, camera: Camera, reduction: int) -> ByteArray:
    pixel_format = _RAW_FORMATS.get(image.encoding)
    if pixel_format is None:
        raise ImageError(
            CameraState.WRONG_ENCODING,
            f"encoding '{image.encoding}' is not understood; use one of {', '.join(_RAW_FORMATS)}",
        )
    _check_size(image.width, image.height, camera)
    pixels = _rows(image, pixel_format)
    if image.encoding == 'mono16':
        pixels = pixels[:, 0 if image.is_bigendian else 1 :: 2]
    pixels = pixels.reshape(image.height, image.width, pixel_format.channels)
    if pixel_format.subsampled:
        return _reduce(_convert(pixels, pixel_format.to_rgb), reduction)
    return _convert(_reduce(pixels, reduction), pixel_format.to_rgb)


def _rows(image: CameraImage, pixel_format: _PixelFormat) -> ByteArray:
    """Returns the bytes of the pixels [height, width * bytes_per_pixel], without row padding."""
    row_bytes = image.width * pixel_format.bytes_per_pixel
    if image.step < row_bytes:
        raise ImageError(
            CameraState.WRONG_SIZE,
            f'step {image.step} is less than the {row_bytes} bytes of {image.width} pixels '
            f"in '{image.encoding}'",
        )
    if image.data.size != image.step * image.height:
        raise ImageError(
            CameraState.WRONG_SIZE,
            f'data has {image.data.size} bytes, but step {image.step} x height {image.height} '
            f'= {image.step * image.height}',
        )
    if pixel_format.channels == 2 and image.width % 2:
        raise ImageError(
            CameraState.WRONG_SIZE, f"width {image.width} is odd, impossible in '{image.encoding}'"
        )
    return image.data.reshape(image.height, image.step)[:, :row_bytes]


def _decode_compressed(image: CameraImage, camera: Camera, reduction: int) -> ByteArray:
    _check_format(image.encoding)
    header = read_header(image.data.tobytes())
    if header is None:
        raise ImageError(
            CameraState.DECODE_FAILED,
            f"{image.data.size} bytes of format '{image.encoding}' are neither JPEG nor PNG",
        )
    if not header.complete:
        raise ImageError(
            CameraState.DECODE_FAILED,
            f'{header.codec} data is cut off after {image.data.size} bytes',
        )
    _check_size(header.width, header.height, camera)
    codec_reduction = reduction if header.codec == 'jpeg' else 1
    # A calibration describes the pixels as stored: never turn them by EXIF orientation.
    flags = _JPEG_FLAGS[codec_reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(image.data, flags)
    except cv2.error as error:
        raise ImageError(
            CameraState.DECODE_FAILED, f'{header.codec} data cannot be decoded'
        ) from error
    expected = (-(-header.height // codec_reduction), -(-header.width // codec_reduction), 3)
    if pixels is None or pixels.shape != expected:
        raise ImageError(CameraState.DECODE_FAILED, f'{header.codec} data cannot be decoded')
    pixels = _reduce(np.asarray(pixels, dtype=np.uint8), reduction // codec_reduction)
    return _convert(pixels, cv2.COLOR_BGR2RGB)


def _check_format(image_format: str) -> None:
    """Checks a `CompressedImage.format`: 'jpeg', 'png', 'rgb8; jpeg compressed bgr8', or ''."""
    text = image_format.lower()
    known = not text or any(codec in text for codec in ('jpeg', 'jpg', 'png'))
    mosaic = text.startswith('bayer') and 'compressed bgr' not in text
    if not known or mosaic or 'depth' in text:
        raise ImageError(
            CameraState.WRONG_ENCODING,
            f"format '{image_format}' is not understood; publish colour images as jpeg or png",
        )


def _check_size(width: int, height: int, camera: Camera) -> None:
    if (width, height) != (camera.width, camera.height):
        raise ImageError(
            CameraState.WRONG_SIZE,
            f'image is {width}x{height}, but the calibration is for '
            f'{camera.width}x{camera.height}',
        )


def _reduce(pixels: ByteArray, reduction: int) -> ByteArray:
    """Returns [h // reduction, w // reduction, C]: means of blocks."""
    if reduction == 1:
        return pixels
    height, width = pixels.shape[0] // reduction, pixels.shape[1] // reduction
    pixels = pixels[: height * reduction, : width * reduction]
    reduced = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.uint8).reshape(height, width, pixels.shape[2])


def _convert(pixels: ByteArray, code: int | None) -> ByteArray:
    return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)
