"""Projection and its inverse, pixel conventions, validation and hashes of cameras and rigs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bev_perception.errors import CalibrationError, ConfigError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import invert, transform
from bev_perception.geometry.rig import CameraRig

# Columns: camera x (right), y (down), z (forward) in a base with x forward, y left, z up.
FORWARD = np.array(
    [[0.0, 0.0, 1.0, 1.5], [-1.0, 0.0, 0.0, 0.2], [0.0, -1.0, 0.0, 1.6], [0.0, 0.0, 0.0, 1.0]]
)
K = np.array([[100.0, 0.0, 50.0], [0.0, 200.0, 40.0], [0.0, 0.0, 1.0]])


def make_camera(**changes):
    values = {
        'name': 'front',
        'frame_id': 'front_optical',
        'width': 120,
        'height': 90,
        'K': K,
        'distortion': Distortion('none'),
        'base_T_camera': FORWARD,
    }
    return Camera(**{**values, **changes})


def random_camera(rng):
    lens = [
        Distortion('none'),
        Distortion('plumb_bob', tuple(rng.uniform(-1, 1, 5) * [0.3, 0.1, 3e-3, 3e-3, 0.02])),
        Distortion(
            'rational_polynomial',
            tuple(rng.uniform(-1, 1, 8) * [0.4, 0.1, 2e-3, 2e-3, 0.02, 0.4, 0.1, 0.02]),
        ),
        Distortion('equidistant', tuple(rng.uniform(-1, 1, 4) * [0.05, 0.02, 5e-3, 1e-3])),
    ][rng.integers(4)]
    width, height = rng.integers(200, 2000, 2)
    focal = rng.uniform(0.3, 1.5) * width
    intrinsics = np.array(
        [
            [focal, rng.uniform(-1, 1), width * rng.uniform(0.4, 0.6)],
            [0.0, focal * rng.uniform(0.95, 1.05), height * rng.uniform(0.4, 0.6)],
            [0.0, 0.0, 1.0],
        ]
    )
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
    pose[:3, 3] = rng.uniform(-3, 3, 3)
    return Camera('c', 'c_optical', int(width), int(height), intrinsics, lens, pose)


def test_projection_by_hand():
    uv, valid = make_camera().project([[1.0, 0.5, 4.0], [1.0, 2.0, 4.0], [0.0, 0.0, -1.0]])
    np.testing.assert_allclose(uv[:2], [[75.0, 65.0], [75.0, 140.0]])
    assert np.all(np.isnan(uv[2]))
    assert valid.tolist() == [True, False, False]


def test_forward_camera_sees_left_on_the_left_and_up_above():
    camera = make_camera()
    ahead, left, above = (
        camera.project_base([1.5 + 10.0, 0.2 + y, 1.6 + z])[0] for y, z in ((0, 0), (1, 0), (0, 1))
    )
    np.testing.assert_allclose(ahead, [50.0, 40.0])
    np.testing.assert_allclose(left, [40.0, 40.0])
    np.testing.assert_allclose(above, [50.0, 20.0])
    assert not camera.project_base([-10.0, 0.2, 1.6])[1]


def test_image_reaches_half_a_pixel_beyond_the_outer_pixel_centres():
    camera = make_camera()
    edges = np.array([[-0.5, 10], [-0.51, 10], [119.49, 10], [119.5, 10], [10, -0.5], [10, 89.5]])
    uv, valid = camera.project(camera.rays(edges))
    np.testing.assert_allclose(uv, edges, atol=1e-12)
    assert valid.tolist() == [True, False, True, False, True, False]


def test_rays_and_projection_are_inverse_on_random_cameras():
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(80):
        camera = random_camera(rng)
        uv = rng.uniform([-0.5, -0.5], [camera.width - 0.5, camera.height - 0.5], (100, 2))
        rays = camera.rays(uv)
        known = np.isfinite(rays[:, 0])
        seen += known.sum()
        back, valid = camera.project(rays * rng.uniform(0.5, 50.0, (100, 1)))
        np.testing.assert_allclose(back[known], uv[known], atol=1e-5)
        np.testing.assert_array_equal(valid, known)
        in_base = transform(camera.base_T_camera, rays * 7.0)
        np.testing.assert_allclose(camera.project_base(in_base)[0][known], uv[known], atol=1e-5)
    assert seen > 0.9 * 80 * 100


def test_skew_by_hand():
    skewed = make_camera(K=np.array([[100.0, 10.0, 50.0], [0.0, 200.0, 40.0], [0.0, 0.0, 1.0]]))
    uv, _ = skewed.project([0.1, 0.2, 1.0])
    np.testing.assert_allclose(uv, [50 + 10 + 2, 80])
    np.testing.assert_allclose(skewed.rays(uv), [0.1, 0.2, 1.0], atol=1e-15)


def test_points_beyond_the_fold_are_not_valid_even_where_the_polynomial_hits_the_image():
    camera = make_camera(distortion=Distortion('plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0)))
    uv, valid = camera.project([[0.5, 0.0, 1.0], [1.5, 0.0, 1.0]])
    assert valid.tolist() == [True, False]
    assert np.all(np.isnan(uv[1]))


def test_fisheye_sees_behind_its_image_plane():
    fisheye = make_camera(
        width=400,
        height=400,
        K=np.array([[100.0, 0.0, 199.5], [0.0, 100.0, 199.5], [0.0, 0.0, 1.0]]),
        distortion=Distortion('equidistant', (0.0,) * 4),
    )
    theta = np.deg2rad(105)
    point = 8.0 * np.array([np.sin(theta), 0.0, np.cos(theta)])
    uv, valid = fisheye.project(point)
    assert valid and point[2] < 0
    np.testing.assert_allclose(uv, [199.5 + 100.0 * theta, 199.5])
    ray = fisheye.rays(uv)
    np.testing.assert_allclose(ray, point / 8.0, atol=1e-12)


def test_scaling_and_cropping_moves_pixels_as_a_resize_does():
    camera = make_camera(distortion=Distortion('plumb_bob', (-0.1, 0.0, 1e-3, 0.0, 0.0)))
    small = camera.scaled_cropped(0.5, 0.25, 3.0, -2.0, 40, 30, name='small')
    assert (small.name, small.width, small.height) == ('small', 40, 30)
    assert small.frame_id == camera.frame_id
    # Pixels 0 and 1 merge into pixel 0: their common edge 0.5 is its centre.
    points = camera.rays([[0.5, 1.5], [20.5, 41.5]])
    np.testing.assert_allclose(small.project(points)[0], [[-3.0, 2.0], [7.0, 12.0]], atol=1e-9)
    rng = np.random.default_rng(1)
    uv = rng.uniform(0, 80, (50, 2))
    expected = (uv + 0.5) * [0.5, 0.25] - 0.5 - [3.0, -2.0]
    np.testing.assert_allclose(small.project(camera.rays(uv))[0], expected, atol=1e-7)


def test_with_pose_keeps_everything_else():
    camera = make_camera()
    moved = camera.with_pose(np.eye(4))
    np.testing.assert_array_equal(moved.base_T_camera, np.eye(4))
    assert moved.with_pose(FORWARD) == camera
    np.testing.assert_allclose(invert(moved.base_T_camera), np.eye(4))


def test_arrays_are_copies_and_read_only():
    given = K.copy()
    camera = make_camera(K=given)
    given[0, 0] = 1.0
    assert camera.K[0, 0] == 100.0
    for array in (camera.K, camera.base_T_camera):
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match='read-only'):
            array[0, 0] = 5.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera.width = 3


def _altered(matrix, row, column, value):
    altered = np.array(matrix)
    altered[row, column] = value
    return altered


MIRRORED = FORWARD @ np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('width', 0, 'width and height'),
        ('height', -5, 'width and height'),
        ('K', _altered(K, 0, 0, 0.0), 'K must have positive focal'),
        ('K', _altered(K, 1, 1, -2.0), 'K must have positive focal'),
        ('K', _altered(K, 0, 2, np.nan), 'K holds numbers that are not finite'),
        ('K', _altered(K, 2, 2, 2.0), 'K must be upper triangular'),
        ('K', _altered(K, 1, 0, 1.0), 'K must be upper triangular'),
        ('K', np.eye(4), 'K must be 3 x 3'),
        ('base_T_camera', np.eye(3), 'base_T_camera must be 4 x 4'),
        ('base_T_camera', _altered(FORWARD, 0, 3, np.inf), 'base_T_camera holds numbers'),
        ('base_T_camera', _altered(FORWARD, 3, 0, 1.0), 'base_T_camera must have last row'),
        ('base_T_camera', FORWARD * [2.0, 2.0, 2.0, 1.0], 'not orthonormal'),
        ('base_T_camera', MIRRORED, 'mirrored'),
        ('base_T_camera', np.zeros((4, 4)), 'base_T_camera must have last row'),
    ],
)
def test_impossible_cameras_are_refused(field, value, message):
    with pytest.raises(CalibrationError, match=message) as error:
        make_camera(**{field: value})
    assert "'front'" in str(error.value)
    assert '\n' not in str(error.value)


def test_key_follows_geometry_and_nothing_else():
    camera = make_camera()
    same = [
        make_camera(),
        make_camera(name='other', frame_id='elsewhere'),
        make_camera(distortion=Distortion('plumb_bob', (0.0,) * 5)),
        make_camera(K=_altered(K, 0, 1, -0.0)),
    ]
    assert {other.key() for other in same} == {camera.key()}
    different = [
        make_camera(width=121),
        make_camera(height=91),
        make_camera(K=_altered(K, 0, 2, 50.0 + 1e-9)),
        make_camera(distortion=Distortion('plumb_bob', (1e-9, 0.0, 0.0, 0.0, 0.0))),
        make_camera(distortion=Distortion('equidistant', (0.0,) * 4)),
        make_camera(base_T_camera=_altered(FORWARD, 2, 3, 1.6 + 1e-9)),
    ]
    assert len({camera.key(), *(other.key() for other in different)}) == 7


def test_equality_and_hash_include_the_name():
    assert make_camera() == make_camera()
    assert len({make_camera(), make_camera()}) == 1
    assert make_camera() != make_camera(name='other')
    assert make_camera() != make_camera(frame_id='other')
    assert make_camera() != 'front'


def test_rig_keeps_order_and_refuses_double_names():
    front, rear = make_camera(), make_camera(name='rear', base_T_camera=np.eye(4))
    rig = CameraRig('base_link', (front, rear))
    assert rig.names == ('front', 'rear')
    assert rig.key() == CameraRig('base_link', (make_camera(), rear)).key()
    others = [
        CameraRig('base_link', (rear, front)),
        CameraRig('base_footprint', (front, rear)),
        CameraRig('base_link', (front,)),
        CameraRig('base_link', (front, rear.with_pose(FORWARD))),
    ]
    assert len({rig.key(), *(other.key() for other in others)}) == 5
    with pytest.raises(ConfigError, match="'front' is used twice"):
        CameraRig('base_link', (front, make_camera(base_T_camera=np.eye(4))))
