"""Corrupted images: what each does, by how much, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from support.bags import assert_one_line
from support.frame_series import CAMERAS, assert_untouched, sample_of, series, without
from support.level_camera import level_camera

from bev_perception.errors import ConfigError
from bev_perception.evaluation.robustness.contact_sheet import contact_sheet
from bev_perception.evaluation.robustness.images.blur import motion_blur
from bev_perception.evaluation.robustness.images.compression import jpeg
from bev_perception.evaluation.robustness.images.corruption import (
    CORRUPTIONS,
    ImagesCorrupted,
    raw_image,
)
from bev_perception.evaluation.robustness.images.fog import background_distance_m, fog
from bev_perception.evaluation.robustness.images.sensor import exposed, low_light, noise
from bev_perception.evaluation.robustness.images.soiling import lens_dirt, soiling_masks
from bev_perception.evaluation.robustness.images.view import Image, View
from bev_perception.evaluation.robustness.perturbation import STRENGTHS
from bev_perception.evaluation.robustness.seeds import generator
from bev_perception.inputs.image import CameraImage, decode

CAMERA = level_camera(320, 160, 200.0, position_m=(1.0, 0.0, 1.5))
VIEW = View(CAMERA, 1_000)
KINDS = tuple(CORRUPTIONS)


def flat(value: int, width: int = 320, height: int = 160) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def street() -> Image:
    """Returns a picture with large and small shapes and all brightnesses."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(20, 236, (10, 20, 3), np.uint8)
    fine = rng.integers(0, 40, (80, 160, 3), np.uint8)
    large, small = (
        cv2.resize(a, (320, 160), interpolation=cv2.INTER_CUBIC) for a in (coarse, fine)
    )
    return np.clip(large.astype(int) + small - 20, 0, 255).astype(np.uint8)


def linear(value: float) -> float:
    """Returns light of an sRGB byte, as IEC 61966-2-1 has it."""
    share = value / 255.0
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4


def byte(light: np.ndarray | float) -> np.ndarray:
    light = np.clip(light, 0.0, 1.0)
    bent = 1.055 * np.maximum(light, 1e-12) ** (1 / 2.4) - 0.055
    return 255.0 * np.where(light <= 0.0031308, 12.92 * light, bent)


# In frame sets


@pytest.mark.parametrize('kind', KINDS)
def test_only_images_change_and_they_are_decoded_whole(kind: str) -> None:
    clean = list(series(2))
    clean[1] = without(clean[1], 'left')
    made = list(ImagesCorrupted(kind, 2).apply(iter(clean)))
    for old, new in zip(clean, made, strict=True):
        assert_untouched(old, new, CAMERAS)
        for before, after in zip(old.samples, new.samples, strict=True):
            if before.image is None:
                assert after is before
                continue
            assert replace(after, image=before.image) == before
            assert after.camera is before.camera
            assert after.image is not None and after.camera is not None
            assert (after.image.encoding, after.image.compressed) == ('rgb8', False)
            assert (after.image.width, after.image.height, after.image.step) == (64, 48, 192)
            assert before.camera is not None
            rgb = decode(after.image, after.camera, 1)
            assert rgb.shape == (48, 64, 3)
            view = View(before.camera, before.stamp_ns or 0)
            original = decode(before.image, before.camera, 1)
            assert np.array_equal(rgb, CORRUPTIONS[kind](original, 2, view))


def test_one_camera_alone_and_images_that_cannot_be_decoded() -> None:
    (clean,) = series(1)
    (made,) = ImagesCorrupted('jpeg', 3, ('rear',)).apply(iter([clean]))
    assert_untouched(clean, made, ('rear',))
    assert sample_of(made, 'rear').image is not sample_of(clean, 'rear').image
    broken = CameraImage(np.zeros(5, np.uint8), 'jpeg', 0, 0, 0, compressed=True)
    samples = tuple(replace(s, image=broken) for s in clean.samples)
    (made,) = ImagesCorrupted('fog', 1).apply(iter([replace(clean, samples=samples)]))
    assert made.samples == samples


