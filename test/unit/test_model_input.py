"""The model's camera and the remap into it, against hand numbers, float64 and known scenes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.sample_drive.rig import looking

from bev_perception.errors import CalibrationError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.model_input import ImageRemap, InputRemaps, input_camera
from bev_perception.geometry.pose import make_pose

LEVEL = make_pose((0.0, 0.0, 1.5), (-0.5, 0.5, -0.5, 0.5))
NONE = Distortion('none')
BARREL = Distortion('plumb_bob', (-0.28, 0.09, 8e-4, -5e-4, -0.012))
RATIONAL = Distortion('rational_polynomial', (0.5, 0.1, 1e-4, 2e-4, 0.01, 0.9, 0.3, 0.03))
FISHEYE = Distortion('equidistant', (0.05, -0.01, 0.003, -0.001))


def make_camera(distortion=NONE, width=1600, height=900, focal=1266.0, center=None, pose=None):
    u, v = center or ((width - 1) / 2, (height - 1) / 2)
    K = np.array([[focal, 0.0, u], [0.0, focal, v], [0.0, 0.0, 1.0]])
    return Camera(
        'cam', 'cam_optical', width, height, K, distortion, np.eye(4) if pose is None else pose
    )


def source_pixels(source, target):
    """Independent of Camera: where OpenCV says the target's (pinhole) pixels lie in the source."""
    v, u = np.mgrid[: target.height, : target.width].astype(np.float64)
    rays = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], -1) @ np.linalg.inv(target.K).T
    zero = np.zeros(3)
    coefficients = np.array(source.distortion.coefficients or (0.0,) * 5)
    if source.distortion.model == 'equidistant':
        uv, _ = cv2.fisheye.projectPoints(rays[:, None], zero, zero, source.K, coefficients)
    else:
        uv, _ = cv2.projectPoints(rays, zero, zero, source.K, coefficients)
    return uv.reshape(target.height, target.width, 2)


def bilinear(image, uv):
    """Float64 bilinear samples of image [h, w, C] at pixels uv [..., 2] inside the image."""
    u = np.clip(uv[..., 0], 0, image.shape[1] - 1.0)
    v = np.clip(uv[..., 1], 0, image.shape[0] - 1.0)
    u0 = np.minimum(np.floor(u).astype(int), image.shape[1] - 2)
    v0 = np.minimum(np.floor(v).astype(int), image.shape[0] - 2)
    a, b = (u - u0)[..., None], (v - v0)[..., None]
    image = image.astype(np.float64)
    upper = (1 - a) * image[v0, u0] + a * image[v0, u0 + 1]
    lower = (1 - a) * image[v0 + 1, u0] + a * image[v0 + 1, u0 + 1]
    return (1 - b) * upper + b * lower


def block_mean(image, size):
    h, w = image.shape[0] // size, image.shape[1] // size
    blocks = image[: h * size, : w * size].reshape(h, size, w, size, -1)
    return blocks.mean(axis=(1, 3))


# The camera that the model sees.


def test_plain_shrink_and_crop_by_hand():
    """1600x900 to 480x224 is a scale of 0.3: 270 rows, 46 too many.

    The horizon is at 440.5 * 0.3 = 132.15 rows from the top and shall be at 0.4 * 224 = 89.6.
    """
    source = make_camera(center=(810.0, 440.0), pose=LEVEL)
    target = input_camera(source, 480, 224, 0.4)
    assert (target.width, target.height, target.distortion) == (480, 224, NONE)
    expected = source.scaled_cropped(0.3, 0.3, 0.0, 42.55, 480, 224)
    np.testing.assert_allclose(target.K, expected.K, atol=1e-9)
    assert (target.name, target.frame_id) == ('cam', 'cam_optical')


@pytest.mark.parametrize(('share', 'top'), [(0.0, 46.0), (0.4, 45.4), (0.5, 23.0), (1.0, 0.0)])
def test_crop_puts_the_horizon_where_it_shall_be_or_as_near_as_can_be(share, top):
    """The horizon is 135 rows from the top; from 0 to 46 rows can be cut there."""
    target = input_camera(make_camera(pose=LEVEL), 480, 224, share)
    expected = make_camera(pose=LEVEL).scaled_cropped(0.3, 0.3, 0.0, top, 480, 224)
    np.testing.assert_allclose(target.K, expected.K, atol=1e-9)


