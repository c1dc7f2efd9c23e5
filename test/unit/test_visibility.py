"""Which cells a camera sees: numbers by hand and a scalar restatement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.level_camera import level_camera

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.visibility import cell_visibility


def make_camera(
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    height_m: float = 1.5,
    size: tuple[int, int] = (100, 60),
    focal: float = 50.0,
    wide: bool = False,
) -> Camera:
    return level_camera(
        *size, focal, yaw_deg, pitch_deg, position_m=(0.2, -0.1, height_m), wide=wide
    )


def test_level_camera_by_hand() -> None:
    """Half width 50, focal 50: |y| < x; half height 30: ground from 1.5 / 0.6 = 2.5 m on."""
    grid = BevGrid(-10.03, -9.83, 0.4, 50, 50)
    camera = make_camera()
    seen = cell_visibility([camera], grid, heights_m=(0.0,))[0]

    assert seen.shape == grid.shape and seen.dtype == np.bool_
    x, y = np.moveaxis(grid.cell_centers() - (0.2, -0.1), -1, 0)
    np.testing.assert_array_equal(seen, (x > 2.5) & (np.abs(y) < x))


def test_any_height_will_do() -> None:
    grid = BevGrid(0.0, -0.3, 0.4, 20, 1)
    seen = cell_visibility([make_camera()], grid, heights_m=(0.0, 0.5, 1.5))[0, 0]
    ground = cell_visibility([make_camera()], grid, heights_m=(0.0,))[0, 0]
    level = cell_visibility([make_camera()], grid, heights_m=(1.5,))[0, 0]

    x = grid.axis_centers()[0] - 0.2
    np.testing.assert_array_equal(seen, x > 1e-9)
    np.testing.assert_array_equal(level, seen)
    assert ground.sum() < seen.sum()


@pytest.mark.parametrize('wide', [False, True])
def test_random_cameras_against_scalar_projection(wide: bool) -> None:
    rng = np.random.default_rng(int(wide))
    grid = BevGrid(-7.3, -4.1, 0.9, 17, 13)
    heights_m = (0.0, 0.7)
    counts = np.zeros(2, int)
    for _ in range(6):
        camera = make_camera(
            rng.uniform(-180, 180), rng.normal(0, 20), rng.uniform(0.2, 3), (64, 40), 30.0, wide
        )
        mask = rng.random((40, 64)) < 0.6
        whole = cell_visibility([camera], grid, heights_m)[0]
        masked = cell_visibility([camera], grid, heights_m, valid=[mask])[0]
        counts += masked.sum(), whole.sum()
        for iy in range(13):
            for ix in range(17):
                point = (-7.3 + (ix + 0.5) * 0.9, -4.1 + (iy + 0.5) * 0.9)
                pixels = [pixel_by_hand(camera, (*point, z)) for z in heights_m]
                hits = [p for p in pixels if 0 <= p[0] < 64 and 0 <= p[1] < 40]
                assert whole[iy, ix] == bool(hits)
                assert masked[iy, ix] == any(mask[v, u] for u, v in hits)
    assert 50 < counts[0] < counts[1]


def pixel_by_hand(camera: Camera, point_base: tuple[float, float, float]) -> tuple[int, int]:
    """Returns (u, v) of the pixel that holds the point, (-1, -1) when it is behind a pinhole."""
    pose = camera.base_T_camera
    offset = [point_base[k] - pose[k, 3] for k in range(3)]
    x, y, z = (sum(pose[k, axis] * offset[k] for k in range(3)) for axis in range(3))
    if camera.distortion.model == 'none':
        if z <= 0:
            return -1, -1
        a, b = x / z, y / z
    else:
        across = math.hypot(x, y)
        theta = math.atan2(across, z)
        a, b = theta * x / across, theta * y / across
    return (
        math.floor(camera.K[0, 0] * a + camera.K[0, 2] + 0.5),
        math.floor(camera.K[1, 1] * b + camera.K[1, 2] + 0.5),
    )


def test_absent_cameras_see_nothing_and_keep_their_place() -> None:
    grid = BevGrid(-10.0, -10.0, 1.0, 20, 20)
    seen = cell_visibility([None, make_camera(), None], grid)

    assert seen.any(axis=(1, 2)).tolist() == [False, True, False]
    assert cell_visibility([], grid).shape == (0, 20, 20)


def test_left_half_of_the_image_shows_the_left_of_the_vehicle() -> None:
    grid = BevGrid(-10.0, -10.1, 1.0, 20, 20)
    mask = np.zeros((60, 100), bool)
    mask[:, :50] = True
    seen = cell_visibility([make_camera()], grid, valid=[mask])[0]

    _, y = grid.axis_centers()
    assert seen[y > -0.1].any() and not seen[y < -0.1].any()


def test_masks_that_do_not_fit() -> None:
    grid = BevGrid(-10.0, -10.0, 1.0, 20, 20)
    with pytest.raises(ValueError, match="camera 'yaw_0' is"):
        cell_visibility([make_camera()], grid, valid=[np.ones((6, 10), bool)])
    with pytest.raises(ValueError, match='1 cameras but 2 masks'):
        cell_visibility([make_camera()], grid, valid=[None, None])