def test_compressed_images_are_decoded_in_the_right_colours() -> None:
    (clean,) = series(1)
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[..., 0] = 200
    _, png = cv2.imencode('.png', rgb[..., ::-1])
    image = CameraImage(np.asarray(png, np.uint8).ravel(), 'png', 0, 0, 0, compressed=True)
    samples = tuple(replace(s, image=image) for s in clean.samples)
    (made,) = ImagesCorrupted('motion_blur', 1).apply(iter([replace(clean, samples=samples)]))
    for sample in made.samples:
        assert sample.image is not None and sample.camera is not None
        assert np.array_equal(decode(sample.image, sample.camera, 1), rgb)


def test_unknown_kinds_and_strengths_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        ImagesCorrupted('snow', 1)
    assert_one_line(caught.value, 'snow', *KINDS)
    with pytest.raises(ConfigError) as caught:
        ImagesCorrupted('fog', 4)
    assert_one_line(caught.value, '4', '1, 2, 3')
    with pytest.raises(ConfigError) as caught:
        next(ImagesCorrupted('fog', 1, ('back',)).apply(series(1)))
    assert_one_line(caught.value, 'camera back fog 1', 'front, left, rear')


# All kinds


@pytest.mark.parametrize('kind', KINDS)
def test_stronger_is_farther_from_the_clean_image(kind: str) -> None:
    rgb = street()
    kept = rgb.copy()
    away = []
    for strength in STRENGTHS:
        changed = CORRUPTIONS[kind](rgb, strength, VIEW)
        assert changed.shape == rgb.shape and changed.dtype == np.uint8
        assert changed.flags['C_CONTIGUOUS']
        away.append(float(np.abs(changed.astype(int) - rgb).mean()))
    assert 0.5 < away[0] < 0.85 * away[1] < 0.85**2 * away[2]
    assert np.array_equal(rgb, kept)


@pytest.mark.parametrize('kind', KINDS)
def test_the_same_view_gives_the_same_image(kind: str) -> None:
    rgb, corrupt = street(), CORRUPTIONS[kind]
    first = corrupt(rgb, 2, VIEW)
    corrupt(rgb, 3, View(CAMERA, 2_000))
    assert np.array_equal(first, corrupt(rgb, 2, View(replace(CAMERA), 1_000)))


@pytest.mark.parametrize('kind', ['motion_blur', 'noise', 'low_light'])
def test_stamp_and_camera_decide_what_is_random(kind: str) -> None:
    rgb, corrupt = street(), CORRUPTIONS[kind]
    results = [
        corrupt(rgb, 2, View(camera, stamp_ns))
        for camera in (CAMERA, replace(CAMERA, name='other'))
        for stamp_ns in (1, 2, 3, 4)
    ]
    different = {result.tobytes() for result in results}
    assert len(different) == 8


# Motion blur


@pytest.mark.parametrize('strength', STRENGTHS)
def test_blur_keeps_brightness_and_flat_images(strength: int) -> None:
    rgb = street()
    blurred = motion_blur(rgb, strength, VIEW)
    assert np.abs(blurred.mean(axis=(0, 1)) - rgb.mean(axis=(0, 1))).max() < 0.5
    assert np.array_equal(motion_blur(flat(77), strength, VIEW), flat(77))


@pytest.mark.parametrize(('strength', 'length_px'), [(1, 5.0), (2, 12.0), (3, 25.0)])
def test_a_point_becomes_a_nearly_level_line_of_the_right_length(
    strength: int, length_px: float
) -> None:
    point = np.zeros((201, 1000, 3), np.uint8)
    # Ten points on top of each other, so that rounding loses little of the line.
    point[96:106, 500] = 250
    turned = []
    for stamp_ns in range(12):
        blurred = motion_blur(point, strength, View(CAMERA, stamp_ns))[..., 1].astype(float)
        rows, columns = np.nonzero(blurred > 0.0)
        across = np.arange(1000) @ blurred.sum(axis=0) / blurred.sum()
        deviation = np.sqrt(
            ((np.arange(1000) - across) ** 2) @ blurred.sum(axis=0) / blurred.sum()
        )
        # A line of length L has a deviation of L / sqrt(12); each pixel adds its own extent.
        assert np.sqrt(12.0) * deviation == pytest.approx(length_px, rel=0.1)
        assert across == pytest.approx(500.0, abs=0.3)
        turned.append(np.polyfit(columns, rows, 1)[0] if len(set(columns)) > 3 else 0.0)
    assert max(np.abs(turned)) < np.tan(np.radians(25.0))