@pytest.mark.parametrize('lens', [NONE, BARREL, FISHEYE])
@pytest.mark.parametrize('pitch_down_deg', [-6.0, 0.0, 4.0, 9.0])
def test_tilted_cameras_have_the_horizon_in_the_same_row(lens, pitch_down_deg):
    pose = looking((0.0, 0.0, 1.5), 0.7, np.deg2rad(pitch_down_deg))
    target = input_camera(make_camera(lens, height=1200, pose=pose), 352, 128, 0.4)
    uv, inside = target.project_base([100 * np.cos(0.7), 100 * np.sin(0.7), 1.5])
    assert inside
    assert uv[1] == pytest.approx(0.4 * 128 - 0.5)


def test_rear_fisheye_that_looks_down_still_sees_far():
    pose = looking((-0.9, 0.0, 1.1), np.pi, np.deg2rad(22.0))
    source = make_camera(FISHEYE, 600, 560, focal=600 / np.deg2rad(185.0), pose=pose)
    target = input_camera(source, 352, 128, 0.4)
    assert target.project_base([[-40.0, 0.0, 0.0], [-2.5, 0.0, 0.0]])[1].all()


@pytest.mark.parametrize('pitch_down_deg', [88.0, -88.0])
def test_camera_without_a_horizon_keeps_its_middle(pitch_down_deg):
    pose = looking((0.0, 0.0, 2.0), 0.0, np.deg2rad(pitch_down_deg))
    target = input_camera(make_camera(pose=pose), 480, 224, 0.2)
    expected = make_camera(pose=pose).scaled_cropped(0.3, 0.3, 0.0, 23.0, 480, 224)
    np.testing.assert_allclose(target.K, expected.K, atol=1e-9)


def test_steep_camera_keeps_the_part_nearest_to_the_horizon():
    """45 degrees down, the horizon is above the image: nothing is cut at the top."""
    pose = looking((0.0, 0.0, 2.0), 0.0, np.deg2rad(45.0))
    target = input_camera(make_camera(pose=pose), 480, 224, 0.4)
    expected = make_camera(pose=pose).scaled_cropped(0.3, 0.3, 0.0, 0.0, 480, 224)
    np.testing.assert_allclose(target.K, expected.K, atol=1e-9)


