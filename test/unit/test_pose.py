"""Rigid transforms against numbers by hand and the group's laws on random poses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from bev_perception.errors import CalibrationError
from bev_perception.geometry.pose import (
    interpolate,
    invert,
    make_pose,
    pose_from_yaw,
    quaternion_of,
    transform,
    wrap_angle,
    yaw_of,
)

HALF = np.sqrt(0.5)


def random_pose(rng):
    quaternion = rng.normal(size=4)
    return make_pose(rng.uniform(-50, 50, 3), quaternion / np.linalg.norm(quaternion))


def test_quarter_turn_by_hand():
    pose = make_pose([1.0, 2.0, 3.0], [0.0, 0.0, HALF, HALF])
    assert pose.dtype == np.float64
    np.testing.assert_allclose(transform(pose, [1.0, 0.0, 0.0]), [1.0, 3.0, 3.0], atol=1e-15)
    np.testing.assert_allclose(transform(pose, [0.0, 1.0, 0.0]), [0.0, 2.0, 3.0], atol=1e-15)
    np.testing.assert_allclose(pose, pose_from_yaw(1.0, 2.0, 3.0, np.pi / 2), atol=1e-15)


def test_quaternion_is_x_y_z_w():
    quarter_about_x = make_pose([0, 0, 0], [HALF, 0, 0, HALF])
    np.testing.assert_allclose(transform(quarter_about_x, [0, 1, 0]), [0, 0, 1], atol=1e-15)


def test_quaternion_round_trip_keeps_w_positive():
    rng = np.random.default_rng(1)
    for _ in range(100):
        quaternion = rng.normal(size=4)
        quaternion /= np.linalg.norm(quaternion)
        found = quaternion_of(make_pose([0, 0, 0], quaternion))
        assert found[3] >= 0.0
        np.testing.assert_allclose(found, quaternion * np.sign(quaternion[3]), atol=1e-12)


def test_slightly_unnormalised_quaternion_gives_a_rotation():
    pose = make_pose([0, 0, 0], [0.0, 0.0, 0.7071, 0.7073])
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-15)


@pytest.mark.parametrize(
    ('translation', 'quaternion', 'message'),
    [
        ([0, 0, 0], [0, 0, 0, 0], 'norm 1'),
        ([0, 0, 0], [0, 0, 0, 2], 'norm 2'),
        ([0, 0, 0], [0, 0, 1], '4 finite numbers'),
        ([0, 0, 0], [0, 0, np.nan, 1], '4 finite numbers'),
        ([0, np.inf, 0], [0, 0, 0, 1], '3 finite numbers'),
        ([0, 0], [0, 0, 0, 1], '3 finite numbers'),
    ],
)
def test_impossible_poses_are_refused(translation, quaternion, message):
    with pytest.raises(CalibrationError, match=message) as error:
        make_pose(translation, quaternion)
    assert '\n' not in str(error.value)


def test_inverse_and_composition_on_random_poses():
    rng = np.random.default_rng(2)
    for _ in range(50):
        a_T_b, b_T_c = random_pose(rng), random_pose(rng)
        points = rng.uniform(-20, 20, (4, 5, 3))
        np.testing.assert_allclose(invert(a_T_b), np.linalg.inv(a_T_b), atol=1e-12)
        step_by_step = transform(a_T_b, transform(b_T_c, points))
        np.testing.assert_allclose(transform(a_T_b @ b_T_c, points), step_by_step, atol=1e-11)
        assert step_by_step.shape == points.shape


@pytest.mark.parametrize('yaw', [-3.1, -1.0, 0.0, 0.5, 3.1])
def test_yaw_round_trip(yaw):
    assert yaw_of(pose_from_yaw(1, 2, 3, yaw)) == pytest.approx(yaw, abs=1e-14)


def test_yaw_ignores_small_roll_and_pitch():
    tilted = pose_from_yaw(0, 0, 0, 0.7) @ make_pose([0, 0, 0], [0.02, 0.03, 0, 0.99935])
    assert yaw_of(tilted) == pytest.approx(0.7, abs=2e-3)


def test_interpolation_ends_middle_and_beyond():
    start, end = pose_from_yaw(0, 0, 0, 0.2), pose_from_yaw(2, 4, -6, 1.2)
    np.testing.assert_allclose(interpolate(start, end, 0.0), start, atol=1e-15)
    np.testing.assert_allclose(interpolate(start, end, 1.0), end, atol=1e-15)
    np.testing.assert_allclose(
        interpolate(start, end, 0.25), pose_from_yaw(0.5, 1, -1.5, 0.45), atol=1e-14
    )
    np.testing.assert_allclose(
        interpolate(start, end, 1.5), pose_from_yaw(3, 6, -9, 1.7), atol=1e-14
    )


def test_interpolation_takes_the_short_way_round():
    start, end = pose_from_yaw(0, 0, 0, 3.0), pose_from_yaw(0, 0, 0, -3.0)
    middle = yaw_of(interpolate(start, end, 0.5))
    assert abs(wrap_angle(middle - np.pi)) < 1e-12


def test_interpolation_turns_at_constant_rate():
    rng = np.random.default_rng(3)
    for _ in range(20):
        start, end = random_pose(rng), random_pose(rng)
        poses = [interpolate(start, end, alpha) for alpha in np.linspace(0, 1, 6)]
        turns = [np.trace(a[:3, :3].T @ b[:3, :3]) for a, b in pairwise(poses)]
        np.testing.assert_allclose(turns, turns[0], atol=1e-9)
        np.testing.assert_allclose(poses[0], start, atol=1e-12)
        np.testing.assert_allclose(poses[-1], end, atol=1e-12)


def test_wrap_angle():
    assert wrap_angle(np.pi) == -np.pi
    assert wrap_angle(-np.pi) == -np.pi
    assert wrap_angle(3 * np.pi / 2) == pytest.approx(-np.pi / 2)
    assert isinstance(wrap_angle(1.0), float)
    angles = np.random.default_rng(4).uniform(-100, 100, 10_000)
    angles = np.append(angles, np.nextafter(-np.pi, -4.0))
    wrapped = wrap_angle(angles)
    assert np.all((wrapped >= -np.pi) & (wrapped < np.pi))
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angles), atol=1e-12)