# Sensor


@pytest.mark.parametrize(('strength', 'white_e'), [(1, 400.0), (2, 100.0), (3, 30.0)])
@pytest.mark.parametrize('value', [40, 128, 200])
def test_noise_has_the_variance_of_its_electrons(
    strength: int, white_e: float, value: int
) -> None:
    found = noise(flat(value, 400, 300), strength, VIEW)[..., 0].astype(float)
    light = linear(value)
    deviation = np.sqrt(light * white_e + 2.0**2) / white_e
    expected = byte(light + deviation * np.random.default_rng(0).standard_normal(400_000))
    assert found.mean() == pytest.approx(expected.mean(), abs=0.6)
    assert found.std() == pytest.approx(expected.std(), rel=0.03)


def test_noise_is_independent_from_pixel_to_pixel_channel_to_channel_and_in_time() -> None:
    def residual(stamp_ns: int) -> np.ndarray:
        found = noise(flat(128, 400, 300), 2, View(CAMERA, stamp_ns)).astype(float)
        return (found - found.mean()) / found.std()

    first, second = residual(1), residual(2)
    pairs = {
        'right': (first[:, 1:], first[:, :-1]),
        'below': (first[1:], first[:-1]),
        'two below': (first[2:], first[:-2]),
        'channel': (first[..., 0], first[..., 1]),
        'time': (first, second),
    }
    for name, (a, b) in pairs.items():
        assert abs(float((a * b).mean())) < 0.012, name


def test_much_light_leaves_the_image_as_it_is() -> None:
    values = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 256, 3)
    assert np.array_equal(exposed(values, 1.0, 1e9, generator('any')), values)


@pytest.mark.parametrize(('strength', 'stops'), [(1, 1.5), (2, 2.5), (3, 3.5)])
@pytest.mark.parametrize('value', [90, 160, 255])
def test_low_light_halves_the_light_per_stop(strength: int, stops: float, value: int) -> None:
    found = low_light(flat(value), strength, VIEW).astype(float)
    light = linear(value) / 2.0**stops
    assert found.mean() == pytest.approx(float(byte(light)), abs=1.0)
    deviation = np.sqrt(light * 6000.0 + 4.0) / 6000.0
    slope = (float(byte(light + deviation)) - float(byte(light - deviation))) / 2.0
    assert found.std() == pytest.approx(slope, abs=0.35)


# Compression


def test_jpeg_is_that_of_the_codec_and_keeps_colours_apart() -> None:
    rgb = flat(0)
    rgb[..., 0], rgb[..., 2] = 220, 30
    for strength in STRENGTHS:
        assert np.abs(jpeg(rgb, strength, VIEW).astype(int) - rgb).max() < 25
    _, data = cv2.imencode('.jpg', street()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 15])
    expected = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
    assert np.array_equal(jpeg(street(), 2, VIEW), expected)


# Fog


@pytest.mark.parametrize(('strength', 'visibility_m'), [(1, 200.0), (2, 100.0), (3, 50.0)])
def test_fog_follows_the_distance_of_the_ground(strength: int, visibility_m: float) -> None:
    camera = level_camera(1280, 640, 800.0, position_m=(1.0, 0.0, 1.5))
    rgb = flat(40, 1280, 640)
    rgb[:100] = 250
    found = fog(rgb, strength, View(camera, 0))
    airlight = 0.88 * 250
    for row, column in ((600, 640), (450, 200), (380, 900), (340, 640), (200, 1200)):
        right, down = (column - 639.5) / 800.0, (row - 319.5) / 800.0
        length = np.sqrt(right**2 + down**2 + 1.0)
        away_m = 40.0 * length / np.sqrt(right**2 + 1.0)
        if down > 0.0:
            away_m = min(away_m, 1.5 * length / down)
        through = np.exp(-2.996 * away_m / visibility_m)
        expected = 40.0 * through + airlight * (1.0 - through)
        assert np.abs(found[row, column] - expected).max() < 2.5, (row, column)