@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_missing_height_is_padded_on_both_sides(share, top=15):
    source = make_camera()
    remap = ImageRemap(source, input_camera(source, 480, 300, share))
    expected = np.zeros((300, 480), dtype=bool)
    expected[top : top + 270] = True
    np.testing.assert_array_equal(remap.valid, expected)
    grey = np.full((900 // remap.reduction, 1600 // remap.reduction, 3), 200, dtype=np.uint8)
    np.testing.assert_array_equal(remap(grey), np.where(expected[..., None], 200, 0) + np.zeros(3))


def test_pixels_are_square_whatever_the_source():
    K = np.array([[1266.0, 0.0, 799.5], [0.0, 633.0, 449.5], [0.0, 0.0, 1.0]])
    source = Camera('cam', 'c', 1600, 900, K, NONE, np.eye(4))
    target = input_camera(source, 480, 540, 0.0)
    assert target.K[0, 0] == target.K[1, 1] == pytest.approx(0.3 * 1266)
    # The source's pixels are twice as high as wide: 900 rows are 540 rows of the target.
    assert target.K[1, 2] == pytest.approx(0.6 * 450 - 0.5)


@pytest.mark.parametrize('lens', [NONE, BARREL, RATIONAL, FISHEYE])
def test_field_of_view_fills_the_width(lens):
    source = make_camera(lens, center=(790.0, 460.0))
    target = input_camera(source, 704, 256, 0.7)
    left, right = target.rays([[-0.5, target.K[1, 2]], [703.5, target.K[1, 2]]])
    uv, _ = source.project([left, right])
    np.testing.assert_allclose(uv[:, 0], [-0.5, 1599.5], atol=2e-3)


def test_fields_of_view_beyond_120_degrees_become_equidistant():
    half = 0.5 * np.deg2rad(120.0)
    at_limit = input_camera(make_camera(focal=800.0 / np.tan(half)), 480, 224, 0.5)
    assert at_limit.distortion == NONE
    wider = input_camera(make_camera(focal=799.0 / np.tan(half)), 480, 224, 0.5)
    assert wider.distortion == Distortion('equidistant', (0.0,) * 4)


def test_wide_fisheye_keeps_all_of_its_200_degrees():
    focal = 1600 / np.deg2rad(200.0)
    source = make_camera(Distortion('equidistant', (0.0,) * 4), focal=focal)
    target = input_camera(source, 400, 200, 0.5)
    assert target.K[0, 0] == pytest.approx(400 / np.deg2rad(200.0))
    edge = target.rays([399.5, target.K[1, 2]])
    assert np.arctan2(edge[0], edge[2]) == pytest.approx(np.deg2rad(100.0))
    remap = ImageRemap(source, target)
    assert remap.reduction == 4 and remap.valid.all()


def test_lens_that_shows_nothing_is_refused():
    beyond = make_camera(Distortion('plumb_bob', (-5.0, 0.0, 0.0, 0.0, 0.0)), center=(-3000, 450))
    with pytest.raises(CalibrationError, match=r"'cam'.*check K and the distortion"):
        input_camera(beyond, 480, 224, 0.5)


# The remap.


@pytest.mark.parametrize('lens', [NONE, BARREL, RATIONAL, FISHEYE])
def test_remap_equals_float64_bilinear_sampling(lens):
    source = make_camera(lens, 640, 360, 500.0, center=(330.0, 170.0))
    target = input_camera(source, 320, 150, 0.8)
    remap = ImageRemap(source, target, 1)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (360, 640, 3), dtype=np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.0), dtype=np.uint8)
    uv = source_pixels(source, target)
    inside = np.all((uv > -0.5) & (uv < [639.5, 359.5]), axis=-1)
    np.testing.assert_array_equal(remap.valid, inside)
    found = remap(image).astype(np.float64)
    # The table holds 1/32 pixel: restated on that raster, only the rounding of grey is left.
    on_raster = bilinear(image, np.round(np.clip(uv, 0, [639, 359]) * 32) / 32)
    difference = np.abs(found - on_raster)[inside]
    assert difference.max() < 3.0  # a tie in rounding to the raster moves a sample by 1/32 pixel
    assert np.mean(difference > 0.6) < 1e-3
    exact = np.abs(found - bilinear(image, uv))[inside]
    assert exact.mean() < 0.6
    assert np.all(found[~inside] == 0)


@pytest.mark.parametrize('reduction', [1, 2, 4, 8])
@pytest.mark.parametrize('lens', [NONE, BARREL])
def test_reduced_images_are_sampled_at_the_right_place(lens, reduction):
    """A wave of known phase keeps its phase, but for the raster of the table."""
    source = make_camera(lens, 1604, 900, 1266.0)
    target = input_camera(source, 200, 100, 0.5)
    v, u = np.mgrid[:900, :1604]
    omega = 2 * np.pi / 97.0
    image = np.stack([128 + 100 * np.cos(omega * u), 128 + 100 * np.cos(omega * v), 0 * u], -1)
    reduced = np.round(block_mean(image, reduction)).astype(np.uint8)
    found = ImageRemap(source, target, reduction)(reduced).astype(np.float64) - 128.0
    uv = source_pixels(source, target)
    for channel in (0, 1):
        phase = omega * uv[..., channel].ravel()
        basis = np.stack([np.cos(phase), np.sin(phase), np.ones_like(phase)], -1)
        cos, sin, _ = np.linalg.lstsq(basis, found[..., channel].ravel(), rcond=None)[0]
        assert cos > 85.0
        assert abs(np.arctan2(sin, cos) / omega) < reduction / 64
        assert np.abs(basis @ [cos, sin, 0.0] - found[..., channel].ravel()).max() < 4.0


@pytest.mark.parametrize(
    ('width', 'reduction'),
    [(1600, 1), (1000, 1), (800, 2), (480, 2), (400, 4), (300, 4), (200, 8), (100, 8), (3000, 1)],
)
def test_reduction_is_the_largest_that_loses_no_detail(width, reduction):
    source = make_camera()
    assert ImageRemap(source, input_camera(source, width, 64, 0.5)).reduction == reduction


