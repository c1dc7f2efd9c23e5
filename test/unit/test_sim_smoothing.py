"""Edges lose their steps, flat parts stay as they are; lamps shine on their surroundings."""

from __future__ import annotations

import numpy as np
from bev_trainer.render.smoothing import smoothed, with_glow
from numpy.typing import NDArray


def slanted(rise: float, dark: int = 40, bright: int = 220) -> NDArray[np.uint8]:
    """Returns a bright half plane above a line, drawn without any smoothing."""
    columns, rows = np.meshgrid(np.arange(96), np.arange(64))
    inside = rows < 32.3 + rise * (columns - 48)
    return np.where(inside[..., None], bright, dark).astype(np.uint8).repeat(3, axis=2)


def exact(rise: float) -> NDArray[np.float64]:
    """Returns the same with the exact share of each pixel, from 16 x 16 samples."""
    fine = (np.arange(16) + 0.5) / 16 - 0.5
    x = np.arange(96)[None, :, None, None] + fine[None, None, None, :]
    y = np.arange(64)[:, None, None, None] + fine[None, None, :, None]
    share = (y < 32.3 + rise * (x - 48)).mean(axis=(2, 3))
    return 40.0 + 180.0 * share


def test_flat_pictures_and_straight_edges_stay() -> None:
    flat = np.full((40, 50, 3), 90, np.uint8)
    assert np.array_equal(smoothed(flat), flat)
    for picture in (slanted(0.0), slanted(0.0).transpose(1, 0, 2).copy()):
        changed = np.abs(smoothed(picture).astype(int) - picture)
        assert changed.max() <= 0.06 * 180  # the touch that slanted edges need


def test_steps_of_slanted_edges_become_ramps() -> None:
    for rise in (0.12, 0.2, -0.3):
        picture = slanted(rise)
        before = np.abs(picture[..., 0] - exact(rise)).mean()
        after = np.abs(smoothed(picture)[..., 0] - exact(rise)).mean()
        assert after < 0.75 * before
        turned = picture.transpose(1, 0, 2).copy()
        assert np.array_equal(smoothed(turned), smoothed(picture).transpose(1, 0, 2))


def test_nothing_happens_away_from_edges() -> None:
    picture = slanted(0.25)
    changed = (smoothed(picture) != picture).any(axis=2)
    columns, rows = np.meshgrid(np.arange(96), np.arange(64))
    distance = np.abs(rows - 32.3 - 0.25 * (columns - 48))
    assert changed[distance < 1].any()
    assert not changed[distance > 3].any()


def test_the_picture_given_is_left_alone() -> None:
    picture = slanted(0.2)
    copy = picture.copy()
    smoothed(picture)
    with_glow(picture, 1.0)
    assert np.array_equal(picture, copy)


def test_lamps_shine_less_and_less_far_away() -> None:
    picture = np.full((128, 256, 3), 30, np.uint8)
    picture[60:66, 120:130] = 255
    glowing = with_glow(picture, 1.0)[..., 1].astype(int)
    along = glowing[63, 130:180:10]
    assert (np.diff(along) <= 0).all()
    assert along[0] > 50 and along[-1] <= 32
    assert np.abs(glowing[63, 119:100:-4] - glowing[63, 130:149:4]).max() <= 4
    weaker = with_glow(picture, 0.25)[..., 1]
    assert 30 < weaker[63, 134] < glowing[63, 134]


def test_what_is_not_bright_does_not_shine() -> None:
    picture = slanted(0.3, bright=205)
    assert np.array_equal(with_glow(picture, 1.0), picture)
