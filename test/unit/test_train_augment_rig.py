"""Turned input cameras: where the picture of a point comes to lie; no change without a turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bev_trainer.augment.rig import (
    CalibrationNoise,
    Mount,
    RigAugmentation,
    RigPool,
    draw_mount,
    misplaced,
    mounted,
)
from pydantic import ValidationError
from support.sample_drive.rig import make_camera

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.model_input import ImageRemap, input_camera
from bev_perception.geometry.pose import transform
from bev_perception.model.config_sections import InputSection

WIDTH, HEIGHT, HORIZON = 176, 64, 0.4
INPUT = InputSection(
    width=WIDTH, height=HEIGHT, mean_rgb=(0, 0, 0), std_rgb=(1, 1, 1), horizon_share=HORIZON
)
ALL = RigAugmentation(
    pitch_deg=6.0, yaw_deg=8.0, roll_deg=4.0, zoom=(0.9, 1.2), shift_share=0.05, draws=5
)


def camera(lens: str = 'plumb_bob', fov_deg: float = 80.0, yaw_deg: float = 30.0) -> Camera:
    return make_camera('cam', 640, 400, lens, fov_deg, (1.5, 0.4, 1.6), yaw_deg, 5.0)


def camera_target(source: Camera) -> Camera:
    return input_camera(source, WIDTH, HEIGHT, HORIZON)


def dots(source: Camera, points: np.ndarray) -> np.ndarray:
    """Returns float [n, H, W]: a soft bright dot where each point of the base frame is."""
    v, u = np.mgrid[: source.height, : source.width]
    uv, _ = source.project_base(points)
    away = (u - uv[:, :1, None]) ** 2 + (v - uv[:, 1:, None]) ** 2
    return np.asarray(np.exp(-away / (2 * 4.0**2)))


@pytest.mark.parametrize(('lens', 'fov_deg'), [('plumb_bob', 80.0), ('equidistant', 170.0)])
def test_points_lie_where_the_turned_camera_says(lens: str, fov_deg: float) -> None:
    rng = np.random.default_rng(0)
    source = camera(lens, fov_deg)
    checked = 0
    for _ in range(4):
        target = mounted(camera_target(source), draw_mount(ALL, rng))
        remap = ImageRemap(source, target, reduction=1)
        pixels = rng.uniform([20, 12], [WIDTH - 20, HEIGHT - 12], (6, 2))
        # At depths of any kind: the remap does not know them.
        seen = target.rays(pixels) * rng.uniform(2.0, 60.0, (6, 1))
        points = transform(target.base_T_camera, seen)
        for point, dot in zip(points, dots(source, points), strict=True):
            uv, inside = source.project_base(point)
            border = [source.width - 30, source.height - 30]
            if not inside or not ((uv > 30) & (uv < border)).all():
                continue
            image = np.repeat(np.rint(255 * dot).astype(np.uint8)[..., None], 3, axis=-1)
            bright = remap(image)[..., 0].astype(float)
            place = np.array([(bright * axis).sum() for axis in np.mgrid[:HEIGHT, :WIDTH]])
            found = (place / bright.sum())[::-1]
            wanted, _ = target.project_base(point)
            np.testing.assert_allclose(found, wanted, atol=0.35)
            checked += 1
    assert checked >= 10


def test_directions_of_the_turns_by_hand() -> None:
    target = camera_target(make_camera('cam', 640, 400, 'none', 80.0, (0.0, 0.0, 1.5), 0.0, 0.0))
    axis = target.base_T_camera[:3, 2]
    np.testing.assert_allclose(axis, [1.0, 0.0, 0.0], atol=1e-12)
    up = mounted(target, Mount(pitch_rad=0.1)).base_T_camera[:3, 2]
    np.testing.assert_allclose(up, [np.cos(0.1), 0.0, np.sin(0.1)], atol=1e-12)
    left = mounted(target, Mount(yaw_rad=0.1)).base_T_camera[:3, 2]
    np.testing.assert_allclose(left, [np.cos(0.1), np.sin(0.1), 0.0], atol=1e-12)
    # Turned clockwise, seen from behind, the axis to the right points down a little.
    right = mounted(target, Mount(roll_rad=0.1)).base_T_camera[:3, 0]
    np.testing.assert_allclose(right, [0.0, -np.cos(0.1), -np.sin(0.1)], atol=1e-12)
    for mount in (Mount(pitch_rad=0.1), Mount(yaw_rad=0.2), Mount(roll_rad=0.3)):
        np.testing.assert_allclose(mounted(target, mount).base_T_camera[:3, 3], [0.0, 0.0, 1.5])


def test_horizon_stays_and_the_crop_shifts_from_there() -> None:
    target = camera_target(camera())
    far = transform(target.base_T_camera, np.array([0.0, 0.0, 1.0])) - target.base_T_camera[:3, 3]
    far[2] = 0.0

    def row(one: Camera, yaw_rad: float = 0.0) -> float:
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        ahead = np.array([cos * far[0] - sin * far[1], sin * far[0] + cos * far[1], 0.0])
        return float(one.project(one.base_T_camera[:3, :3].T @ ahead)[0][1])

    assert row(target) == pytest.approx(HORIZON * HEIGHT - 0.5, abs=0.6)
    assert row(mounted(target, Mount(pitch_rad=0.1))) == pytest.approx(row(target))
    assert row(mounted(target, Mount(zoom=1.3))) == pytest.approx(row(target))
    turned = mounted(target, Mount(yaw_rad=0.2, shift_share=0.1))
    assert row(turned, 0.2) == pytest.approx(row(target) + 0.1 * HEIGHT)


def test_zoom_scales_about_the_principal_point() -> None:
    target = camera_target(camera())
    zoomed = mounted(target, Mount(zoom=1.25))
    assert zoomed.K[0, 0] == 1.25 * target.K[0, 0] and zoomed.K[1, 1] == 1.25 * target.K[1, 1]
    assert zoomed.K[0, 2] == target.K[0, 2]


def test_without_changes_everything_is_exactly_as_built() -> None:
    target = camera_target(camera())
    assert mounted(target, draw_mount(RigAugmentation(), np.random.default_rng(3))) == target
    assert misplaced(target, CalibrationNoise(), np.random.default_rng(3)) is target
    pool = RigPool(INPUT, RigAugmentation(), seed=1)
    (remap,) = pool.remaps([camera()], np.random.default_rng(0))
    assert remap is not None and remap.target == target
    assert pool.remaps([camera()], None)[0].target == target  # type: ignore[union-attr]


def test_pool_is_the_same_in_any_order_and_kept() -> None:
    rig = [camera(), camera('equidistant', 170.0, -60.0)]
    pool, other = RigPool(INPUT, ALL, seed=4), RigPool(INPUT, ALL, seed=4)
    draws = [pool.remaps(rig, np.random.default_rng(seed)) for seed in range(12)]
    again = [other.remaps(rig, np.random.default_rng(seed)) for seed in reversed(range(12))]
    for first, second in zip(draws, reversed(again), strict=True):
        assert [r.target for r in first if r] == [r.target for r in second if r]
    # Cameras are turned each by itself, draws differ, and tables are made once.
    targets = {remap.target.key() for draw in draws for remap in draw if remap}
    assert 4 <= len(targets) <= 2 * ALL.draws
    assert draws[0][0] is pool.remaps(rig, np.random.default_rng(0))[0]
    ratios = [draw[0].target.K[0, 0] / draw[1].target.K[0, 0] for draw in draws]  # type: ignore[union-attr]
    assert np.ptp(ratios) > 0.01
    changed = RigPool(INPUT, ALL, seed=5).remaps(rig, np.random.default_rng(0))[0]
    assert changed is not None and draws[0][0] is not None
    assert changed.target != draws[0][0].target


def test_share_of_the_clips_stays_as_built() -> None:
    pool = RigPool(INPUT, ALL.model_copy(update={'share': 0.25, 'draws': 2}), seed=4)
    built = pool.remaps([camera()], None)[0]
    seeds = 400
    same = sum(
        pool.remaps([camera()], np.random.default_rng(seed))[0] is built for seed in range(seeds)
    )
    assert 0.65 < same / seeds < 0.85


def test_pool_keeps_no_more_than_its_capacity() -> None:
    pool = RigPool(INPUT, ALL, seed=4, capacity=3)
    for seed in range(10):
        pool.remaps([camera()], np.random.default_rng(seed))
        assert len(pool._known) <= 3


def test_a_camera_turned_away_from_all_it_sees_stays() -> None:
    narrow = make_camera('tele', 640, 400, 'none', 6.0, (0.0, 0.0, 1.5), 0.0, 0.0)
    pool = RigPool(INPUT, RigAugmentation(yaw_deg=45.0, draws=4), seed=0)
    built = pool.remaps([narrow], None)[0]
    drawn = [pool.remaps([narrow], np.random.default_rng(seed))[0] for seed in range(20)]
    assert any(remap is built for remap in drawn)
    assert all(remap is not None and remap.valid.any() for remap in drawn)


def test_bad_calibrations_have_no_remap() -> None:
    folded = replace(camera('none'), distortion=Distortion('plumb_bob', (-1e6, 0, 0, 0, 0)))
    pool = RigPool(INPUT, ALL, seed=0)
    for rng in (None, np.random.default_rng(0)):
        bad, good = pool.remaps([folded, camera()], rng)
        assert bad is None and good is not None


def test_misplaced_by_hand_sized_errors() -> None:
    noise = CalibrationNoise(position_m=0.03, turn_deg=0.5)
    rng, target = np.random.default_rng(8), camera_target(camera())
    shifts, turns = [], []
    for _ in range(400):
        wrong = misplaced(target, noise, rng)
        assert np.array_equal(wrong.K, target.K) and wrong.name == target.name
        shifts.append(wrong.base_T_camera[:3, 3] - target.base_T_camera[:3, 3])
        turn = target.base_T_camera[:3, :3].T @ wrong.base_T_camera[:3, :3]
        turns.append(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    assert np.std(shifts) == pytest.approx(0.03, rel=0.1)
    assert np.abs(shifts).max() <= 3 * 0.03 + 1e-12
    assert np.sqrt(np.mean(np.square(turns)) / 3) == pytest.approx(0.5, rel=0.1)


def test_impossible_ranges_are_refused() -> None:
    for wrong in ({'zoom': (1.2, 0.9)}, {'pitch_deg': -1.0}, {'yaw_deg': 90.0}, {'pich_deg': 1.0}):
        with pytest.raises(ValidationError):
            RigAugmentation.model_validate(wrong)