def test_distances_of_an_all_around_lens() -> None:
    """Straight up there is no end; the ground is 2 m below, the background 40 m around."""
    wide = level_camera(400, 400, 120.0, position_m=(0.0, 0.0, 2.0), wide=True)
    found = background_distance_m(wide)
    assert found.shape == (50, 50)
    for row, column in ((25, 25), (3, 25), (12, 20), (30, 40), (48, 25), (25, 2), (40, 10)):
        right, down = (8 * i + 3.5 - 199.5 for i in (column, row))
        angle = np.hypot(right, down) / 120.0
        up = -np.sin(angle) * down / np.hypot(right, down)
        expected = 40.0 / np.sqrt(1.0 - up**2)
        if up < 0.0:
            expected = min(expected, 2.0 / -up)
        assert found[row, column] == pytest.approx(expected, rel=1e-6)


def test_fog_needs_no_ground_and_bears_all_around_lenses() -> None:
    wide = level_camera(200, 200, 60.0, position_m=(0.0, 0.0, 0.0), wide=True)
    found = fog(flat(60, 200, 200), 3, View(wide, 0))
    assert found.min() >= 50 and found.max() <= 60


# Dirt on the lens


@pytest.mark.parametrize(('strength', 'covered'), [(1, 0.1), (2, 0.25), (3, 0.5)])
def test_dirt_covers_its_share_and_stays_where_it_is(strength: int, covered: float) -> None:
    rgb = street()
    first = lens_dirt(rgb, strength, VIEW)
    assert np.array_equal(first, lens_dirt(rgb, strength, View(CAMERA, 99)))
    other = lens_dirt(rgb, strength, View(replace(CAMERA, name='other'), 1_000))
    assert not np.array_equal(first, other)
    dirt, drops = soiling_masks(CAMERA.name, 320, 160, covered)
    assert float(dirt.mean()) == pytest.approx(covered / 2, abs=0.02)
    assert float(drops.mean()) == pytest.approx(covered / 2, abs=0.04)
    assert min(dirt.min(), drops.min()) >= 0.0 and max(dirt.max(), drops.max()) <= 1.0
    untouched = np.all(first == rgb, axis=-1).mean()
    assert 1.0 - 2.2 * covered - 0.1 < untouched < 1.0 - 0.5 * covered


def test_more_dirt_holds_the_old_dirt() -> None:
    pairs = [soiling_masks('any', 640, 320, covered) for covered in (0.1, 0.25, 0.5)]
    for weaker, stronger in pairwise(pairs):
        for small, large in zip(weaker, stronger, strict=True):
            assert np.all(large >= small - 1e-6)


def test_dirt_is_dark_and_drops_only_lose_detail() -> None:
    dirt, drops = soiling_masks(CAMERA.name, 320, 160, 0.5)
    large = [cv2.resize(mask, (320, 160)) for mask in (dirt, drops)]
    rgb = street()
    changed = lens_dirt(rgb, 3, VIEW).astype(float)
    behind_dirt, behind_drops = large[0] > 0.99, (large[1] > 0.99) & (large[0] < 0.01)
    shade = 0.9 * rgb.mean() * np.array([0.42, 0.36, 0.29]) + 0.1 * rgb[behind_dirt].mean()
    assert np.abs(changed[behind_dirt].mean(axis=0) - shade).max() < 4.0
    assert abs(changed[behind_drops].mean() - rgb[behind_drops].mean()) < 6.0
    assert changed[behind_drops].std() < 0.85 * rgb[behind_drops].std()


# The picture


def test_contact_sheet_shows_every_corruption_in_every_strength() -> None:
    sheet = contact_sheet(street(), VIEW, 160)
    assert sheet.shape == (6 * 86 + 6, 4 * 166 + 6, 3)
    tiles = [
        sheet[6 + 86 * row + 25 : 86 + 86 * row, 6 + 166 * column : 166 + 166 * column]
        for row in range(6)
        for column in range(4)
    ]
    assert len({tile.tobytes() for tile in tiles}) == 19  # the clean one is in every row


def test_raw_image_is_the_image() -> None:
    rgb = street()
    assert np.array_equal(decode(raw_image(rgb), CAMERA, 1), rgb)
