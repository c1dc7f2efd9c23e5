"""Decoding of every encoding with hand-made pixels, reductions, and all that can be wrong."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bev_perception.errors import ImageError
from bev_perception.frame import CameraState
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.inputs.image import CameraImage, decode
from bev_perception.inputs.image_header import ImageHeader, read_header

RED, GREEN, BLUE, GREY = (250, 10, 20), (5, 240, 30), (15, 25, 230), (100, 100, 100)
# 3 x 4 pixels, all corners different, so that any flip or transposition shows.
PIXELS = np.array(
    [[RED, GREEN, BLUE, GREY], [GREY, RED, RED, GREEN], [BLUE, GREY, GREEN, GREEN]], dtype=np.uint8
)


def make_camera(width, height):
    K = np.array([[500.0, 0.0, width / 2], [0.0, 500.0, height / 2], [0.0, 0.0, 1.0]])
    return Camera('cam', 'cam_optical', width, height, K, Distortion('none'), np.eye(4))


def raw(pixels, encoding, padding=0, **changes):
    """Returns a raw image of uint8 [h, w, ...] with `padding` bytes of rubbish after each row."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    buffer = rows.tobytes()  # received messages are read-only
    values = {'width': width, 'height': height, 'step': rows.shape[1], 'is_bigendian': False}
    values.update(changes)
    data = np.frombuffer(buffer, np.uint8)
    return CameraImage(data, encoding, compressed=False, **values)


def compressed(data, image_format='jpeg'):
    return CameraImage(np.frombuffer(bytes(data), np.uint8), image_format, 0, 0, 0, True)


def smooth_image(height, width, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3))
    image = cv2.resize(noise.astype(np.float32), (width + 32, height + 32))
    return image[:height, :width].round().astype(np.uint8)


def encode(rgb, extension, *parameters):
    return cv2.imencode(extension, rgb[..., ::-1], parameters)[1].tobytes()


def assert_refused(image, camera, state, *words, reduction=1):
    with pytest.raises(ImageError) as error:
        decode(image, camera, reduction)
    assert error.value.state is state
    assert '\n' not in str(error.value)
    for word in words:
        assert word in str(error.value)


# Raw encodings.


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'channels'),
    [
        ('rgb8', [0, 1, 2]),
        ('bgr8', [2, 1, 0]),
        ('8UC3', [2, 1, 0]),
        ('rgba8', [0, 1, 2, 0]),
        ('bgra8', [2, 1, 0, 1]),
    ],
)
def test_colour_encodings(encoding, channels, padding):
    decoded = decode(raw(PIXELS[..., channels], encoding, padding), make_camera(4, 3), 1)
    np.testing.assert_array_equal(decoded, PIXELS)
    assert decoded.flags.c_contiguous and decoded.dtype == np.uint8


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
@pytest.mark.parametrize('padding', [0, 3])
def test_grey_encodings(encoding, padding):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    decoded = decode(raw(grey, encoding, padding), make_camera(4, 3), 1)
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize('order', ['<u2', '>u2'])
@pytest.mark.parametrize('padding', [0, 2, 3])
def test_mono16_keeps_the_high_byte_in_either_byte_order(order, padding):
    grey = np.array([[0x0012, 0x3456], [0xFFFF, 0x00FF], [0x8000, 0x0100]])
    image = raw(grey.astype(order), 'mono16', padding, is_bigendian=order == '>u2')
    decoded = decode(image, make_camera(2, 3), 1)
    np.testing.assert_array_equal(decoded[..., 0], [[0x00, 0x34], [0xFF, 0x00], [0x80, 0x01]])
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('padding', [0, 6])
def test_bayer_patterns_are_named_from_the_first_pixel(pattern, padding):
    """ROS: the letters are the colours of pixels (0, 0), (0, 1), (1, 0), (1, 1)."""
    colour = {'r': 200, 'g': 120, 'b': 40}
    mosaic = np.tile(np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2), (6, 8))
    decoded = decode(raw(mosaic, f'bayer_{pattern}8', padding), make_camera(16, 12), 1)
    np.testing.assert_array_equal(decoded, np.full((12, 16, 3), (200, 120, 40)))


