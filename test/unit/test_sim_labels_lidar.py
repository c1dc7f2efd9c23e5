"""The lidar-like scan: beams by hand, points on the surfaces of a scene, counts."""

from __future__ import annotations

import numpy as np
import pytest
from bev_trainer.labels.lidar import LidarScan
from hypothesis import given, settings
from hypothesis import strategies as st
from support.boxes import box_array
from support.level_camera import level_camera
from support.ray_scene import ray_shot

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import pose_from_yaw, transform

FRONT = level_camera(321, 241, 160.0, position_m=(1.0, 0.2, 1.5))
LEFT = level_camera(201, 161, 100.0, yaw_deg=70.0, position_m=(0.5, 0.6, 1.4))
REAR = level_camera(161, 121, 60.0, yaw_deg=180.0, position_m=(-1.0, 0.0, 1.2), wide=True)


def test_a_wall_by_hand() -> None:
    """A wall 8 m ahead of the camera, one ring at 0 degrees, 8 beams.

    Those at -45, 0 and 45 degrees lie in an image of +-45 degrees, in its outermost columns.
    """
    scan = LidarScan([FRONT], rings=1, elevation_deg=(0.0, 0.0), azimuths=8)
    points = scan.points([np.full((241, 321), 8.0, np.float32)])
    assert points.dtype == np.float32
    expected = [(9.0, 0.2, 1.5), (9.0, 8.2, 1.5), (9.0, -7.8, 1.5)]
    np.testing.assert_allclose(points[:, :3], expected, atol=1e-5)
    # Ranges 8 and 8 sqrt(2): 255 (5 / r)^2.
    np.testing.assert_allclose(points[:, 3], [255 * 25 / 64, *[255 * 25 / 128] * 2], rtol=1e-5)
    assert points[:, 4].tolist() == [0, 0, 0]


def test_rings_count_from_below() -> None:
    scan = LidarScan([FRONT], rings=3, elevation_deg=(-20.0, 20.0), azimuths=1)
    points = scan.points([np.full((241, 321), 10.0, np.float32)])
    assert points[:, 4].tolist() == [0, 1, 2]
    # Straight ahead; 10 tan(20 degrees) is 3.64; a pixel is 6 cm there.
    np.testing.assert_allclose(points[:, 0], 11.0, atol=1e-5)
    np.testing.assert_allclose(points[:, 2], [1.5 - 3.64, 1.5, 1.5 + 3.64], atol=0.032)


def test_nothing_and_too_far_give_no_point() -> None:
    scan = LidarScan([FRONT], rings=1, elevation_deg=(0.0, 0.0), azimuths=1, max_range_m=30.0)
    for depth_m, count in ((0.0, 0), (29.9, 1), (30.1, 0)):
        assert len(scan.points([np.full((241, 321), depth_m, np.float32)])) == count


def test_each_beam_belongs_to_the_camera_that_looks_there() -> None:
    """Front and left overlap between 25 and 45 degrees; half way between their axes is 35."""
    scan = LidarScan([FRONT, LEFT], rings=1, elevation_deg=(0.0, 0.0), azimuths=360)
    depths = [np.full((241, 321), 5.0, np.float32), np.full((161, 201), 7.0, np.float32)]
    points = scan.points(depths)
    # From -45 to 115 degrees, each beam once.
    assert len(points) == 45 + 1 + 115
    from_front = np.abs(points[:, 0] - 6.0) < 1e-4
    assert from_front.sum() in (45 + 35, 45 + 1 + 35)  # the beam half way may fall to either
    # Where one camera sees nothing, the other does not step in: it would see past the edge.
    assert len(scan.points([depths[0] * 0, depths[1]])) == len(points) - from_front.sum()


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6))
def test_points_lie_on_surfaces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses = rng.uniform((-20, -20, -np.pi), (20, 20, np.pi), (8, 3))
    boxes = box_array(poses[np.hypot(*poses[:, :2].T) > 5], size_m=(3.0, 1.5, 1.5))
    cameras = [FRONT, LEFT, REAR]
    shots = [ray_shot(camera, boxes) for camera in cameras]
    depths = [shot.depth_m for shot in shots]
    scan = LidarScan(cameras)
    points = scan.points(depths)
    assert len(points) > 3000
    instances = scan.instances(depths, [shot.instances for shot in shots])
    on_ground = np.abs(points[:, 2]) < 1e-3
    assert np.all(on_ground[instances == 0])
    for row, instance in enumerate(boxes.instance):
        mine = points[instances == instance]
        local = np.abs(boxes.local_xy(mine[:, :2], np.full(len(mine), row)))
        local = np.column_stack([local, np.abs(mine[:, 2] - 0.75)])
        # On its skin: nothing outside, something at the limit.
        room = 0.5 * boxes.size_m[row] - local
        assert np.all(room > -1e-3) and np.all(room.min(axis=1) < 1e-3)


@pytest.mark.parametrize('camera', [FRONT, LEFT, REAR], ids=['front', 'left', 'rear'])
def test_points_lie_along_their_beams(camera: Camera) -> None:
    """To half a pixel: elevation as of their ring, azimuth in whole steps."""
    depth_m = ray_shot(camera, box_array([(8.0, 3.0, 0.5)])).depth_m
    points = LidarScan([camera], azimuths=36).points([depth_m])
    way = points[:, :3] - camera.base_T_camera[:3, 3]
    pixel_deg = np.rad2deg(1.0 / camera.K[0, 0])
    elevation = np.rad2deg(np.arctan2(way[:, 2], np.hypot(way[:, 0], way[:, 1])))
    wanted = np.linspace(-30.0, 10.0, 32)[points[:, 4].astype(int)]
    assert len(points) > 50
    assert np.abs(elevation - wanted).max() < pixel_deg
    azimuth = np.rad2deg(np.arctan2(way[:, 1], way[:, 0]))
    off = np.abs(azimuth - 10.0 * np.rint(azimuth / 10.0)) * np.cos(np.deg2rad(elevation))
    assert off.max() < pixel_deg


def test_counts_of_instances() -> None:
    boxes = box_array([(8.0, 0.0, 0.0), (14.0, 4.0, 0.5), (-30.0, 0.0, 0.0)])
    shot = ray_shot(FRONT, boxes)
    scan = LidarScan([FRONT])
    counts = scan.counts([shot.depth_m], [shot.instances], boxes.instance)
    # Restated: points that lie in a box a little larger than each.
    points = scan.points([shot.depth_m])
    for row, count in enumerate(counts):
        inside = np.abs(boxes.local_xy(points[:, :2], np.full(len(points), row)))
        inside = (inside <= 0.5 * boxes.size_m[row, :2] + 1e-3).all(axis=1) & (points[:, 2] > 1e-3)
        assert count == inside.sum()
    assert counts[0] > counts[1] > 0 == counts[2]


def test_cameras_that_fire_late_give_points_in_the_reference_frame() -> None:
    motion = pose_from_yaw(0.7, 0.1, 0.0, 0.02)
    depth = [ray_shot(FRONT, box_array([(9.0, 1.0, 0.3)])).depth_m]
    scan = LidarScan([FRONT])
    still, moved = scan.points(depth), scan.points(depth, [motion])
    np.testing.assert_allclose(moved[:, :3], transform(motion, still[:, :3]), atol=1e-4)
    np.testing.assert_array_equal(moved[:, 3:], still[:, 3:])