def test_ground_texture_seen_through_a_lens_equals_the_ideal_view():
    """Renders the same textured ground through both cameras; the remap must join them."""
    # Looking forward, 10 degrees down, 1.6 m above the ground, slightly rolled.
    pose = make_pose([1.0, 0.3, 1.6], [-0.5, 0.5, -0.5, 0.5])
    roll, pitch = make_pose([0, 0, 0], [0, 0, np.sin(0.02), np.cos(0.02)]), np.deg2rad(-10) / 2
    pose = pose @ make_pose([0, 0, 0], [np.sin(pitch), 0, 0, np.cos(pitch)]) @ roll
    source = make_camera(BARREL, 1280, 720, 900.0, center=(650.0, 350.0), pose=pose)
    target = input_camera(source, 480, 224, 1.0)
    remap = ImageRemap(source, target)

    def view(camera):
        v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
        rays = camera.rays(np.stack([u, v], -1)) @ camera.base_T_camera[:3, :3].T
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = -camera.base_T_camera[2, 3] / rays[..., 2]
            ground = camera.base_T_camera[:2, 3] + rays[..., :2] * depth[..., None]
        near = (depth > 0) & (ground[..., 0] < 12.0)
        value = 128 + 60 * np.sin(2.0 * ground[..., 0]) + 60 * np.sin(2.0 * ground[..., 1])
        return np.where(near, value, 128.0), near

    seen, _ = view(source)
    expected, near = view(target)
    image = np.repeat(np.round(seen)[..., None], 3, axis=-1)
    found = remap(np.round(block_mean(image, remap.reduction)).astype(np.uint8))
    clear = cv2.erode((near & remap.valid).astype(np.uint8), np.ones((9, 9))).astype(bool)
    assert clear.mean() > 0.3
    assert np.abs(found[..., 0] - expected)[clear].max() < 6.0
    assert np.std(expected[clear]) > 30.0


def test_turned_target_sees_the_same_directions():
    source = make_camera(BARREL, 640, 360, 400.0)
    turned = make_pose([0, 0, 0], [0.0, np.sin(0.05), 0.0, np.cos(0.05)])
    target = make_camera(NONE, 100, 60, 150.0, pose=turned)
    v, u = np.mgrid[:360, :640]
    image = np.stack([u / 3, v / 3, 0 * u], -1).round().astype(np.uint8)
    found = ImageRemap(source, target, 1)(image)
    uv, valid = source.project_base(target.rays([70.0, 40.0]) @ turned[:3, :3].T * 9.0)
    assert valid
    np.testing.assert_allclose(found[40, 70, :2], uv / 3, atol=1.0)


def test_cameras_that_stand_apart_or_look_away_are_refused():
    source = make_camera()
    apart = source.with_pose(make_pose([0.1, 0, 0], [0, 0, 0, 1]))
    with pytest.raises(CalibrationError, match='stand apart'):
        ImageRemap(source, apart)
    away = source.with_pose(make_pose([0, 0, 0], [0, 1, 0, 0]))
    with pytest.raises(CalibrationError, match='check its calibration'):
        ImageRemap(source, away)


def test_images_of_another_size_are_refused():
    source = make_camera(width=1601, height=901)
    remap = ImageRemap(source, input_camera(source, 480, 224, 0.5))
    assert remap.reduction == 2
    for shape in ((450, 800, 3), (451, 801, 3)):
        assert remap(np.zeros(shape, np.uint8)).shape == (224, 480, 3)
    for shape in ((901, 1601, 3), (449, 800, 3), (450, 802, 3)):
        with pytest.raises(ValueError, match='reduced by 2'):
            remap(np.zeros(shape, np.uint8))


def test_odd_sizes_stay_bright_up_to_the_border():
    source = make_camera(width=1603, height=907)
    remap = ImageRemap(source, input_camera(source, 200, 113, 0.5))
    assert remap.reduction == 8
    for shape in ((113, 200, 3), (114, 201, 3)):
        found = remap(np.full(shape, 90, np.uint8))
        np.testing.assert_array_equal(found[remap.valid], 90)


def test_remaps_are_kept_until_a_calibration_changes():
    remaps = InputRemaps(480, 224, 1.0, capacity=2)
    first = make_camera()
    kept = remaps.get(first)
    assert remaps.get(make_camera()) is kept
    assert kept.source == first
    assert kept.target == input_camera(first, 480, 224, 1.0)
    other = make_camera(focal=1200.0)
    assert remaps.get(other) is not kept
    assert remaps.get(first) is kept
    remaps.get(make_camera(focal=1100.0))
    assert remaps.get(first) is kept, 'the one unused for longest goes first'
    assert len(remaps._known) == 2
