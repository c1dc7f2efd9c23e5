"""Lens models against OpenCV, against numbers by hand, and there-and-back on random lenses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bev_perception.errors import CalibrationError
from bev_perception.geometry.distortion import Distortion

PLANAR_SCALES = {
    'plumb_bob': [0.35, 0.15, 5e-3, 5e-3, 0.05],
    'rational_polynomial': [0.5, 0.2, 2e-3, 2e-3, 0.05, 0.5, 0.2, 0.05],
}


def random_planar(model, rng):
    return Distortion(
        model, tuple(rng.uniform(-1, 1, len(PLANAR_SCALES[model])) * PLANAR_SCALES[model])
    )


def random_equidistant(rng):
    return Distortion('equidistant', tuple(rng.uniform(-1, 1, 4) * [0.08, 0.03, 0.01, 0.003]))


def rays_within(lens, count, rng, largest_angle):
    """Returns random rays of random length, inside the lens's limit and the given angle."""
    limit = min(np.arctan(lens.limit) if lens.is_planar else lens.limit, largest_angle)
    theta = rng.uniform(0, 0.999 * limit, count)
    phi = rng.uniform(-np.pi, np.pi, count)
    rays = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    return rays * rng.uniform(0.1, 80.0, (count, 1))


def directions(rays):
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


@pytest.mark.parametrize('model', PLANAR_SCALES)
def test_planar_models_equal_opencv(model):
    rng = np.random.default_rng(0)
    for _ in range(40):
        lens = random_planar(model, rng)
        rays = rays_within(lens, 200, rng, np.deg2rad(70))
        expected, _ = cv2.projectPoints(
            rays, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.coefficients)
        )
        np.testing.assert_allclose(lens.distort(rays), expected[:, 0], rtol=1e-9, atol=1e-12)


def test_equidistant_equals_opencv_fisheye():
    rng = np.random.default_rng(1)
    for _ in range(40):
        lens = random_equidistant(rng)
        rays = rays_within(lens, 200, rng, np.deg2rad(89))
        expected, _ = cv2.fisheye.projectPoints(
            rays[:, None], np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.coefficients)
        )
        np.testing.assert_allclose(lens.distort(rays), expected[:, 0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('model', [*PLANAR_SCALES, 'equidistant'])
def test_there_and_back_on_random_lenses(model):
    rng = np.random.default_rng(2)
    for _ in range(60):
        lens = random_equidistant(rng) if model == 'equidistant' else random_planar(model, rng)
        rays = rays_within(lens, 300, rng, np.deg2rad(175 if model == 'equidistant' else 80))
        image = lens.distort(rays)
        assert np.all(np.isfinite(image))
        back = lens.undistort(image)
        # Close to the fold the way back is as uncertain as the image is flat; the image is not.
        np.testing.assert_allclose(lens.distort(back), image, rtol=0, atol=1e-9)
        across = np.hypot(rays[:, 0], rays[:, 1])
        reach = across / rays[:, 2] if lens.is_planar else np.arctan2(across, rays[:, 2])
        steep = reach < 0.8 * min(lens.limit, 5.0)
        np.testing.assert_allclose(directions(back)[steep], directions(rays)[steep], atol=1e-8)
        assert steep.sum() > 100


def test_opencv_projects_undistorted_rays_back():
    lens = Distortion('plumb_bob', (-0.3, 0.1, 1e-3, -5e-4, -0.01))
    image = np.random.default_rng(3).uniform(-0.5, 0.5, (200, 2))
    rays = lens.undistort(image)
    np.testing.assert_array_equal(rays[:, 2], 1.0)
    back, _ = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), np.eye(3), np.array(lens.coefficients)
    )
    np.testing.assert_allclose(back[:, 0], image, atol=1e-10)


