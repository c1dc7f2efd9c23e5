"""Wrong calibrations and wrong ego motion: signs, axes and amounts, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from support.bags import assert_one_line
from support.frame_series import (
    CAMERAS,
    START_NS,
    S,
    assert_untouched,
    frame_at,
    sample_of,
    series,
    without,
)
from support.level_camera import level_camera

from bev_perception.errors import ConfigError
from bev_perception.evaluation.robustness.calibration import CalibrationOff, Quantity
from bev_perception.evaluation.robustness.odometry import (
    OdometryDrift,
    OdometryLate,
    OdometryMissing,
    OdometryNoise,
    OdometryScale,
)
from bev_perception.frame import FrameSet
from bev_perception.geometry.pose import interpolate, invert, pose_from_yaw, yaw_of

# 1.5 m above the ground, looking ahead, focal length 500 pixels, centre at (319.5, 239.5).
AHEAD = level_camera(640, 480, 500.0, position_m=(0.0, 0.0, 1.5))
TAN_2, COS_2, SIN_2 = (f(math.radians(2.0)) for f in (math.tan, math.cos, math.sin))


def seen(quantity: Quantity, amount: float, point_m: Sequence[float]) -> tuple[float, float]:
    """Returns where the wrong calibration puts a point, in pixels from the centre."""
    uv, _ = CalibrationOff(quantity, amount).wrong(AHEAD).project_base(np.array(point_m))
    return float(uv[0]) - 319.5, float(uv[1]) - 239.5


@pytest.mark.parametrize(
    ('quantity', 'amount', 'point_m', 'expected_px'),
    [
        # What lies straight ahead is lower in the picture of a camera that looks higher,
        ('pitch', 2.0, (10.0, 0.0, 1.5), (0.0, 500.0 * TAN_2)),
        ('pitch', -2.0, (10.0, 0.0, 1.5), (0.0, -500.0 * TAN_2)),
        # further right in that of one that looks further left,
        ('yaw', 2.0, (10.0, 0.0, 1.5), (500.0 * TAN_2, 0.0)),
        ('yaw', -2.0, (10.0, 0.0, 1.5), (-500.0 * TAN_2, 0.0)),
        # and what is at the right goes up when the camera is turned clockwise.
        ('roll', 2.0, (10.0, -4.0, 1.5), (200.0 * COS_2, -200.0 * SIN_2)),
        ('height', 0.2, (10.0, 0.0, 1.5), (0.0, 10.0)),
        ('forward', 2.0, (10.0, -4.0, 1.5), (250.0, 0.0)),
        ('left', 0.4, (10.0, 0.0, 1.5), (20.0, 0.0)),
        ('focal', 5.0, (10.0, -4.0, 0.5), (210.0, 52.5)),
        ('focal', -5.0, (10.0, -4.0, 0.5), (190.0, 47.5)),
    ],
)
def test_where_the_wrong_calibration_puts_a_point(
    quantity: Quantity,
    amount: float,
    point_m: Sequence[float],
    expected_px: tuple[float, float],
) -> None:
    assert seen(quantity, amount, point_m) == pytest.approx(expected_px, abs=1e-9)
    u, v = seen(quantity, 0.0, point_m)
    scale = 500.0 / point_m[0]
    assert (u, v) == pytest.approx((-point_m[1] * scale, (1.5 - point_m[2]) * scale), abs=1e-9)


def test_angles_are_those_of_each_camera_and_yaw_is_about_the_vertical() -> None:
    """A camera to the left looks 10 degrees down; pitch lifts its own axis, yaw keeps that."""
    camera = level_camera(640, 480, 500.0, 90.0, 10.0, position_m=(1.0, 2.0, 1.5))
    axis = {
        quantity: CalibrationOff(quantity, 4.0).wrong(camera).base_T_camera[:3, 2]
        for quantity in ('pitch', 'yaw', 'roll')
    }
    down = {name: -math.degrees(math.asin(z)) for name, (_, _, z) in axis.items()}
    heading = {name: math.degrees(math.atan2(y, x)) for name, (x, y, _) in axis.items()}
    assert down == pytest.approx({'pitch': 6.0, 'yaw': 10.0, 'roll': 10.0})
    assert heading == pytest.approx({'pitch': 90.0, 'yaw': 94.0, 'roll': 90.0})
    for quantity in ('pitch', 'yaw', 'roll'):
        pose = CalibrationOff(quantity, 4.0).wrong(camera).base_T_camera
        assert pose[:3, 3].tolist() == [1.0, 2.0, 1.5]


@pytest.mark.parametrize(
    ('quantity', 'expected_m'),
    [('height', (1.0, 2.0, 1.8)), ('forward', (1.3, 2.0, 1.5)), ('left', (1.0, 2.3, 1.5))],
)
def test_positions_move_in_the_base_frame(quantity: Quantity, expected_m: Sequence[float]) -> None:
    camera = level_camera(640, 480, 500.0, 120.0, 20.0, 5.0, position_m=(1.0, 2.0, 1.5))
    wrong = CalibrationOff(quantity, 0.3).wrong(camera)
    assert wrong.base_T_camera[:3, 3] == pytest.approx(expected_m)
    assert np.array_equal(wrong.base_T_camera[:3, :3], camera.base_T_camera[:3, :3])
    assert np.array_equal(wrong.K, camera.K)


def test_focal_length_leaves_pose_and_centre() -> None:
    K = AHEAD.K.copy()
    K[0, 1] = 3.0
    wrong = CalibrationOff('focal', 10.0).wrong(replace(AHEAD, K=K))
    expected = [[550.0, 3.3, 319.5], [0.0, 550.0, 239.5], [0.0, 0.0, 1.0]]
    assert np.allclose(wrong.K, expected, rtol=0, atol=1e-12)
    assert np.array_equal(wrong.base_T_camera, AHEAD.base_T_camera)


def test_only_calibrations_change_and_they_stay_the_same_objects() -> None:
    clean = list(series(4))
    clean[2] = without(clean[2], 'left')
    for cameras in ((), ('rear',)):
        off = CalibrationOff('yaw', 1.0, cameras)
        made = list(off.apply(iter(clean)))
        for old, new in zip(clean, made, strict=True):
            assert_untouched(old, new, cameras or CAMERAS)
            for before, after in zip(old.samples, new.samples, strict=True):
                if before.camera is None or (cameras and before.name not in cameras):
                    assert after is before
                    continue
                assert replace(after, camera=before.camera) == before
                assert after.image is before.image
                assert after.camera == off.wrong(before.camera)
                assert after.camera is sample_of(made[0], before.name).camera


def test_a_calibration_that_changes_is_followed() -> None:
    first, second = series(2)
    other = level_camera(64, 48, 50.0)
    samples = (replace(second.samples[0], camera=other), *second.samples[1:])
    off = CalibrationOff('height', 0.1)
    made = list(off.apply(iter([first, replace(second, samples=samples)])))
    assert made[1].samples[0].camera == off.wrong(other)
    assert made[1].samples[1].camera is made[0].samples[1].camera


def test_wrong_quantities_and_cameras_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        CalibrationOff('tilt', 1.0)  # type: ignore[arg-type]
    assert_one_line(caught.value, 'tilt', 'pitch, yaw, roll, height, forward, left, focal')
    with pytest.raises(ConfigError) as caught:
        next(CalibrationOff('yaw', 1.0, ('top',)).apply(series(1)))
    assert_one_line(caught.value, 'camera top yaw +1 deg', 'front, left, rear')


def test_names_for_tables() -> None:
    assert CalibrationOff('pitch', 2.0).name == 'pitch +2 deg'
    assert CalibrationOff('height', -0.1).name == 'height -0.1 m'
    assert CalibrationOff('focal', 5.0, ('front',)).name == 'camera front focal +5 %'
    assert OdometryLate(0.2).name == 'odometry late 0.2 s'
    assert OdometryScale(-5.0).name == 'odometry scale -5 %'


# Ego motion


def poses(frames: Sequence[FrameSet]) -> list[np.ndarray]:
    return [np.asarray(frame.odom_T_base) for frame in frames]


@pytest.mark.parametrize(
    'perturbation',
    [
        OdometryMissing(),
        OdometryLate(0.1),
        OdometryNoise(0.1, 1.0),
        OdometryDrift(0.1, 1.0),
        OdometryScale(5.0),
    ],
)
def test_only_the_ego_pose_changes_and_an_unknown_one_stays_unknown(
    perturbation: OdometryLate,
) -> None:
    clean = list(series(5))
    clean[3] = replace(clean[3], odom_T_base=None)
    kept = [None if f.odom_T_base is None else f.odom_T_base.copy() for f in clean]
    made = list(perturbation.apply(iter(clean)))
    for old, new, pose in zip(clean, made, kept, strict=True):
        assert_untouched(old, new, (), ('odom_T_base',))
        if pose is None:
            assert new.odom_T_base is None
        else:
            assert np.array_equal(np.asarray(old.odom_T_base), pose)
    assert made[4].odom_T_base is None or not np.allclose(made[4].odom_T_base, np.asarray(kept[4]))


def test_missing_odometry_is_never_known() -> None:
    assert all(f.odom_T_base is None for f in OdometryMissing().apply(series(3)))


def test_late_poses_are_those_of_then() -> None:
    clean = list(series(6))
    made = list(OdometryLate(0.25).apply(iter(clean)))
    assert [f.odom_T_base is None for f in made] == [True, True, True, False, False, False]
    for index in (3, 4, 5):
        old, new = (np.asarray(clean[index - back].odom_T_base) for back in (3, 2))
        assert np.allclose(np.asarray(made[index].odom_T_base), interpolate(old, new, 0.5))
    slow = list(OdometryLate(0.2).apply(series(8, period_s=1.0)))
    assert np.asarray(slow[7].odom_T_base)[0, 3] == pytest.approx(100.0 + 0.8 * 6.8, abs=1e-6)


def test_late_poses_do_not_cross_a_time_jump() -> None:
    frames = [*series(3), *(replace(f, epoch=1) for f in series(3))]
    made = list(OdometryLate(0.1).apply(iter(frames)))
    assert [f.odom_T_base is None for f in made] == [True, False, False, True, False, False]


def bare(count: int, period_s: float) -> list[FrameSet]:
    """Returns sets without cameras on a straight road that goes to the upper left."""
    return [
        FrameSet(
            START_NS + round(i * period_s * S), 'base_link', (), 0,
            pose_from_yaw(0.1 * i, 0.2 * i, 0.0, 1.1),
        )
        for i in range(count)
    ]  # fmt: skip


def planar(pose: np.ndarray) -> tuple[float, float, float]:
    return float(pose[0, 3]), float(pose[1, 3]), yaw_of(pose)


def test_noise_has_the_stated_deviation_and_no_memory() -> None:
    clean = bare(4000, 0.1)
    made = list(OdometryNoise(0.05, 0.3).apply(iter(clean)))
    errors = np.array(
        [planar(invert(a) @ b) for a, b in zip(poses(clean), poses(made), strict=True)]
    )
    expected = [0.05, 0.05, math.radians(0.3)]
    assert errors.std(axis=0) == pytest.approx(expected, rel=0.05)
    assert np.abs(errors.mean(axis=0) / expected).max() < 0.06
    joint = np.corrcoef(np.concatenate([errors[1:], errors[:-1]], axis=1).T)
    assert np.abs(joint - np.eye(6)).max() < 0.07


@pytest.mark.parametrize('period_s', [0.1, 0.4])
def test_drift_grows_with_the_square_root_of_time(period_s: float) -> None:
    clean = bare(4000, period_s)
    made = list(OdometryDrift(0.2, 1.0).apply(iter(clean)))
    true, drifted = poses(clean), poses(made)
    assert np.array_equal(true[0], drifted[0])
    steps = [
        planar(invert(invert(true[i]) @ true[i + 1]) @ invert(drifted[i]) @ drifted[i + 1])
        for i in range(len(clean) - 1)
    ]
    expected = np.array([0.2, 0.2, math.radians(1.0)]) * math.sqrt(period_s)
    assert np.std(steps, axis=0) == pytest.approx(expected, rel=0.05)
    ends = [yaw_of(invert(a) @ b) for a, b in zip(true, drifted, strict=True)]
    assert max(np.abs(ends)) > 5.0 * expected[2]


def test_drift_and_scale_bridge_gaps_and_start_anew_after_a_time_jump() -> None:
    frames = [*series(3), *(replace(f, epoch=1) for f in series(3))]
    frames[1] = replace(frames[1], odom_T_base=None)
    for perturbation in (OdometryDrift(0.5, 2.0), OdometryScale(10.0)):
        made = list(perturbation.apply(iter(frames)))
        changed = [
            f.odom_T_base is not None and not np.allclose(f.odom_T_base, np.asarray(o.odom_T_base))
            for f, o in zip(made, frames, strict=True)
        ]
        assert changed == [False, False, True, False, True, True]


def test_scale_stretches_ways_and_keeps_headings() -> None:
    clean = list(series(6))
    made = list(OdometryScale(5.0).apply(iter(clean)))
    true, wrong = poses(clean), poses(made)
    assert np.allclose(true[0], wrong[0])
    for i in range(5):
        old, new = (np.linalg.norm(p[i + 1][:3, 3] - p[i][:3, 3]) for p in (true, wrong))
        assert new == pytest.approx(1.05 * old)
        assert np.array_equal(wrong[i + 1][:3, :3], true[i + 1][:3, :3])
    assert wrong[5][:3, 3] - true[0][:3, 3] == pytest.approx(
        1.05 * (true[5][:3, 3] - true[0][:3, 3])
    )


def test_random_poses_depend_on_stamps_alone() -> None:
    whole = list(OdometryNoise(0.1, 1.0).apply(series(5)))
    (alone,) = OdometryNoise(0.1, 1.0).apply(iter([frame_at(4, START_NS + 4 * S // 10)]))
    assert np.array_equal(np.asarray(whole[4].odom_T_base), np.asarray(alone.odom_T_base))