def test_bayer_mosaic_of_a_picture_comes_back_in_place():
    picture = smooth_image(64, 96)
    mosaic = picture[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = picture[::2, ::2, 0], picture[1::2, 1::2, 2]
    decoded = decode(raw(mosaic, 'bayer_rggb8'), make_camera(96, 64), 1)
    inner = np.abs(decoded.astype(int) - picture)[2:-2, 2:-2]
    assert inner.mean() < 0.3 and inner.max() < 15


def yuv_to_rgb(y, u, v):
    """ITU-R BT.601, video range."""
    y, u, v = 1.164 * (y - 16.0), u - 128.0, v - 128.0
    rgb = np.stack([y + 1.596 * v, y - 0.813 * v - 0.391 * u, y + 2.018 * u], -1)
    return np.clip(rgb, 0, 255)


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')],
)
@pytest.mark.parametrize('padding', [0, 4])
def test_yuv_encodings(encoding, order, padding):
    rng = np.random.default_rng(1)
    y = rng.integers(60, 200, (4, 6))
    u, v = (rng.integers(90, 170, (4, 3)) for _ in range(2))
    first, second = y[:, 0::2], y[:, 1::2]
    parts = [u, first, v, second] if order == 'uyvy' else [first, u, second, v]
    packed = np.stack(parts, axis=-1).astype(np.uint8).reshape(4, 6, 2)
    decoded = decode(raw(packed, encoding, padding), make_camera(6, 4), 1)
    expected = yuv_to_rgb(y, np.repeat(u, 2, axis=1), np.repeat(v, 2, axis=1))
    np.testing.assert_allclose(decoded, expected, atol=2.0)


@pytest.mark.parametrize('reduction', [2, 4, 8])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'bgra8', 'mono8', 'mono16'])
def test_raw_reduction_is_the_mean_of_blocks_from_the_top_left(encoding, reduction):
    picture = np.random.default_rng(2).integers(0, 256, (43, 61, 3), dtype=np.uint8)
    sent = {
        'rgb8': picture,
        'bgr8': picture[..., ::-1],
        'bgra8': picture[..., [2, 1, 0, 0]],
        'mono8': picture[..., 0],
        'mono16': picture[..., 0].astype('<u2') * 256 + 99,
    }[encoding]
    if encoding.startswith('mono'):
        picture = np.repeat(picture[..., :1], 3, axis=-1)
    h, w = 43 // reduction, 61 // reduction
    blocks = picture[: h * reduction, : w * reduction].reshape(h, reduction, w, reduction, 3)
    decoded = decode(raw(sent, encoding, padding=3), make_camera(61, 43), reduction)
    assert decoded.shape == (h, w, 3)
    np.testing.assert_allclose(decoded, blocks.mean(axis=(1, 3)), atol=0.51)


def test_bayer_reduction_keeps_colours():
    mosaic = np.tile(np.array([[200, 120], [120, 40]], np.uint8), (6, 8))
    decoded = decode(raw(mosaic, 'bayer_rggb8'), make_camera(16, 12), 4)
    np.testing.assert_array_equal(decoded, np.full((3, 4, 3), (200, 120, 40)))


def test_undamaged_rgb_is_not_copied():
    image = raw(PIXELS, 'rgb8')
    assert np.shares_memory(decode(image, make_camera(4, 3), 1), image.data)


# What can be wrong with raw images.


@pytest.mark.parametrize('encoding', ['', 'rgb16', 'RGB8', '32FC1', 'bayer_rggb16', 'nv21'])
def test_unknown_encodings(encoding):
    image = raw(PIXELS, encoding)
    assert_refused(image, make_camera(4, 3), CameraState.WRONG_ENCODING, f"'{encoding}'", 'rgb8')