def test_limits_by_hand():
    # d/dr (r - 0.3 r^3) = 0 and d/dtheta (theta - 0.05 theta^3) = 0.
    barrel = Distortion('plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))
    assert barrel.limit == pytest.approx(np.sqrt(1 / 0.9), abs=1e-9)
    fisheye = Distortion('equidistant', (-0.05, 0.0, 0.0, 0.0))
    assert fisheye.limit == pytest.approx(np.sqrt(1 / 0.15), abs=1e-9)
    # Along (0, -1): y - 3 p1 y^2 turns at |y| = 1 / (6 p1).
    tangential = Distortion('plumb_bob', (0.0, 0.0, 0.01, 0.0, 0.0))
    assert tangential.limit == pytest.approx(1 / 0.06, abs=1e-6)
    assert Distortion('plumb_bob', (0.2, 0.0, 0.0, 0.0, 0.0)).limit > 500.0
    assert Distortion('equidistant', (0.0,) * 4).limit == np.pi
    # The pole of 1 / (1 - r^2 / 4) lies at r = 2.
    pole = Distortion('rational_polynomial', (0.0,) * 5 + (-0.25, 0.0, 0.0))
    assert pole.limit == pytest.approx(2.0, abs=1e-6)


def test_rays_beyond_the_fold_have_no_image_though_the_polynomial_gives_one():
    barrel = Distortion('plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))
    far = np.array([1.5, 0.0, 1.0])
    folded, _ = cv2.projectPoints(
        far, np.zeros(3), np.zeros(3), np.eye(3), np.array(barrel.coefficients)
    )
    # Without the limit the far ray would land on the image of a much nearer one:
    # 1.5 - 0.3 * 1.5^3 = 0.4875 = 0.5325 - 0.3 * 0.5325^3.
    np.testing.assert_allclose(folded.ravel(), barrel.distort([0.5325, 0.0, 1.0]), atol=1e-3)
    assert np.all(np.isnan(barrel.distort(far)))
    just_inside, just_outside = (1 - 1e-6) * barrel.limit, (1 + 1e-6) * barrel.limit
    assert np.all(np.isfinite(barrel.distort([just_inside, 0.0, 1.0])))
    assert np.all(np.isnan(barrel.distort([just_outside, 0.0, 1.0])))


@pytest.mark.parametrize('model', PLANAR_SCALES)
def test_the_map_is_one_to_one_within_the_limit(model):
    """Finite differences: the Jacobian's determinant stays positive on the whole disc."""
    rng = np.random.default_rng(4)
    for _ in range(30):
        lens = random_planar(model, rng)
        radius = 0.999 * min(lens.limit, 10.0) * np.sqrt(rng.uniform(0, 1, 400))
        phi = rng.uniform(-np.pi, np.pi, 400)
        xy = np.stack([radius * np.cos(phi), radius * np.sin(phi), np.ones(400)], -1)
        step = 1e-6
        along = [
            (lens.distort(xy + step * axis) - lens.distort(xy - step * axis)) / (2 * step)
            for axis in np.eye(3)[:2]
        ]
        determinant = along[0][:, 0] * along[1][:, 1] - along[0][:, 1] * along[1][:, 0]
        assert np.nanmin(determinant) > -1e-6


def test_image_points_that_no_ray_reaches_are_nan():
    barrel = Distortion('plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))
    outermost = barrel.limit * (1 - 0.3 * barrel.limit**2)
    assert np.all(np.isfinite(barrel.undistort([outermost - 1e-4, 0.0])))
    assert np.all(np.isnan(barrel.undistort([outermost + 1e-4, 0.0])))
    fisheye = Distortion('equidistant', (0.0,) * 4)
    assert np.all(np.isnan(fisheye.undistort([[3.2, 0.0], [np.nan, 0.0]])))


def test_equidistant_beyond_half_a_turn_by_hand():
    lens = Distortion('equidistant', (0.0,) * 4)
    theta = np.deg2rad(110)
    rays = np.array([[5.0, 0.0, 0.0], [0.0, np.sin(theta), np.cos(theta)], [0.0, 0.0, 3.0]])
    expected = [[np.pi / 2, 0.0], [0.0, theta], [0.0, 0.0]]
    np.testing.assert_allclose(lens.distort(rays), expected, atol=1e-15)
    np.testing.assert_allclose(lens.undistort(expected), directions(rays), atol=1e-12)
    assert np.all(np.isnan(lens.distort([[0.0, 0.0, -1.0], [0.0, 0.0, 0.0]])))


def test_rays_behind_a_planar_camera_have_no_image():
    for lens in (Distortion('none'), Distortion('plumb_bob', (-0.1, 0.0, 0.0, 0.0, 0.0))):
        rays = [[0.0, 0.0, -1.0], [0.1, 0.1, 0.0], [0.0, 0.0, 0.0], [np.nan, 0.0, 1.0]]
        assert np.all(np.isnan(lens.distort(rays)).any(axis=-1))


def test_zero_coefficients_are_no_distortion():
    zero, none = Distortion('plumb_bob', (0.0,) * 5), Distortion('none')
    rays = np.random.default_rng(5).normal(size=(50, 3)) * [1e4, 1e4, 1.0]
    np.testing.assert_array_equal(zero.distort(rays), none.distort(rays))
    np.testing.assert_array_equal(zero.undistort(rays[:, :2]), none.undistort(rays[:, :2]))
    assert zero.limit == none.limit == np.inf


def test_shapes_are_kept():
    for lens in (
        Distortion('none'),
        Distortion('plumb_bob', (-0.1,) + (0.0,) * 4),
        Distortion('equidistant', (0.01, 0.0, 0.0, 0.0)),
    ):
        assert lens.distort(np.ones((2, 3, 3))).shape == (2, 3, 2)
        assert lens.undistort(np.zeros((2, 3, 2))).shape == (2, 3, 3)
        assert lens.distort(np.ones((0, 3))).shape == (0, 2)
        assert lens.undistort(np.zeros((0, 2))).shape == (0, 3)
        np.testing.assert_allclose(lens.undistort([0.0, 0.0]), [0.0, 0.0, 1.0], atol=1e-15)


@pytest.mark.parametrize(
    ('model', 'coefficients', 'message'),
    [
        ('fov', (0.1,), "model 'fov' is not known"),
        ('plumb_bob', (0.1,) * 4, 'takes 5 coefficients, got 4'),
        ('rational_polynomial', (0.1,) * 12, 'takes 8 coefficients, got 12'),
        ('equidistant', (), 'takes 4 coefficients, got 0'),
        ('none', (0.1,), 'takes 0 coefficients, got 1'),
        ('plumb_bob', (0.1, 0.1, np.nan, 0.0, 0.0), 'must be finite'),
    ],
)
def test_impossible_lenses_are_refused(model, coefficients, message):
    with pytest.raises(CalibrationError, match=message):
        Distortion(model, coefficients)


@pytest.mark.parametrize(
    ('model', 'd', 'expected'),
    [
        ('', (), Distortion('none')),
        ('plumb_bob', (), Distortion('none')),
        ('plumb_bob', (0.0,) * 5, Distortion('none')),
        ('plumb_bob', (-0.1, 0.2, 0.0, 0.0), Distortion('plumb_bob', (-0.1, 0.2, 0.0, 0.0, 0.0))),
        (
            'rational_polynomial',
            (0.1,) * 8 + (0.0,) * 6,
            Distortion('rational_polynomial', (0.1,) * 8),
        ),
        ('equidistant', (0.1, 0.0, 0.0, 0.0), Distortion('equidistant', (0.1, 0.0, 0.0, 0.0))),
        ('equidistant', (), Distortion('equidistant', (0.0,) * 4)),
    ],
)
def test_camera_info_lenses(model, d, expected):
    assert Distortion.from_ros(model, d) == expected


def test_camera_info_with_thin_prism_is_refused():
    with pytest.raises(CalibrationError, match='takes 8 coefficients, got 12'):
        Distortion.from_ros('rational_polynomial', (0.1,) * 9 + (0.0,) * 3)
