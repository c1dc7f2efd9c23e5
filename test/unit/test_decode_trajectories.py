"""Trajectories: instances under objects, followed to where they go."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bev_perception.decode.instances import BoxTracks, decode_instances, encode_instances
from bev_perception.decode.trajectories import attach_trajectories
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid

GRID = BevGrid.from_range((-10.0, 30.0), (-8.0, 12.0), 0.5)
STEP_S = 0.5


def make_object(
    x: float,
    y: float,
    yaw: float = 0.0,
    size: tuple[float, float, float] = (4.0, 2.0, 1.5),
    z: float = 0.75,
) -> BevObject:
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=0.9,
        classes=(ClassScore(0, 'car', 0.9),),
        center_m=(x, y, z),
        size_m=size,
        yaw_rad=yaw,
    )


def labelled(*rectangles: tuple[int, int, slice, slice], steps: int) -> NDArray[np.int32]:
    """Returns instances [steps, Y, X] from (label, t, y slice, x slice)."""
    instances = np.zeros((steps, *GRID.shape), dtype=np.int32)
    for label, t, ys, xs in rectangles:
        instances[t, ys, xs] = label
    return instances


def attach(
    objects: Sequence[BevObject],
    instances: NDArray[np.int32],
    probability: NDArray[np.float32] | None = None,
) -> tuple[BevObject, ...]:
    if probability is None:
        probability = (instances > 0).astype(np.float32)
    return attach_trajectories(objects, instances, GRID, probability, STEP_S)


def car_cells(x: float, y: float) -> tuple[slice, slice]:
    """Returns the slices of a 4 m x 2 m box along x whose centre is on a corner of cells."""
    ix, iy = round((x - GRID.x_min_m) * 2), round((y - GRID.y_min_m) * 2)
    return slice(iy - 2, iy + 2), slice(ix - 4, ix + 4)


def moving_car(label: int, xs: Sequence[float], y: float) -> NDArray[np.int32]:
    return labelled(*[(label, t, *car_cells(x, y)) for t, x in enumerate(xs)], steps=len(xs))


def test_car_by_hand() -> None:
    instances = moving_car(7, [0.0, 2.5, 5.0], 3.0)
    probability = np.zeros(instances.shape, dtype=np.float32)
    for t, value in enumerate((0.9, 0.6, 0.75)):
        probability[t][instances[t] == 7] = value
    (found,) = attach([make_object(0.3, 2.9)], instances, probability)
    assert found.instance == 7
    (path,) = found.trajectories
    assert path.start_offset_s == 0.0
    assert path.time_step_s == STEP_S
    assert path.positions_m == pytest.approx(
        np.array([[0.3, 2.9, 0.75], [2.8, 2.9, 0.75], [5.3, 2.9, 0.75]])
    )
    assert path.yaws_rad == pytest.approx([0.0, 0.0, 0.0])
    assert path.probability == pytest.approx(0.75)


def test_probability_weighs_every_cell_alike() -> None:
    instances = labelled(
        (1, 0, slice(10, 12), slice(10, 13)), (1, 1, slice(10, 11), slice(10, 12)), steps=2
    )
    probability = np.full(instances.shape, 0.2, dtype=np.float32)
    probability[0], probability[1] = 0.5, 0.9
    (found,) = attach([make_object(-4.25, -2.5)], instances, probability)
    assert found.trajectories[0].probability == pytest.approx((6 * 0.5 + 2 * 0.9) / 8)


def test_other_fields_and_order_are_kept() -> None:
    objects = [make_object(20.0, 3.0), make_object(0.0, 3.0), make_object(10.0, 9.0)]
    found = attach(objects, moving_car(3, [0.0, 1.0], 3.0))
    assert found[0] is objects[0]
    assert found[2] is objects[2]
    assert (found[1].center_m, found[1].classes) == (objects[1].center_m, objects[1].classes)
    assert [o.instance for o in found] == [0, 3, 0]
    assert [len(o.trajectories) for o in found] == [0, 1, 0]


def test_object_gets_the_instance_that_covers_most_of_it() -> None:
    ys, _ = car_cells(0.0, 3.0)
    # The box covers columns 16..23; label 4 has three of them, label 5 five.
    instances = labelled((4, 0, ys, slice(10, 19)), (5, 0, ys, slice(19, 40)), steps=1)
    (found,) = attach([make_object(0.0, 3.0)], instances)
    assert found.instance == 5


def test_an_instance_goes_to_one_object() -> None:
    """A truck's detection owns the truck; the person's beside it, inside its mask, gets none."""
    ys, xs = car_cells(0.0, 3.0)
    instances = labelled((4, 0, ys, xs), steps=1)
    person = make_object(1.0, 3.0, size=(0.7, 0.7, 1.7))
    truck = make_object(0.0, 3.0)
    assert [o.instance for o in attach([person, truck], instances)] == [0, 4]


def test_second_choice_when_the_best_is_taken() -> None:
    ys, _ = car_cells(0.0, 3.0)
    instances = labelled((4, 0, ys, slice(8, 21)), (5, 0, ys, slice(21, 24)), steps=1)
    objects = [make_object(0.0, 3.0), make_object(-4.0, 3.0)]
    # Label 4 covers 5 columns of the first and all 8 of the second.
    assert [o.instance for o in attach(objects, instances)] == [5, 4]


@pytest.mark.parametrize(('distance', 'instance'), [(1.9, 6), (2.1, 0)])
def test_nearest_centroid_within_two_metres(distance: float, instance: int) -> None:
    instances = labelled((6, 0, slice(20, 21), slice(20, 21)), steps=1)  # centre (0.25, 2.25)
    item = make_object(0.25, 2.25 + distance, size=(0.5, 0.5, 1.7))
    assert attach([item], instances)[0].instance == instance


def test_footprint_turns_with_the_heading() -> None:
    instances = labelled((6, 0, slice(26, 28), slice(24, 26)), steps=1)  # centre (2.5, 5.5)
    for degrees, instance in ((45.0, 6), (-135.0, 6), (-45.0, 0), (0.0, 0), (90.0, 0)):
        item = make_object(0.0, 3.0, math.radians(degrees), (8.0, 1.0, 1.5))
        assert attach([item], instances)[0].instance == instance


def test_trajectory_stops_when_the_instance_vanishes() -> None:
    instances = moving_car(2, [0.0, 2.0, 4.0, 6.0], 3.0)
    instances[2] = 0
    probability = np.full(instances.shape, 0.5, dtype=np.float32)
    probability[3] = 1.0
    (found,) = attach([make_object(0.0, 3.0)], instances, probability)
    assert found.trajectories[0].positions_m[:, 0] == pytest.approx([0.0, 2.0])
    assert found.trajectories[0].yaws_rad.shape == (2,)
    assert found.trajectories[0].probability == pytest.approx(0.5)


def test_trajectory_stops_before_the_border_cuts_the_instance() -> None:
    instances = moving_car(2, [22.0, 25.0, 28.0], 3.0)  # the last reaches x = 30
    (found,) = attach([make_object(22.0, 3.0)], instances)
    assert found.trajectories[0].positions_m[:, 0] == pytest.approx([22.0, 25.0])


def test_object_that_comes_in_over_the_border() -> None:
    """Half of it is outside at first: the mean of the visible cells is no measure of the start."""
    instances = moving_car(2, [-8.0, -7.0, -4.0], 3.0)
    instances[0, 20:24, :4], instances[0, 20:24, 4:] = 2, 0  # visible up to x = -8
    (found,) = attach([make_object(-10.0, 3.0)], instances)
    assert found.instance == 2
    assert found.trajectories[0].positions_m[:, 0] == pytest.approx([-10.0, -7.0, -4.0])


def test_object_that_stays_at_the_border_has_no_future() -> None:
    instances = moving_car(2, [-8.0, -8.0, -8.0], 3.0)
    (found,) = attach([make_object(-8.0, 3.0)], instances)
    assert found.trajectories[0].positions_m.tolist() == [[-8.0, 3.0, 0.75]]


def diagonal(steps: int) -> NDArray[np.int32]:
    """Returns a one-cell instance that moves by one cell in x and y per step."""
    cells = [(1, t, slice(10 + t, 11 + t), slice(10 + t, 11 + t)) for t in range(steps)]
    return labelled(*cells, steps=steps)


def test_yaw_turns_towards_the_motion_by_hand() -> None:
    """s^2 = 0.5 m2, noise 0.5 m: w = 0.25 / (0.25 + 0.0625) = 0.8 of the angle per step."""
    (found,) = attach([make_object(-4.75, -2.75, 0.0, (1.0, 1.0, 1.7))], diagonal(4))
    degrees = np.rad2deg(found.trajectories[0].yaws_rad)
    assert degrees == pytest.approx([0.0, 36.0, 43.2, 44.64])


def test_driving_backwards_keeps_the_heading() -> None:
    yaw = math.radians(-135.0)
    (found,) = attach([make_object(-4.75, -2.75, yaw, (1.0, 1.0, 1.7))], diagonal(4))
    assert found.trajectories[0].yaws_rad == pytest.approx([yaw] * 4)


def test_yaw_turns_the_short_way_across_pi() -> None:
    instances = moving_car(2, [10.0, 5.0, 0.0], 3.0)
    yaw = math.radians(-170.0)
    (found,) = attach([make_object(10.0, 3.0, yaw)], instances)
    degrees = np.rad2deg(found.trajectories[0].yaws_rad)
    assert np.all((degrees < -170.0 + 1e-9) | (degrees > 179.0))
    assert abs(abs(degrees[-1]) - 180.0) < 0.1


def test_standing_object_keeps_its_yaw() -> None:
    """The mask flickers by a column: 0.25 m of seeming motion along x, forth and back.

    Over two steps that is nothing; at the last step s = 0.25 m, w = 1 / (1 + 2^4) = 1 / 17.
    """
    instances = np.zeros((5, *GRID.shape), dtype=np.int32)
    for t in range(5):
        ys, xs = car_cells(5.0, 3.0)
        instances[t, ys, xs.start + t % 2 : xs.stop] = 1
    (found,) = attach([make_object(5.0, 3.0, 1.0)], instances)
    assert found.trajectories[0].yaws_rad == pytest.approx([1.0, 1.0, 1.0, 1.0, 1.0 - 1 / 17])


def test_circle() -> None:
    """A car on a circle of 15 m at 8 m/s, through encoding and decoding of its instances."""
    angle = -0.8 + 8.0 * STEP_S / 15.0 * np.arange(5)
    centers = np.stack([10.0 + 15.0 * np.sin(angle), 15.0 - 15.0 * np.cos(angle)], axis=-1)
    size = np.array([[4.5, 1.9]])
    tracks = BoxTracks(np.array([1]), centers[:, None], angle[:, None], size)
    maps, _ = encode_instances(tracks, GRID)
    instances = decode_instances(maps, GRID)
    item = make_object(float(centers[0, 0]), float(centers[0, 1]), angle[0], (4.5, 1.9, 1.5))
    (found,) = attach([item], instances, maps.probability)
    path = found.trajectories[0]
    assert path.positions_m.shape == (5, 3)
    assert np.linalg.norm(path.positions_m[:, :2] - centers, axis=-1).max() < 0.25
    # The last direction is that of a chord, half a step behind.
    assert path.yaws_rad[:-1] == pytest.approx(angle[:-1], abs=math.radians(4.0))
    assert path.yaws_rad[-1] == pytest.approx(angle[-1] - 2.0 / 15.0, abs=math.radians(4.0))
    assert path.probability == 1.0


@pytest.mark.parametrize('seed', range(10))
def test_random_motion_comes_back(seed: int) -> None:
    """Every object of random straight traffic is linked to its own instance and follows it."""
    rng = np.random.default_rng(seed)
    rows = np.arange(-6.0, 11.0, 3.0)
    x, speed = rng.uniform(-5.0, 20.0, len(rows)), rng.uniform(-2.0, 2.0, len(rows))
    times = STEP_S * np.arange(4)
    centers = np.stack([x + times[:, None] * speed, np.broadcast_to(rows, (4, len(rows)))], -1)
    sizes = np.tile([4.5, 1.9], (len(rows), 1))
    labels = np.arange(1, len(rows) + 1)
    maps, truth = encode_instances(
        BoxTracks(labels, centers, np.zeros((4, len(rows))), sizes), GRID
    )
    shuffled = rng.permutation(len(rows))
    objects = [
        make_object(centers[0, m, 0], centers[0, m, 1], size=(4.5, 1.9, 1.5)) for m in shuffled
    ]
    for item, m in zip(attach(objects, truth, maps.probability), shuffled, strict=True):
        assert item.instance == labels[m]
        path = item.trajectories[0]
        # Half a cell of rounding at the start and half at the step itself.
        assert path.positions_m[:, :2] == pytest.approx(centers[:, m], abs=0.5)
        assert path.positions_m[0, :2] == pytest.approx(centers[0, m])


def test_nothing_to_link() -> None:
    empty = np.zeros((3, *GRID.shape), dtype=np.int32)
    assert attach([], empty) == ()
    assert attach([], moving_car(1, [0.0, 1.0], 3.0)) == ()
    item = make_object(0.0, 3.0)
    assert attach([item], empty) == (item,)
