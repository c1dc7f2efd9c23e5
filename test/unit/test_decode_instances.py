"""Instances over time: maps of a perfect model give back every object, always the same one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from bev_perception.decode.center_votes import VoteRadii, cluster_votes, nearest_center
from bev_perception.decode.grouping import compact, group_mean
from bev_perception.decode.instances import (
    BoxTracks,
    MotionMaps,
    decode_instances,
    encode_instances,
)
from bev_perception.evaluation.metrics.panoptic_counts import panoptic_counts
from bev_perception.geometry.grid import BevGrid

Array = NDArray[np.float64]
Labels = NDArray[np.int32]

# Longer along x than along y and not centred: swapped axes cannot pass.
GRID = BevGrid.from_range((-20.0, 40.0), (-24.0, 16.0), 0.5)
CAR = (4.5, 1.9)


def straight(
    start: tuple[float, float], velocity: tuple[float, float], steps: int = 4, dt: float = 0.5
) -> Array:
    """Returns centres [T + 1, 2] of a motion at constant velocity."""
    return np.array(start) + dt * np.arange(steps + 1)[:, None] * np.array(velocity)


def make_tracks(
    paths: Sequence[Array],
    yaws: ArrayLike | None = None,
    sizes: ArrayLike | None = None,
) -> BoxTracks:
    """Returns tracks labelled 11, 12, ..., heading along their first step if no yaw is given."""
    centers = np.stack(paths, axis=1)
    if yaws is None:
        step = centers[1] - centers[0]
        yaws = np.arctan2(step[:, 1], step[:, 0])
    yaws = np.broadcast_to(yaws, centers.shape[:2]).astype(float)
    sizes = np.array([CAR] * len(paths) if sizes is None else sizes, dtype=float)
    return BoxTracks(np.arange(len(paths)) + 11, centers, yaws, sizes)


def segments(instances: Labels) -> dict[int, NDArray[np.bool_]]:
    return {int(label): instances == label for label in np.unique(instances) if label}


def video_panoptic_quality(found: Labels, truth: Labels) -> tuple[float, int]:
    """Returns (VPQ, identity switches)."""
    counts = panoptic_counts(found, truth)
    return counts.quality, counts.switches


def assert_perfect(found: Labels, truth: Labels) -> None:
    """Checks that labels map one to one over all steps, cell by cell."""
    quality, switches = video_panoptic_quality(found, truth)
    assert (quality, switches) == (1.0, 0)
    pairs = np.unique(found.astype(np.int64) * 1000 + truth)
    assert len(pairs) == len(np.unique(truth)) == len(np.unique(found))
    assert np.array_equal(found > 0, truth > 0)


def follow_by_overlap(truth: Labels) -> Labels:
    """Returns the labels that plain overlap with the step before would give: no flow used."""
    labels = [truth[0].copy()]
    for now in truth[1:]:
        result = np.zeros_like(now)
        for part in segments(now).values():
            below = labels[-1][part]
            below = below[below > 0]
            result[part] = np.bincount(below).argmax() if below.size else labels[-1].max() + 50
        labels.append(result)
    return np.stack(labels)


# Car 12 is at the third step where car 11 was at the second.
CROSSING = make_tracks([straight((-5.0, 0.0), (9.0, 0.0)), straight((4.0, -15.0), (0.0, 10.0))])
# Car 12 is at every step where car 11 was the step before.
CONVOY = make_tracks([straight((0.0, 1.0), (10.0, 0.0)), straight((-5.0, 1.0), (10.0, 0.0))])
PARALLEL = make_tracks(
    [
        straight((-10.0, -2.2), (12.0, 0.0)),
        straight((-10.0, 0.0), (11.0, 0.0)),
        straight((-12.0, 2.2), (12.0, 0.0)),
        straight((25.0, 4.4), (-12.0, 0.0)),
    ]
)
OVERTAKING = make_tracks([straight((0.0, 0.0), (5.0, 0.0)), straight((-6.0, 2.3), (16.0, 0.0))])
# Car 12 comes to where car 11 was two steps before.
SAME_PLACE = make_tracks([straight((0.0, 0.0), (10.0, 0.0)), straight((10.0, -15.0), (0.0, 8.0))])


@pytest.mark.parametrize(
    'tracks',
    [CROSSING, CONVOY, PARALLEL, OVERTAKING, SAME_PLACE],
    ids=['crossing', 'convoy', 'parallel', 'overtaking', 'same place'],
)
def test_perfect_maps_give_perfect_instances(tracks: BoxTracks) -> None:
    maps, truth = encode_instances(tracks, GRID)
    assert_perfect(decode_instances(maps, GRID), truth)


@pytest.mark.parametrize('tracks', [CROSSING, CONVOY], ids=['crossing', 'convoy'])
def test_overlap_alone_loses_identities(tracks: BoxTracks) -> None:
    """The scenes are hard: without flow, identities switch."""
    _, truth = encode_instances(tracks, GRID)
    assert video_panoptic_quality(follow_by_overlap(truth), truth)[1] > 0


def test_labels_count_up_from_one() -> None:
    maps, _ = encode_instances(PARALLEL, GRID)
    instances = decode_instances(maps, GRID)
    assert instances.dtype == np.int32
    assert np.unique(instances[0]).tolist() == [0, 1, 2, 3, 4]


def test_encoded_car_by_hand() -> None:
    # 4 m x 2 m along x, moving one metre per step: 8 x 4 cells.
    tracks = make_tracks([straight((2.0, 0.0), (2.0, 0.0), steps=1)], sizes=[(4.0, 2.0)])
    maps, instances = encode_instances(tracks, GRID)
    assert np.argwhere(instances[0]).min(axis=0).tolist() == [46, 40]
    assert np.argwhere(instances[0]).max(axis=0).tolist() == [49, 47]
    assert np.argwhere(instances[1]).min(axis=0).tolist() == [46, 42]
    assert set(np.unique(instances)) == {0, 11}
    assert np.array_equal(maps.probability, (instances > 0).astype(np.float32))
    # Cell (46, 42) has its centre at (1.25, -0.75).
    assert maps.flow_m[0, :, 46, 42] == pytest.approx([0.75, 0.75])
    assert maps.flow_m[1, :, 46, 42] == pytest.approx([0.75, 0.75])
    # Cell (46, 49) is covered at t = 1 only; the centre one step before is (2, 0).
    assert maps.flow_m[0, :, 46, 49] == pytest.approx([0.0, 0.0])
    assert maps.flow_m[1, :, 46, 49] == pytest.approx([2.0 - 4.75, 0.75])


def test_smaller_box_lies_on_top() -> None:
    still = [straight((0.0, 0.0), (0.0, 0.0)), straight((1.0, 0.0), (0.0, 0.0))]
    small_first = make_tracks(still, yaws=0.0, sizes=[(1.0, 1.0), (10.0, 3.0)])
    _, instances = encode_instances(small_first, GRID)
    assert np.count_nonzero(instances[0] == 11) == 4
    assert np.count_nonzero(instances[0] == 12) == 20 * 6 - 4


def test_threshold_is_inclusive() -> None:
    maps, truth = encode_instances(CROSSING, GRID)
    faint = replace(maps, probability=np.where(truth == 11, 0.4, maps.probability * 0.25))
    assert not decode_instances(faint, GRID, threshold=0.41).any()
    assert np.array_equal(decode_instances(faint, GRID, threshold=0.4) > 0, truth == 11)
    assert np.array_equal(decode_instances(faint, GRID, threshold=0.25) > 0, truth > 0)


def test_an_instance_needs_one_cell_that_is_sure() -> None:
    maps, truth = encode_instances(CROSSING, GRID)
    labels = np.unique(truth[0][truth[0] > 0])
    faint = np.where(truth > 0, 0.4, 0.0).astype(np.float32)
    one = int(labels[0])
    iy, ix = np.argwhere(truth[0] == one)[0]
    faint[0, iy, ix] = 0.8
    for sure, expected in ((0.4, set(labels.tolist())), (0.8, {one}), (0.81, set())):
        found = decode_instances(
            replace(maps, probability=faint), GRID, threshold=0.3, instance_threshold=sure
        )
        assert np.array_equal(found > 0, np.isin(truth, list(expected)))
        # It keeps all of its cells, and its label when no cell is sure any longer.
        assert np.unique(found[found > 0]).tolist() == list(range(1, len(expected) + 1))


def test_later_instances_need_it_too() -> None:
    maps, truth = encode_instances(CROSSING, GRID)
    one, other = np.unique(truth[0][truth[0] > 0])[:2].tolist()
    probability = np.where(truth == one, 0.9, 0.0) + np.where(truth == other, 0.5, 0.0)
    probability[0][truth[0] == other] = 0.0
    late = replace(maps, probability=probability.astype(np.float32))
    at_ease = decode_instances(late, GRID, threshold=0.3)
    strict = decode_instances(late, GRID, threshold=0.3, instance_threshold=0.6)
    there = truth > 0
    there[0] = truth[0] == one
    assert np.array_equal(at_ease > 0, there & np.isin(truth, [one, other]))
    assert np.array_equal(strict > 0, truth == one)


def test_flow_of_one_that_was_not_there() -> None:
    """It leads to where it was then on a straight line; one seen once is taken to stand."""
    paths = [straight((0.0, 0.0), (4.0, 0.0)) for _ in range(3)]
    paths[0][2] = np.nan  # hidden at t = 2: between 2 and 6
    paths[1][:2] = np.nan  # appears at t = 2
    paths[2][:4] = np.nan  # there at the last step only
    for k, path in enumerate(paths):
        path[:, 1] += 4.0 * k
    maps, truth = encode_instances(make_tracks(paths, yaws=0.0), GRID)
    x_m, _ = GRID.axis_centers()

    def told(label: int, t: int) -> float:
        """Returns the x at which the flow of its cells points."""
        iy, ix = np.nonzero(truth[t] == label)
        places = x_m[ix] + maps.flow_m[t, 0, iy, ix]
        assert np.ptp(places) < 1e-5
        return float(places.mean())

    assert [told(11, t) for t in (0, 1, 3, 4)] == pytest.approx([0.0, 0.0, 4.0, 6.0])
    assert [told(12, t) for t in (2, 3, 4)] == pytest.approx([2.0, 4.0, 6.0])
    assert told(13, 4) == pytest.approx(8.0)


def test_small_groups_are_no_instance() -> None:
    paths = [straight((0.0, 0.0), (0.0, 0.0)), straight((10.0, 0.0), (0.0, 0.0))]
    maps, truth = encode_instances(make_tracks(paths, 0.0, [(1.0, 0.5), (1.5, 0.5)]), GRID)
    counts = [int(np.count_nonzero(truth[0] == label)) for label in (11, 12)]
    assert counts == [4, 8]
    instances = decode_instances(maps, GRID, min_cells=counts[0] + 1)
    assert np.array_equal(instances > 0, truth == 12)
    assert_perfect(decode_instances(maps, GRID, min_cells=counts[0]), truth)


def test_object_that_enters_gets_a_new_label_and_keeps_it() -> None:
    paths = [straight((0.0, 0.0), (6.0, 0.0)), straight((49.0, -8.0), (-14.0, 0.0))]
    maps, truth = encode_instances(make_tracks(paths), GRID)
    assert not (truth[0] == 12).any()
    assert (truth[2] == 12).any()
    instances = decode_instances(maps, GRID, min_cells=1)
    assert_perfect(instances, truth)
    assert np.unique(instances[truth == 12]).tolist() == [2]


def test_object_that_leaves_with_its_centre_outside() -> None:
    paths = [straight((36.0, 0.0), (4.0, 0.5)), straight((30.0, 5.0), (5.0, 0.0))]
    maps, truth = encode_instances(make_tracks(paths), GRID)
    # At the third step the centre is 41 > 40, and the tail is still inside.
    assert (truth[2] == 11).any()
    assert_perfect(decode_instances(maps, GRID, min_cells=1), truth)


@pytest.mark.parametrize(('start', 'speed', 'length'), [(33.0, 8.0, 12.0), (36.0, 10.0, 17.0)])
def test_bus_that_leaves(start: float, speed: float, length: float) -> None:
    """Its centre is outside for a step or more while the rear is in view, far from the centre.

    Someone who stands at the border is nearer to that centre than the middle of the rear.
    """
    paths = [
        straight((start, 0.0), (speed, 0.0)),
        straight((36.0, 4.0), (-8.0, 0.0)),
        straight((38.9, -2.2), (0.0, 0.0)),
    ]
    sizes = [(length, 2.6), CAR, (1.0, 1.0)]
    maps, truth = encode_instances(make_tracks(paths, sizes=sizes), GRID)
    last = np.flatnonzero((truth == 11).any(axis=(1, 2)))[-1]
    assert start + 0.5 * speed * (last - 1) > GRID.x_max_m
    assert_perfect(decode_instances(maps, GRID, min_cells=1), truth)


def test_object_across_the_border_at_the_start() -> None:
    # Centre 1.5 m outside: the votes meet beyond the grid.
    paths = [straight((10.0, -25.5), (0.0, 4.0)), straight((15.0, -23.0), (0.0, 0.0))]
    maps, truth = encode_instances(make_tracks(paths, yaws=[math.pi / 2, 0.0]), GRID)
    assert (truth[0] == 11).any()
    assert_perfect(decode_instances(maps, GRID, min_cells=1), truth)


@pytest.mark.parametrize('hidden', [(2,), (2, 3), (3,)])
def test_hidden_object_comes_back_as_itself(hidden: tuple[int, ...]) -> None:
    """A car passes behind another one and is not seen meanwhile; its flow then still is right."""
    paths = [straight((-5.0, 3.0), (10.0, 0.0)), straight((9.0, 0.0), (-3.0, 0.0))]
    maps, truth = encode_instances(make_tracks(paths), GRID)
    probability = maps.probability.copy()
    for t in hidden:
        probability[t][truth[t] == 11] = 0.0
    instances = decode_instances(MotionMaps(probability, maps.flow_m), GRID)
    seen = np.where(probability > 0.5, truth, 0)
    assert_perfect(instances, seen)
    assert (seen[4] == 11).any()


def test_hole_where_the_flow_points() -> None:
    """Cells around the centre drop out for a step; the ring still leads to the label."""
    maps, truth = encode_instances(CROSSING, GRID)
    probability = maps.probability.copy()
    iy, ix, _ = GRID.to_cell(*CROSSING.centers_m[1, 0])
    probability[1, iy - 1 : iy + 2, ix - 1 : ix + 2] = 0.0
    assert truth[1, iy, ix] == 11
    instances = decode_instances(MotionMaps(probability, maps.flow_m), GRID)
    assert_perfect(instances, np.where(probability > 0.5, truth, 0))


def test_object_of_which_only_a_part_is_seen() -> None:
    """The rear half of a truck is missing for a step: its middle is known, its mean is off."""
    truck = make_tracks([straight((0.0, 0.0), (8.0, 0.0))], sizes=[(12.0, 2.6)])
    maps, truth = encode_instances(truck, GRID)
    probability = maps.probability.copy()
    probability[1][:, GRID.axis_centers()[0] < 3.5] = 0.0  # centre at 4, rear end at -2
    instances = decode_instances(MotionMaps(probability, maps.flow_m), GRID)
    assert np.count_nonzero(instances[1]) < 0.6 * np.count_nonzero(instances[0])
    assert_perfect(instances, np.where(probability > 0.5, truth, 0))


def test_new_object_beside_another_is_not_swallowed() -> None:
    """A pedestrian appears 1.7 m from the middle of a standing car, outside its footprint."""
    paths = [straight((5.0, 0.0), (0.0, 0.0)), straight((5.0, 1.7), (0.0, 0.0))]
    paths[1][:2] = np.nan
    maps, truth = encode_instances(make_tracks(paths, 0.0, [CAR, (1.0, 1.0)]), GRID)
    assert not (truth[1] == 12).any()
    assert_perfect(decode_instances(maps, GRID), truth)


def random_tracks(
    rng: np.random.Generator,
    count: int,
    least: tuple[float, float] = (0.8, 0.8),
    most: tuple[float, float] = (5.2, 2.2),
) -> BoxTracks:
    """Returns tracks on curved paths, no two of which come near each other at any time.

    Args:
        least: length and width of the smallest object.
        most: of the largest.
    """
    kept: list[tuple] = []
    while len(kept) < count:
        start = rng.uniform((-20.0, -24.0), (40.0, 16.0))
        speed, turn = rng.uniform(0.0, 14.0), rng.uniform(-0.4, 0.4)
        yaw = rng.uniform(-math.pi, math.pi) + turn * 0.5 * np.arange(5)
        heading = np.stack([np.cos(yaw), np.sin(yaw)], axis=-1)
        path = start + np.vstack([[0.0, 0.0], np.cumsum(0.5 * speed * heading[:-1], axis=0)])
        size = rng.uniform(least, most)
        if all(
            np.all(np.linalg.norm(path - other, axis=-1) > (np.hypot(*size) + np.hypot(*far)) / 2)
            for other, _, far in kept
        ):
            kept.append((path, yaw, size))
    paths, yaws, sizes = zip(*kept, strict=True)
    return make_tracks(paths, np.stack(yaws, axis=-1), sizes)


@pytest.mark.parametrize('seed', range(25))
def test_random_traffic(seed: int) -> None:
    tracks = random_tracks(np.random.default_rng(seed), 25)
    maps, truth = encode_instances(tracks, GRID)
    assert_perfect(decode_instances(maps, GRID, min_cells=1), truth)


@pytest.mark.parametrize('seed', range(10))
def test_random_buses(seed: int) -> None:
    tracks = random_tracks(np.random.default_rng(seed), 5, (8.0, 2.0), (18.0, 3.0))
    maps, truth = encode_instances(tracks, GRID)
    assert_perfect(decode_instances(maps, GRID, min_cells=1), truth)


@pytest.mark.parametrize('seed', range(5))
def test_noisy_flow_keeps_identities(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    maps, truth = encode_instances(PARALLEL, GRID)
    flow_m = maps.flow_m + rng.normal(0.0, 0.3, maps.flow_m.shape).astype(np.float32)
    quality, switches = video_panoptic_quality(
        decode_instances(replace(maps, flow_m=flow_m), GRID, min_cells=5), truth
    )
    assert switches == 0
    assert quality > 0.9


def test_flow_that_is_not_finite_is_background() -> None:
    maps, truth = encode_instances(CROSSING, GRID)
    flow_m = maps.flow_m.copy()
    flow_m[1, 0][truth[1] == 12] = np.nan
    instances = decode_instances(MotionMaps(maps.probability, flow_m), GRID)
    assert not instances[1][truth[1] == 12].any()
    assert np.array_equal(instances[2] > 0, truth[2] > 0)


def test_empty_maps() -> None:
    shape = (3, *GRID.shape)
    maps = MotionMaps(np.zeros(shape, np.float32), np.zeros((3, 2, *GRID.shape), np.float32))
    assert not decode_instances(maps, GRID).any()


def test_maps_full_of_noise_do_not_fail() -> None:
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.0, 1.0, (3, *GRID.shape)).astype(np.float32)
    flow_m = rng.normal(0.0, 30.0, (3, 2, *GRID.shape)).astype(np.float32)
    instances = decode_instances(MotionMaps(probability, flow_m), GRID)
    assert not instances[probability < 0.5].any()
    again = decode_instances(MotionMaps(probability, flow_m), GRID)
    assert np.array_equal(instances, again)


def test_votes_by_hand() -> None:
    votes = np.array([[5.0, 5.0]] * 6 + [[8.0, 5.0]] * 4 + [[5.4, 5.0]] * 2 + [[20.0, -9.0]])
    radii = VoteRadii(min_votes=2, merge_m=1.0, assign_m=3.0)
    assert cluster_votes(votes, GRID, radii).tolist() == [1] * 6 + [2] * 4 + [1] * 2 + [0]
    assert cluster_votes(votes[:0], GRID, radii).tolist() == []
    lone = VoteRadii(min_votes=20, merge_m=1.0, assign_m=3.0)
    assert not cluster_votes(votes, GRID, lone).any()


def test_votes_split_evenly_over_a_cell_edge_are_one_instance() -> None:
    votes = np.array([[4.999999, 5.0], [5.000001, 5.0], [4.999999, 4.999999], [5.000001, 4.99]])
    radii = VoteRadii(min_votes=4, merge_m=1.0, assign_m=3.0)
    assert cluster_votes(votes, GRID, radii).tolist() == [1, 1, 1, 1]


def test_nearest_center_against_distances() -> None:
    rng = np.random.default_rng(5)
    points, centers = rng.uniform(-20.0, 16.0, (500, 2)), rng.uniform(-20.0, 16.0, (30, 2))
    index, distance = nearest_center(points, centers)
    table = np.linalg.norm(points[:, None] - centers, axis=-1)
    assert np.array_equal(index, table.argmin(axis=-1))
    assert distance == pytest.approx(table.min(axis=-1))


def test_votes_far_outside_count_for_nothing() -> None:
    votes = np.array([[5.0, 5.0], [5.0, 5.0], [1e9, 5.0], [-60.0, 5.0], [5.0, 45.0]])
    radii = VoteRadii(min_votes=1, merge_m=1.0, assign_m=3.0)
    # The grid ends at x = -20 and y = 16.
    assert cluster_votes(votes, GRID, radii).tolist() == [1, 1, 0, 0, 0]
    assert cluster_votes(np.array([[5.0, 40.9]]), GRID, radii).tolist() == [1]


def test_groups_by_hand() -> None:
    labels = np.array([2, 0, 2, 3])
    means = group_mean(labels, np.array([[1.0, 2.0], [5.0, 5.0], [3.0, 4.0], [7.0, 8.0]]), 4)
    assert means[[0, 2, 3]].tolist() == [[5.0, 5.0], [2.0, 3.0], [7.0, 8.0]]
    assert np.isnan(means[1]).all()
    keep = np.array([False, False, True, True])
    assert compact(np.array([3, 1, 2, 0]), keep).tolist() == [2, 0, 1, 0]