def test_sizes_that_contradict_the_calibration_or_themselves():
    camera, state = make_camera(4, 3), CameraState.WRONG_SIZE
    assert_refused(raw(PIXELS, 'rgb8'), make_camera(5, 3), state, '4x3', '5x3')
    assert_refused(raw(PIXELS, 'rgb8'), make_camera(4, 2), state, '4x3', '4x2')
    assert_refused(raw(PIXELS, 'rgb8', step=11), camera, state, 'step 11', '12 bytes')
    assert_refused(raw(PIXELS, 'rgb8', step=13), camera, state, '36 bytes', '39')
    whole = raw(PIXELS, 'rgb8')
    cut = CameraImage(whole.data[:-1], 'rgb8', 4, 3, 12, False)
    assert_refused(cut, camera, state, '35 bytes')
    assert_refused(CameraImage(whole.data[:0], 'rgb8', 4, 3, 12, False), camera, state, '0 bytes')
    grey = raw(PIXELS[..., 0], 'mono8')
    as_colour = CameraImage(grey.data, 'rgb8', 4, 3, 4, False)
    assert_refused(as_colour, camera, state, 'step 4', "'rgb8'")


def test_odd_widths_are_impossible_in_yuv422():
    packed = np.zeros((3, 5, 2), np.uint8)
    assert_refused(raw(packed, 'yuv422'), make_camera(5, 3), CameraState.WRONG_SIZE, 'odd')


# Compressed images.


@pytest.mark.parametrize('image_format', ['jpeg', 'jpg', 'rgb8; jpeg compressed bgr8', 'JPEG', ''])
def test_jpeg_gives_true_colours(image_format):
    picture = smooth_image(40, 56)
    image = compressed(encode(picture, '.jpg', cv2.IMWRITE_JPEG_QUALITY, 98), image_format)
    decoded = decode(image, make_camera(56, 40), 1)
    assert np.abs(decoded.astype(int) - picture).mean() < 2.0


@pytest.mark.parametrize('image_format', ['png', 'bgr8; png compressed bgr8'])
def test_png_is_exact(image_format):
    image = compressed(encode(smooth_image(40, 56), '.png'), image_format)
    np.testing.assert_array_equal(decode(image, make_camera(56, 40), 1), smooth_image(40, 56))


def test_grey_jpeg_becomes_rgb():
    grey = smooth_image(40, 56)[..., 0]
    decoded = decode(compressed(cv2.imencode('.jpg', grey)[1]), make_camera(56, 40), 1)
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])
    assert np.abs(decoded[..., 1].astype(int) - grey).mean() < 3.0


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
@pytest.mark.parametrize('reduction', [2, 4, 8])
def test_compressed_reduction_is_the_mean_of_blocks_from_the_top_left(extension, reduction):
    picture = smooth_image(91, 123)
    data = encode(picture, extension, cv2.IMWRITE_JPEG_QUALITY, 98)
    decoded = decode(compressed(data), make_camera(123, 91), reduction).astype(np.float64)
    h, w = 91 // reduction, 123 // reduction
    blocks = picture[: h * reduction, : w * reduction].reshape(h, reduction, w, reduction, 3)
    up = extension == '.jpg'
    assert decoded.shape == (h + (up and 91 % reduction > 0), w + (up and 123 % reduction > 0), 3)
    assert np.abs(decoded[:h, :w] - blocks.mean(axis=(1, 3))).mean() < (1.5 if up else 0.51)


