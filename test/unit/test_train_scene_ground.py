"""Free ground and what stands on it, out of beams by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from bev_trainer.data.scene_ground import lidar_ground
from bev_trainer.data.scene_labels import SceneFrame
from bev_trainer.data.scene_lidar import LidarPoints
from bev_trainer.data.scene_places import LabelPlace
from bev_trainer.data.scene_view import RigView
from bev_trainer.targets.occupancy import occupancy_target
from support.sample_drive.rig import make_camera
from support.truth import truth_objects

from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.raster import object_mask
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.geometry.grid import BevGrid

GRID = BevGrid(-12.0, -10.0, 0.5, 64, 40)
# A roof lidar in the middle of a row of cells, whose centres are at y = 0.25.
HIGH, LOW = (0.0, 0.25, 2.0), (0.0, 0.25, 0.4)


def scan(origin: tuple[float, ...], *points: tuple[float, ...]) -> LidarPoints:
    return LidarPoints(np.array(origin), np.array(points, np.float32).reshape(-1, 3))


def cells(found: np.ndarray, value: int) -> list[tuple[float, float]]:
    """Returns the centres (x, y) of the cells that have a value."""
    return [(float(x), float(y)) for x, y in GRID.cell_centers()[found == value]]


def row(first_m: float, last_m: float) -> list[tuple[float, float]]:
    return [(float(x), 0.25) for x in np.arange(first_m, last_m + 0.1, 0.5)]


def test_a_beam_is_free_where_it_is_low() -> None:
    # From 2 m it falls to the ground: the second half of its way is lower than 1 m.
    found = lidar_ground([scan(HIGH, (10.25, 0.25, 0.0))], GRID)
    assert found.dtype == np.int8 and found.shape == GRID.shape
    assert cells(found, 0) == row(5.25, 9.25) and cells(found, 1) == []
    # That of a low lidar is low from the beginning, until it rises.
    found = lidar_ground([scan(LOW, (10.25, 0.25, 0.2))], GRID)
    assert cells(found, 0) == row(0.25, 9.25)
    found = lidar_ground([scan(LOW, (10.25, 0.25, 1.6))], GRID)
    assert cells(found, 0) == row(0.25, 4.75)
    # High above nothing is learned of the ground.
    assert (lidar_ground([scan(HIGH, (10.25, 0.25, 2.5))], GRID) == -1).all()
    assert (lidar_ground([scan(HIGH)], GRID) == -1).all()


def test_nothing_is_free_behind_a_wall() -> None:
    wall = [(6.25, 0.25, z) for z in (0.1, 0.5, 0.9)]
    found = lidar_ground([scan(LOW, *wall)], GRID)
    assert cells(found, 1) == [(6.25, 0.25)]
    assert cells(found, 0) == row(0.25, 5.25)
    # A beam that passes over it low does not make it free, only what is behind.
    found = lidar_ground([scan((0.0, 0.25, 1.4), *wall, (14.25, 0.25, 0.0))], GRID)
    assert cells(found, 1) == [(6.25, 0.25)] and (13.25, 0.25) in cells(found, 0)


@pytest.mark.parametrize(('height_m', 'value'), [(0.2, 0), (0.6, -1), (2.9, -1), (3.1, 0)])
def test_a_single_point_in_the_way(height_m: float, value: int) -> None:
    """It may be of a slope or of a wall; of a bough it is out of the way."""
    points = ((6.25, 0.25, height_m), (10.25, 0.25, 0.2))
    found = lidar_ground([scan(LOW, *points)], GRID)
    assert found[GRID.to_cell(6.25, 0.25)[:2]] == value
    assert (5.25, 0.25) in cells(found, 0) and (7.25, 0.25) in cells(found, 0)


def test_a_slope_is_not_in_the_way() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(1, 18, 0.1), np.arange(-8, 8, 0.1)))
    up, down = (np.stack([x, y, 0.1 * sign * x], axis=-1) for sign in (1, -1))
    for points in (up, down):
        found = lidar_ground([scan(HIGH, *map(tuple, points))], GRID)
        assert not (found == 1).any() and (found == 0).sum() > 50


def test_lidars_add_up() -> None:
    right = scan((4.25, -3.0, 0.4), (4.25, -8.75, 0.1))
    ahead = scan(LOW, (10.25, 0.25, 0.2))
    both = lidar_ground([right, ahead], GRID)
    alone = [lidar_ground([one], GRID) for one in (right, ahead)]
    np.testing.assert_array_equal(both == 0, (alone[0] == 0) | (alone[1] == 0))
    assert all((one == 0).any() for one in alone)
    # What one goes through is not free where another hits something.
    hits = scan((20.0, 0.0, 0.4), (5.25, 0.25, 0.2), (5.25, 0.25, 0.7))
    assert lidar_ground([hits, ahead], GRID)[GRID.to_cell(5.25, 0.25)[:2]] == 1


@pytest.mark.parametrize('seed', range(4))
def test_random_beams_one_by_one(seed: int) -> None:
    """A cell is free when a beam of its half degree is low at both edges of its ring."""
    rng = np.random.default_rng(seed)
    origin = np.array([*rng.uniform(-4.0, 4.0, 2), (0.4, 1.2, 1.7, 2.2)[seed]])
    angle, range_m = rng.uniform(-np.pi, np.pi, 300), rng.uniform(2.0, 16.0, 300)
    offsets = np.stack([range_m * np.cos(angle), range_m * np.sin(angle)], axis=-1)
    heights = rng.uniform(0.0, 0.29, 300)
    heights[::3] = rng.uniform(4.0, 9.0, 100)  # some rise
    points = np.column_stack([origin[:2] + offsets, heights]).astype(np.float32)
    covered = set()
    for (x, y, z), length_m in zip(points.astype(np.float64), range_m, strict=True):
        degrees = np.rad2deg(np.arctan2(y - origin[1], x - origin[0]))
        for ring in range(80):
            edges_m = 0.25 * ring, 0.25 * (ring + 1)
            low = all(origin[2] + (z - origin[2]) * e / length_m < 1.0 for e in edges_m)
            if low and edges_m[1] <= length_m - 0.5:
                covered.add((int(degrees % 360.0 // 0.5), ring))
    expected = np.full(GRID.shape, -1)
    for iy, ix in np.ndindex(*GRID.shape):
        x, y = GRID.cell_centers()[iy, ix] - origin[:2]
        sector = int(np.rad2deg(np.arctan2(y, x)) % 360.0 // 0.5)
        if (sector, int(np.hypot(x, y) // 0.25)) in covered:
            expected[iy, ix] = 0
    assert (expected == 0).sum() > 30
    np.testing.assert_array_equal(lidar_ground([LidarPoints(origin, points)], GRID), expected)


def test_labels_of_boxes_and_a_lidar() -> None:
    """A car stands in front of a wall; the camera looks ahead alone."""
    objects = truth_objects([(7.0, 0.0, 4.0, 2.0, 0.0)])
    truth = SceneTruth([TruthFrame(1, objects, np.eye(4), {})])
    camera = make_camera('front', 160, 120, 'none', 90.0, (0.0, 0.0, 1.5), 0.0, 5.0)
    azimuth = np.deg2rad(np.delete(np.arange(0.0, 360.0, 0.25), slice(120, 160)))  # 30 to 40
    ring = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=-1) * 9.9
    ring[(ring[:, 0] > 4.9) & (np.abs(ring[:, 1]) < 1.5)] *= 0.5  # the beams end at the car
    points = np.concatenate([np.column_stack([ring, np.full(len(ring), z)]) for z in (0.1, 0.8)])
    lidar = LidarPoints(np.array([0.0, 0.0, 0.5]), points.astype(np.float32))

    def frame(**options: object) -> SceneFrame:
        view = RigView((camera,))
        return SceneFrame(truth, LabelPlace(0, 0, 1), view, scans=lambda: (lidar,), **options)  # type: ignore[arg-type]

    def value(target: np.ndarray, x_m: float, y_m: float) -> int:
        return int(target[GRID.to_cell(x_m, y_m)[:2]])

    labels = frame()
    target = occupancy_target(labels, labels.objects((0.0,)), GRID)
    assert (target[object_mask(objects, GRID)] == 1).all()
    assert value(target, 3.2, 0.1) == 0 and value(target, 6.5, -4.3) == 0
    assert value(target, 9.4, 0.0) == -1  # behind the car
    wall = np.deg2rad(20.0)
    assert value(target, 9.9 * np.cos(wall), 9.9 * np.sin(wall)) == 1
    assert value(target, 4.1, 2.9) == -1  # no beam
    assert (target[:, :20] == -1).all()  # behind, where no camera looks
    # All of it turns with the frame: here a quarter to the left.
    turned = frame(turn_rad=np.pi / 2)
    other = occupancy_target(turned, turned.objects((0.0,)), GRID)
    assert value(other, -0.1, 3.2) == 0 and value(other, 4.3, 6.5) == 0
    assert value(other, -2.9, 4.1) == -1 and value(other, 2.9, 4.1) == 0
    assert value(other, 0.1, 7.0) == 1 and (other[:20] == -1).all()
    # Without lidar, or when nobody looks, nothing is known.
    blind = frame(cameras=np.zeros(1, np.bool_)).obstacles(GRID)
    assert blind is not None and (blind == -1).all()
    assert SceneFrame(truth, LabelPlace(0, 0, 1), RigView((camera,))).obstacles(GRID) is None
