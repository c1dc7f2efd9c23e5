"""Objects out of heatmaps: hand-made peaks, and what is encoded comes back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bev_perception.decode.gaussian import gaussian_patch, gaussian_radius
from bev_perception.decode.objects import ObjectMaps, decode_objects, encode_objects
from bev_perception.decode.suppression import circle_suppression, is_peak
from bev_perception.errors import ConfigError
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid

CLASSES = ('car', 'truck', 'pedestrian')
# Longer along x than along y and not centred: swapped axes cannot pass.
GRID = BevGrid.from_range((-10.0, 30.0), (-8.0, 12.0), 0.5)


def make_object(
    kind: str,
    x: float,
    y: float,
    z: float = 0.7,
    size: tuple[float, float, float] = (4.5, 1.9, 1.6),
    yaw: float = 0.3,
    velocity: tuple[float, float] | None = (1.0, -2.0),
) -> BevObject:
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=1.0,
        classes=(ClassScore(CLASSES.index(kind), kind, 1.0),),
        center_m=(x, y, z),
        size_m=size,
        yaw_rad=yaw,
        velocity_mps=velocity,
    )


def blank_maps() -> ObjectMaps:
    """Returns maps without an object, whose boxes would be 1 m cubes in the cell centres."""

    def zeros(*channels: int) -> NDArray[np.float32]:
        return np.zeros((*channels, *GRID.shape), dtype=np.float32)

    yaw = zeros(2)
    yaw[1] = 1.0
    return ObjectMaps(zeros(3), zeros(2), zeros(), zeros(3), yaw, zeros(2))


def decode(
    maps: ObjectMaps, threshold: float = 0.3, max_objects: int = 100, radius: float = 1.0
) -> tuple[BevObject, ...]:
    return decode_objects(maps, GRID, CLASSES, threshold, max_objects, radius)


def assert_same(found: BevObject, expected: BevObject) -> None:
    assert found.classes[0].name == expected.classes[0].name
    assert found.center_m == pytest.approx(expected.center_m, abs=1e-5)
    assert found.size_m == pytest.approx(expected.size_m, rel=1e-5)
    turn = math.remainder(found.yaw_rad - expected.yaw_rad, 2.0 * math.pi)
    assert abs(turn) < 1e-5
    assert found.velocity_mps == (
        None if expected.velocity_mps is None else pytest.approx(expected.velocity_mps, rel=1e-5)
    )


def test_one_peak_read_by_hand() -> None:
    maps = blank_maps()
    iy, ix = 6, 50
    # Cell centre: x = -10 + 50.5 / 2 = 15.25, y = -8 + 6.5 / 2 = -4.75.
    maps.heatmap[:, iy, ix] = 0.2, 0.9, 0.4
    maps.center_offset[:, iy, ix] = 0.5, -0.25
    maps.center_z[iy, ix] = 1.5
    maps.log_size[:, iy, ix] = np.log([8.0, 2.5, 3.0])
    maps.yaw_sin_cos[:, iy, ix] = 3.0, 3.0
    maps.velocity[:, iy, ix] = 4.0, -1.0
    (found,) = decode(maps)
    assert found.center_m == pytest.approx((15.25 + 0.25, -4.75 - 0.125, 1.5))
    assert found.size_m == pytest.approx((8.0, 2.5, 3.0))
    assert found.yaw_rad == pytest.approx(math.pi / 4)
    assert found.velocity_mps == (4.0, -1.0)
    assert found.existence_probability == pytest.approx(0.9)
    assert [(s.index, s.name) for s in found.classes] == [
        (1, 'truck'),
        (2, 'pedestrian'),
        (0, 'car'),
    ]
    assert [s.probability for s in found.classes] == pytest.approx([0.9, 0.4, 0.2])
    assert found.object_id == bytes(16)
    assert (found.age_frames, found.instance, found.trajectories) == (0, 0, ())


def test_yaw_is_below_pi() -> None:
    maps = blank_maps()
    maps.heatmap[0, 3, 3] = 1.0
    maps.yaw_sin_cos[:, 3, 3] = 0.0, -1.0
    assert decode(maps)[0].yaw_rad == -math.pi


def test_threshold_is_inclusive_and_neighbours_are_no_peaks() -> None:
    maps = blank_maps()
    maps.heatmap[0, 10, 10:13] = 0.4, 0.5, 0.3
    maps.heatmap[0, 11, 12] = 0.45
    maps.heatmap[0, 20, 20] = 0.25
    maps.heatmap[0, 30, 30] = 0.125
    found = decode(maps, threshold=0.25, radius=0.0)
    assert [o.existence_probability for o in found] == [0.5, 0.25]


def test_peaks_at_the_border_and_corners_count() -> None:
    maps = blank_maps()
    last_y, last_x = GRID.size_y - 1, GRID.size_x - 1
    for iy, ix in ((0, 0), (last_y, last_x), (0, last_x), (last_y, 7)):
        maps.heatmap[0, iy, ix] = 0.8
    found = {o.center_m[:2] for o in decode(maps)}
    assert found == {(-9.75, -7.75), (29.75, 11.75), (29.75, -7.75), (-6.25, 11.75)}


@pytest.mark.parametrize(('radius', 'left'), [(1.9, 2), (2.0, 2), (2.1, 1)])
def test_suppression_works_across_classes(radius: float, left: int) -> None:
    maps = blank_maps()
    maps.heatmap[0, 10, 10] = 0.6
    maps.heatmap[2, 10, 14] = 0.7  # 4 cells, 2 m
    found = decode(maps, radius=radius)
    assert len(found) == left
    assert found[0].classes[0].name == 'pedestrian'


def test_suppression_uses_box_centres_not_cells() -> None:
    maps = blank_maps()
    maps.heatmap[0, 10, 10] = 0.6
    maps.heatmap[0, 10, 14] = 0.7
    maps.center_offset[0, 10, 14] = 1.0  # 2.5 m apart
    assert len(decode(maps, radius=2.4)) == 2


def test_suppressed_objects_do_not_suppress() -> None:
    points = np.array([[0.0, 0.0], [1.5, 0.0], [3.0, 0.0]])
    assert circle_suppression(points, 2.0, 9).tolist() == [0, 2]
    assert circle_suppression(points, 2.0, 1).tolist() == [0]
    assert circle_suppression(points, 0.0, 9).tolist() == [0, 1, 2]
    assert circle_suppression(points[:0], 2.0, 9).tolist() == []


def test_ties_follow_class_then_y_then_x() -> None:
    maps = blank_maps()
    for kind, iy, ix in ((1, 3, 3), (0, 9, 5), (0, 9, 50), (0, 30, 2), (2, 1, 1)):
        maps.heatmap[kind, iy, ix] = 0.5
    maps.heatmap[2, 20, 20] = 0.75
    found = decode(maps)
    assert [o.classes[0].index for o in found] == [2, 0, 0, 0, 1, 2]
    assert [o.center_m[:2] for o in found[1:4]] == [(-7.25, -3.25), (15.25, -3.25), (-8.75, 7.25)]
    assert decode(maps, max_objects=3) == found[:3]


def test_best_are_kept_on_a_map_full_of_peaks() -> None:
    rng = np.random.default_rng(3)
    maps = blank_maps()
    peaks = maps.heatmap[:, ::2, ::2]
    peaks[:] = rng.permutation(peaks.size).reshape(peaks.shape) / peaks.size
    found = decode(maps, threshold=0.0, max_objects=5, radius=0.0)
    best = np.sort(maps.heatmap.ravel())[::-1][:5]
    assert [o.existence_probability for o in found] == pytest.approx(best.tolist())


def test_unusable_regressions() -> None:
    maps = blank_maps()
    maps.heatmap[0, 5, 5], maps.heatmap[0, 5, 15], maps.heatmap[0, 5, 25] = 0.9, 0.8, 0.7
    maps.log_size[0, 5, 5] = 1e4  # would be infinitely long
    maps.center_z[5, 15] = np.nan
    maps.velocity[1, 5, 25] = np.nan
    (found,) = decode(maps)
    assert found.existence_probability == pytest.approx(0.7)
    assert found.velocity_mps is None


def with_existence(values: dict[tuple[int, int], tuple[float, float]]) -> ObjectMaps:
    """Returns maps with car peaks of (heatmap, existence) in cells (iy, ix)."""
    exists = np.zeros(GRID.shape, dtype=np.float32)
    maps = replace(blank_maps(), existence=exists)
    for (iy, ix), (peak, existence) in values.items():
        maps.heatmap[0, iy, ix] = peak
        exists[iy, ix] = existence
    return maps


@pytest.mark.parametrize(
    ('power', 'score'), [(0.0, 0.64), (0.5, 0.48), (1.0, 0.36), (0.25, 0.64**0.75 * 0.36**0.25)]
)
def test_existence_by_hand(power: float, score: float) -> None:
    maps = with_existence({(10, 10): (0.64, 0.36)})
    (found,) = decode_objects(maps, GRID, CLASSES, 0.3, 100, 1.0, existence_power=power)
    assert found.existence_probability == pytest.approx(score)
    assert found.classes[0].probability == pytest.approx(0.64)
    assert decode_objects(maps, GRID, CLASSES, score * 1.001, 9, 1.0, existence_power=power) == ()
    assert decode_objects(maps, GRID, CLASSES, score * 0.999, 9, 1.0, existence_power=power)


def test_existence_orders_and_suppresses() -> None:
    # Scores 0.6 and 0.81, a metre apart, and 0.3.
    maps = with_existence({(10, 10): (0.9, 0.4), (10, 12): (0.81, 0.81), (30, 30): (0.9, 0.1)})
    both = decode(maps, 0.2, radius=0.5)
    assert [o.existence_probability for o in both] == pytest.approx([0.81, 0.6, 0.3])
    assert [o.center_m[0] for o in both] == [-3.75, -4.75, 5.25]
    assert [o.center_m[0] for o in decode(maps, 0.2, radius=1.5)] == [-3.75, 5.25]
    assert [o.center_m[0] for o in decode(maps, 0.2, radius=1.5, max_objects=1)] == [-3.75]


def test_faint_peak_of_a_sure_box_counts() -> None:
    (found,) = decode(with_existence({(10, 10): (0.1, 1.0)}), threshold=0.3)
    assert found.existence_probability == pytest.approx(math.sqrt(0.1))


def test_existence_is_encoded_at_centres() -> None:
    maps = encode_objects([make_object('car', 2.6, 0.0)], GRID, CLASSES)
    assert maps.existence is not None
    assert np.argwhere(maps.existence).tolist() == [[16, 25]]
    (found,) = decode(maps)
    assert found.existence_probability == 1.0
    # A bump alone, whose centre is no object's, is worth nothing.
    (moved,) = decode(replace(maps, existence=np.roll(maps.existence, 1, axis=1)), threshold=0.0)[
        :1
    ]
    assert moved.existence_probability == 0.0


def test_nothing_found() -> None:
    assert decode(blank_maps()) == ()


def test_encoded_car_by_hand() -> None:
    # x = 2.6: cell 25 with centre 2.75; y = 0.0: cell 16 with centre 0.25.
    maps = encode_objects([make_object('car', 2.6, 0.0, yaw=math.pi / 2)], GRID, CLASSES)
    assert maps.heatmap.dtype == np.float32
    assert np.argwhere(maps.heatmap == 1.0).tolist() == [[0, 16, 25]]
    assert maps.center_offset[:, 16, 25] == pytest.approx([-0.3, -0.5], abs=1e-6)
    assert maps.log_size[:, 16, 25] == pytest.approx(np.log([4.5, 1.9, 1.6]))
    assert maps.yaw_sin_cos[:, 16, 25] == pytest.approx([1.0, 0.0], abs=1e-6)
    # Radius: 1.6 cells by overlap, so the least one, 2; sigma = 5 / 6.
    row = np.exp(-np.array([4.0, 1.0, 0.0, 1.0, 4.0]) / (2.0 * (5.0 / 6.0) ** 2))
    assert maps.heatmap[0, 16, 23:28] == pytest.approx(row)
    assert maps.heatmap[0, 14, 25] == pytest.approx(row[0])
    assert np.count_nonzero(maps.heatmap) == 25
    for regression in (maps.center_offset[0], maps.center_z, maps.log_size[2], maps.velocity[1]):
        assert np.argwhere(np.isfinite(regression)).tolist() == [[16, 25]]


def test_bumps_of_a_class_meet_at_the_higher_value() -> None:
    near = [make_object('car', 2.6, 0.0), make_object('car', 4.1, 0.0)]  # 3 cells
    both = encode_objects(near, GRID, CLASSES).heatmap
    single = [encode_objects([item], GRID, CLASSES).heatmap for item in near]
    assert np.array_equal(both, np.maximum(*single))


def test_bump_is_cut_at_the_border() -> None:
    maps = encode_objects([make_object('car', -9.9, 11.9)], GRID, CLASSES)
    assert np.array_equal(maps.heatmap[0, -3:, :3], gaussian_patch(2)[:3, 2:])
    assert np.count_nonzero(maps.heatmap) == 9


def test_objects_outside_the_grid_are_left_out() -> None:
    maps = encode_objects([make_object('car', 30.1, 0.0)], GRID, CLASSES)
    assert not maps.heatmap.any()
    assert np.isnan(maps.center_z).all()


def test_unknown_class_is_named() -> None:
    tram = replace(make_object('car', 0.0, 0.0), classes=(ClassScore(0, 'tram', 1.0),))
    with pytest.raises(ConfigError, match=r"'tram'.*'truck'"):
        encode_objects([tram], GRID, CLASSES)


def test_unknown_velocity_comes_back_unknown() -> None:
    expected = make_object('car', 3.0, 3.0, velocity=None)
    (found,) = decode(encode_objects([expected], GRID, CLASSES))
    assert found.velocity_mps is None


@pytest.mark.parametrize('seed', range(20))
def test_what_is_encoded_comes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    objects: list[BevObject] = []
    while len(objects) < 25:
        x, y = rng.uniform(-10.0, 30.0), rng.uniform(-8.0, 12.0)
        if all(math.dist((x, y), o.center_m[:2]) > 1.6 for o in objects):
            objects.append(
                make_object(
                    str(rng.choice(CLASSES)),
                    x,
                    y,
                    rng.uniform(-1.0, 2.0),
                    tuple(rng.uniform(0.4, 15.0, 3)),
                    rng.uniform(-math.pi, math.pi),
                    tuple(rng.uniform(-20.0, 20.0, 2)),
                )
            )
    found = decode(encode_objects(objects, GRID, CLASSES), threshold=0.99, radius=1.5)
    assert len(found) == len(objects)
    for item in found:
        expected = min(objects, key=lambda o: math.dist(o.center_m, item.center_m))
        assert_same(item, expected)


@pytest.mark.parametrize('overlap', [0.1, 0.3, 0.7])
@pytest.mark.parametrize(('length', 'width'), [(9.0, 3.8), (1.0, 1.0), (24.0, 6.0), (3.0, 30.0)])
def test_gaussian_radius_is_the_largest_that_keeps_the_overlap(
    length: float, width: float, overlap: float
) -> None:
    def iou(low: float, high: float) -> float:
        """IoU of [0, length] x [0, width] and the box with corners moved by low and high."""
        other = np.array([[low, low], [length + high, width + high]])
        sides = other[1] - other[0]
        shared = np.minimum(other[1], [length, width]) - np.maximum(other[0], 0.0)
        area = np.prod(np.maximum(shared, 0.0))
        return area / (length * width + np.prod(sides) - area)

    def worst(radius: float) -> float:
        return min(iou(radius, -radius), iou(-radius, radius), iou(radius, radius))

    radius = gaussian_radius(length, width, overlap)
    assert worst(radius) == pytest.approx(overlap)
    assert worst(0.99 * radius) > overlap
    assert worst(1.01 * radius) < overlap


def test_gaussian_patch() -> None:
    patch = gaussian_patch(3)
    assert patch.shape == (7, 7)
    assert patch[3, 3] == 1.0
    assert patch[3, 0] == pytest.approx(math.exp(-9.0 / (2.0 * (7.0 / 6.0) ** 2)))
    assert np.array_equal(patch, patch.T)


def test_peaks_against_a_loop() -> None:
    values = np.random.default_rng(1).integers(0, 6, (2, 9, 11)).astype(np.float32)
    expected = np.zeros(values.shape, dtype=bool)
    for plane, iy, ix in np.ndindex(values.shape):
        around = values[plane, max(iy - 1, 0) : iy + 2, max(ix - 1, 0) : ix + 2]
        expected[plane, iy, ix] = values[plane, iy, ix] == around.max()
    assert np.array_equal(is_peak(values, np.ones((3, 3), dtype=np.uint8)), expected)
