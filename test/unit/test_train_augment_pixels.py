"""Colours against the definitions in float64, corruptions, and what must not change."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from bev_trainer.augment.colors import ColorAugmentation, ColorChange, ColorRange, draw_colors
from bev_trainer.augment.corruptions import (
    Corruption,
    CorruptionAugmentation,
    Kind,
    blanked,
    draw_corruption,
)
from support.level_camera import level_camera

from bev_perception.evaluation.robustness.images.corruption import CORRUPTIONS

KINDS: tuple[Kind, ...] = ('motion_blur', 'noise', 'low_light', 'lens_dirt', 'jpeg', 'fog')
RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (3, 24, 40, 3), np.uint8)


def drawn(clip: ColorRange | None = None, camera: ColorRange | None = None, seed: int = 0):
    augmentation = ColorAugmentation(clip=clip or ColorRange(), camera=camera or ColorRange())
    return draw_colors(augmentation, len(IMAGES), np.random.default_rng(seed))


def test_without_changes_images_are_not_even_copied() -> None:
    for seed in range(10):
        assert drawn(seed=seed)(IMAGES) is IMAGES


def test_brightness_contrast_and_gamma_by_definition() -> None:
    for seed in range(20):
        change = drawn(ColorRange(brightness=0.3, contrast=0.5, gamma=0.6), seed=seed)
        assert (change.table == change.table[0]).all()
        assert np.array_equal(change(IMAGES), change.table[0][IMAGES])
        assert (np.diff(change.table[0].astype(int)) >= 0).all()
    shifted = drawn(ColorRange(brightness=0.3), seed=1).table[0].astype(int)
    inside = (shifted > 0) & (shifted < 255)
    assert len(set((shifted - np.arange(256))[inside].tolist())) == 1
    assert abs(shifted[128] - 128) <= 0.3 * 255 + 1
    steep = drawn(ColorRange(contrast=0.5), seed=2).table[0].astype(float)
    slope = (steep[140] - steep[116]) / 24
    assert 1 / 1.5 - 0.05 < slope < 1.5 + 0.05 and abs(steep[127] - 127.5) < 1.5
    bent = drawn(ColorRange(gamma=0.6), seed=3).table[0].astype(float)
    exponent = np.log(bent[64] / 255) / np.log(64 / 255)
    assert 1 / 1.6 - 0.02 < exponent < 1.6 + 0.02
    np.testing.assert_allclose(bent, 255 * (np.arange(256) / 255) ** exponent, atol=2.0)


def test_range_is_reached_both_ways() -> None:
    tables = np.stack([drawn(ColorRange(brightness=0.2), seed=s).table[0] for s in range(300)])
    off = tables[:, 128].astype(int) - 128
    assert off.min() == pytest.approx(-51, abs=3) and off.max() == pytest.approx(51, abs=3)
    factors = [drawn(ColorRange(saturation=1.0), seed=s).mixing[0] for s in range(300)]
    red = np.array([f @ [1.0, 0.0, 0.0] for f in factors])
    # Distance from grey: half as much up to twice as much.
    spread = np.ptp(red, axis=1)
    assert spread.min() == pytest.approx(0.5, abs=0.02) and spread.max() == pytest.approx(
        2, abs=0.04
    )


def test_grey_and_luminance_survive_saturation_and_hue() -> None:
    weights = np.array([0.299, 0.587, 0.114])
    for seed in range(10):
        change = drawn(ColorRange(saturation=0.5, hue_deg=40.0), seed=seed)
        grey = np.tile(np.arange(0, 240, 10, dtype=np.uint8)[None, :, None, None], (3, 1, 1, 1))
        grey = np.repeat(np.repeat(grey, 3, axis=3), 2, axis=2)
        np.testing.assert_allclose(change(grey).astype(int), grey, atol=1)
        # Colours near grey, so that nothing is cut off.
        dull = RNG.integers(110, 146, IMAGES.shape).astype(np.uint8)
        np.testing.assert_allclose(change(dull) @ weights, dull @ weights, atol=1.5)


def test_hue_turns_colours_the_way_it_says() -> None:
    angle = np.deg2rad(30.0)
    turns = []
    for seed in range(200):
        mixing = drawn(ColorRange(hue_deg=30.0), seed=seed).mixing[0].astype(float)
        changed = np.clip(0.5 + 0.2 * (mixing @ [1.0, 0.0, 0.0] - 0.5), 0, 1)
        hue = colorsys.rgb_to_hsv(*changed)[0]
        turns.append(2 * np.pi * ((hue + 0.5) % 1.0 - 0.5))
        np.testing.assert_allclose(mixing @ [1.0, 1.0, 1.0], 1.0, atol=1e-6)
    # Not the angle of HSV exactly, but about as far and both ways.
    assert 0.5 * angle < max(turns) < 1.7 * angle and -1.7 * angle < min(turns) < -0.5 * angle


def test_each_camera_changes_by_itself_on_top_of_the_clip() -> None:
    both = drawn(ColorRange(brightness=0.2), ColorRange(brightness=0.05), seed=4).table
    clip = drawn(ColorRange(brightness=0.2), seed=4).table
    off = both[:, 128].astype(int) - clip[:, 128].astype(int)
    assert (np.abs(off) <= 14).all() and len(set(off.tolist())) == 3


def test_a_camera_that_does_not_change_keeps_its_image() -> None:
    table = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    table[1] = 255 - table[1]
    mixing = np.tile(np.eye(3, dtype=np.float32), (3, 1, 1))
    mixing[2] = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    out = ColorChange(table, mixing)(IMAGES)
    assert np.array_equal(out[0], IMAGES[0])
    assert np.array_equal(out[1], 255 - IMAGES[1])
    assert np.array_equal(out[2], IMAGES[2][..., [1, 2, 0]])


def test_corruption_of_the_cameras_that_are_damaged() -> None:
    cameras = [
        level_camera(40, 24, 30.0, yaw_deg=60.0 * n, position_m=(0, 0, 1.5)) for n in range(3)
    ]
    assert set(KINDS) == set(CORRUPTIONS)
    for kind in KINDS:
        damage = Corruption(kind, 3, np.array([True, False, True]), token=17)
        before = IMAGES.copy()
        out = damage(IMAGES, [cameras[0], cameras[1], None], 1_000)
        assert np.array_equal(IMAGES, before)
        assert not np.array_equal(out[0], IMAGES[0]), kind
        assert np.array_equal(out[1:], IMAGES[1:]), kind
        again = Corruption(kind, 3, damage.damaged, token=17)(IMAGES, [*cameras[:2], None], 1_000)
        assert np.array_equal(out, again), kind
    noisy = [
        Corruption('noise', 2, np.array([True, False, False]), token)(IMAGES, cameras, stamp)[0]
        for token, stamp in ((1, 5), (2, 5), (1, 6))
    ]
    assert not np.array_equal(noisy[0], noisy[1]) and not np.array_equal(noisy[0], noisy[2])
    nobody = Corruption('fog', 1, np.array([False, False, True]), 3)
    assert nobody(IMAGES, [*cameras[:2], None], 0) is IMAGES


def test_dirt_stays_for_a_clip_and_differs_between_clips() -> None:
    camera = level_camera(160, 96, 100.0, position_m=(0, 0, 1.5))
    grey = np.full((1, 96, 160, 3), 128, np.uint8)

    def dirt(token: int, stamp_ns: int) -> np.ndarray:
        return Corruption('lens_dirt', 2, np.array([True]), token)(grey, [camera], stamp_ns)

    assert np.array_equal(dirt(1, 5), dirt(1, 6))
    assert not np.array_equal(dirt(1, 5), dirt(2, 5))


def test_draws_of_corruptions() -> None:
    section = CorruptionAugmentation(
        share=0.4, camera_share=0.3, kinds=('noise', 'jpeg'), strengths=(2, 3)
    )
    found = [draw_corruption(section, 6, np.random.default_rng(seed)) for seed in range(600)]
    made = [item for item in found if item is not None]
    assert abs(len(made) / 600 - 0.4) < 0.07
    assert {(item.kind, item.strength) for item in made} == {
        ('noise', 2), ('noise', 3), ('jpeg', 2), ('jpeg', 3),
    }  # fmt: skip
    assert all(item.damaged.any() for item in made)
    assert 0.3 < np.mean([item.damaged for item in made]) < 0.5
    assert draw_corruption(CorruptionAugmentation(), 6, np.random.default_rng(0)) is None


def test_blank_where_nothing_is_shown() -> None:
    shown = [np.ones((24, 40), bool) for _ in range(3)]
    assert blanked(IMAGES, shown) is IMAGES
    shown[1][3:5] = False
    out = blanked(IMAGES, [shown[0], shown[1], None])
    assert np.array_equal(out[0], IMAGES[0]) and not out[2].any() and not out[1, 3:5].any()
    assert np.array_equal(out[1, 5:], IMAGES[1, 5:])