def with_exif_orientation(jpeg, orientation):
    tiff = b'II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00'
    exif = b'Exif\x00\x00' + tiff + bytes([orientation, 0, 0, 0]) + b'\x00' * 4
    return jpeg[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + jpeg[2:]


@pytest.mark.parametrize('reduction', [1, 2])
def test_pixels_are_never_turned_by_exif(reduction):
    jpeg = encode(smooth_image(40, 56), '.jpg')
    turned = with_exif_orientation(jpeg, 6)
    as_viewers_show_it = np.asarray(cv2.imdecode(np.frombuffer(turned, np.uint8), 1))
    assert as_viewers_show_it.shape == (56, 40, 3)
    camera = make_camera(56, 40)
    np.testing.assert_array_equal(
        decode(compressed(turned), camera, reduction), decode(compressed(jpeg), camera, reduction)
    )


@pytest.mark.parametrize(
    'image_format', ['h264', 'tiff', '16UC1; compressedDepth png', 'bayer_rggb8; jpeg compressed ']
)
def test_unknown_formats(image_format):
    image = compressed(encode(PIXELS, '.png'), image_format)
    assert_refused(image, make_camera(4, 3), CameraState.WRONG_ENCODING, image_format, 'jpeg')


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_compressed_image_of_another_size(extension):
    image = compressed(encode(smooth_image(40, 56), extension))
    for size in ((55, 40), (56, 41), (40, 56)):
        for reduction in (1, 8):  # 55 and 56 are both 7 after reduction
            assert_refused(
                image, make_camera(*size), CameraState.WRONG_SIZE, '56x40', reduction=reduction
            )


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.0, 0.001, 0.05, 0.5, 0.9, 0.999])
def test_truncated_data(extension, share):
    data = encode(smooth_image(200, 300), extension)
    image = compressed(data[: int(share * len(data))])
    assert_refused(image, make_camera(300, 200), CameraState.DECODE_FAILED, 'bytes')


def test_truncated_jpeg_with_a_whole_thumbnail():
    thumbnail = encode(smooth_image(40, 56), '.jpg')
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    jpeg = encode(smooth_image(200, 300), '.jpg')
    data = jpeg[:2] + segment + jpeg[2:]
    assert read_header(data) == ImageHeader('jpeg', 300, 200, True)
    decode(compressed(data), make_camera(300, 200), 1)
    cut = compressed(data[: len(data) * 3 // 4])
    assert_refused(cut, make_camera(300, 200), CameraState.DECODE_FAILED, 'cut off')


@pytest.mark.parametrize('seed', range(20))
def test_garbage(seed):
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, 3000, dtype=np.uint8).tobytes()
    camera = make_camera(300, 200)
    assert_refused(compressed(noise), camera, CameraState.DECODE_FAILED, '3000 bytes')
    for start in (
        b'\xff\xd8\xff',
        b'\x89PNG\r\n\x1a\n',
        encode(smooth_image(200, 300), '.png')[:33],
    ):
        with pytest.raises(ImageError) as error:
            decode(compressed(start + noise), camera, 1)
        assert error.value.state in (CameraState.DECODE_FAILED, CameraState.WRONG_SIZE)


def test_corrupt_png():
    data = bytearray(encode(smooth_image(200, 300), '.png'))
    data[len(data) // 2] ^= 0xFF
    assert_refused(compressed(data), make_camera(300, 200), CameraState.DECODE_FAILED)


def test_padding_after_the_jpeg_is_allowed():
    data = encode(smooth_image(40, 56), '.jpg') + bytes(5000)
    assert decode(compressed(data), make_camera(56, 40), 1).shape == (40, 56, 3)


def test_progressive_jpeg():
    picture = smooth_image(40, 56)
    data = encode(picture, '.jpg', cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert read_header(data) == ImageHeader('jpeg', 56, 40, True)
    decoded = decode(compressed(data), make_camera(56, 40), 1)
    assert np.abs(decoded.astype(int) - picture).mean() < 3.0


def test_camera_states_equal_the_message(request):
    text = (request.config.rootpath / 'msg' / 'CameraStatus.msg').read_text()
    constants = dict(
        line.split('#')[0].split()[1].split('=')
        for line in text.splitlines()
        if '=' in line and line.startswith('uint8 ')
    )
    assert {name: int(value) for name, value in constants.items()} == {
        state.name: int(state) for state in CameraState
    }
