"""Ground-truth heads of traffic decode to the traffic: objects, identities, trajectories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traffic_scenes import (
    CLASSES,
    Agent,
    bend,
    box_tracks,
    keep_apart,
    random_traffic,
    straight,
    true_object,
)

from bev_perception.decode.instances import decode_instances, encode_instances
from bev_perception.decode.objects import decode_objects, encode_objects
from bev_perception.decode.trajectories import attach_trajectories
from bev_perception.evaluation.metrics.panoptic_counts import panoptic_counts
from bev_perception.frame import BevObject
from bev_perception.geometry.grid import BevGrid

STEP_S = 0.5
TIMES_S = tuple(STEP_S * t for t in range(5))
QUARTER = math.pi / 2

# None of them square or centred.
GRIDS = {
    '0.5 m': BevGrid.from_range((-20.0, 40.0), (-24.0, 16.0), 0.5),
    '0.15 m': BevGrid.from_range((-15.0, 15.0), (-9.0, 12.0), 0.15),
    '0.8 m': BevGrid.from_range((-50.4, 29.6), (-20.0, 32.0), 0.8),
}

CROSSING = (
    Agent('car', straight(-9.0, 1.0, 0.0, 9.0)),
    Agent('car', straight(4.0, -12.0, QUARTER, 6.0)),
    Agent('truck', straight(12.0, 5.0, math.pi, 3.0)),
)
OVERTAKING = (
    Agent('car', straight(-2.0, 0.0, 0.0, 4.0)),
    Agent('car', straight(-9.0, 2.4, 0.0, 12.0)),
    Agent('truck', straight(4.0, -3.0, 0.0, 2.0)),
)
HIDDEN = (
    Agent('truck', straight(6.0, 0.0, math.pi, 1.0)),
    Agent('car', straight(-9.0, 4.0, 0.0, 9.0), hidden_s=((1.0, 2.0),)),
    Agent('pedestrian', straight(-6.0, -3.0, QUARTER / 2, 1.2), hidden_s=((0.5, 1.5),)),
    Agent('car', straight(8.0, 8.0, math.pi, 8.0), hidden_s=((0.0, 1.0),)),
)
COMING_AND_GOING = (
    Agent('car', straight(11.0, 0.0, 0.0, 9.0)),
    Agent('car', straight(12.0, 9.5, QUARTER, 7.0)),
    Agent('car', straight(-22.0, -3.0, 0.0, 10.0)),
    Agent('car', straight(-30.0, -6.0, 0.0, 12.0)),
    Agent('truck', straight(3.0, -18.0, QUARTER, 9.0)),
    Agent('truck', straight(-14.0, -2.0 + 5.5, math.pi, 5.0)),
)
BENDS = (
    Agent('car', bend(-8.0, -1.8, 0.0, 7.0, 6.5, 0.4, QUARTER)),
    Agent('car', bend(12.0, 2.5, math.pi, 6.0, 7.0, 0.3, QUARTER)),
    Agent('truck', bend(-10.0, -5.2, 0.0, 6.0, 12.0, 0.0, -0.8)),
)
PEDESTRIANS = (
    *(Agent('pedestrian', straight(-4.0 + 1.7 * k, 0.0, 0.0, 1.3)) for k in range(4)),
    *(Agent('pedestrian', straight(-1.0 + 1.7 * k, 1.8, math.pi, 1.4)) for k in range(4)),
    Agent('pedestrian', straight(0.0, 5.0, 0.0, 0.0), size_m=(0.5, 0.4, 1.1)),
)
SCENES = {
    'crossing': CROSSING,
    'overtaking': OVERTAKING,
    'hidden': HIDDEN,
    'coming and going': COMING_AND_GOING,
    'bends': BENDS,
    'pedestrians': PEDESTRIANS,
}


def assert_perfect_instances(agents: Sequence[Agent], grid: BevGrid) -> None:
    """Checks VPQ = 1 and that labels map one to one over all steps."""
    maps, truth = encode_instances(box_tracks(agents, TIMES_S), grid)
    found = decode_instances(maps, grid)
    counts = panoptic_counts(found, truth)
    assert counts.switches == 0
    assert counts.quality == float(truth.any())
    pairs = np.unique(found[truth > 0].astype(np.int64) * 1000 + truth[truth > 0])
    assert len(pairs) == len(np.unique(truth[truth > 0])) == len(np.unique(found[truth > 0]))
    assert np.array_equal(found > 0, truth > 0)


@pytest.mark.parametrize('grid', GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize('agents', SCENES.values(), ids=SCENES)
def test_instances_of_scripted_traffic(agents: Sequence[Agent], grid: BevGrid) -> None:
    assert_perfect_instances(agents, grid)


def test_sliver_at_the_border_is_the_same_truck() -> None:
    """A truck outside turns its nose in while it rolls back: at first one corner is seen.

    Its centre then is farther from the corner than it was a step before, so the corner says less
    about it than where it was.
    """

    def rolling(t: float) -> tuple[float, float, float]:
        step = t / STEP_S
        return -17.8 - 0.3 * step, 5.0 - 0.3 * step, math.radians(75.0 - 14.0 * step)

    agents = [Agent('truck', rolling), Agent('car', straight(0.0, 0.0, 0.0, 3.0))]
    _, truth = encode_instances(box_tracks(agents, TIMES_S), GRIDS['0.15 m'])
    assert (truth == 11).any(axis=(1, 2)).tolist() == [False, True, True, True, True]
    assert_perfect_instances(agents, GRIDS['0.15 m'])


def test_entering_car_is_not_one_that_left() -> None:
    """A car drives out over the border; a step later another one comes in not far from there."""
    agents = [
        Agent('car', straight(5.6, 6.1, -0.685, 13.9)),
        Agent('car', straight(9.5, -2.9, 2.84, 11.3)),
    ]
    assert_perfect_instances(agents, BevGrid(0.0, 0.0, 1.0, 34, 16))


def test_entering_pedestrian_is_not_one_that_is_hidden() -> None:
    """One inside is hidden for two steps, having shown no motion yet, while another comes in."""
    agents = [
        Agent('pedestrian', straight(1.1, 3.1, 0.0, 0.0), hidden_s=((0.5, 1.5),)),
        Agent('pedestrian', straight(-6.3, 3.4, -0.79, 1.7)),
    ]
    assert_perfect_instances(agents, BevGrid(-5.0, -20.0, 0.25, 120, 160))


def test_car_that_drove_off_is_not_waited_for() -> None:
    """A car that the border cuts at first is gone; steps later another shows up near there."""
    agents = [
        Agent('car', straight(19.2, -10.6, -1.33, 9.5)),
        Agent('car', bend(15.4, -11.7, 0.36, 1.75, 6.0, 0.4, 0.5)),
    ]
    assert_perfect_instances(agents, BevGrid(2.546, -9.075, 0.75, 23, 52))


def test_truck_seen_before_is_not_one_long_gone() -> None:
    """Its centre runs along outside the border, past where a car left three steps ago."""
    agents = [
        Agent('truck', bend(30.5, 22.4, -2.748, 10.2, 24.0, 0.5, -0.6)),
        Agent('car', straight(16.5, 18.8, 2.66, 10.0)),
    ]
    assert_perfect_instances(agents, BevGrid(0.0, 0.0, 0.15, 240, 120))


def comes_back(truth: np.ndarray) -> set[int]:
    """Returns labels that are seen, then not, then seen again."""
    found = set()
    for label in np.unique(truth[truth > 0]):
        steps = np.flatnonzero((truth == label).any(axis=(1, 2)))
        if np.any(np.diff(steps) > 1):
            found.add(int(label))
    return found


@st.composite
def grids(draw: st.DrawFn) -> BevGrid:
    resolution_m = draw(st.sampled_from([0.15, 0.25, 0.4, 0.5, 0.75, 1.0]))
    size_x, size_y = (draw(st.integers(16, 50)) for _ in range(2))
    cells = (round(size / resolution_m) for size in (size_x, size_y))
    return BevGrid(draw(st.floats(-30.0, 5.0)), draw(st.floats(-30.0, 5.0)), resolution_m, *cells)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(grid=grids(), seed=st.integers(0, 2**32 - 1), count=st.integers(1, 14))
def test_instances_of_random_traffic(grid: BevGrid, seed: int, count: int) -> None:
    """Cars and trucks on bends, coming and going; those that leave and come back excepted.

    The same scenes in every run: one in some thousands has somebody who enters where another
    has just left, which `decode_instances` names as an exception.
    """
    rng = np.random.default_rng(seed)
    agents = random_traffic(rng, grid, count, TIMES_S, ('car', 'truck'))
    agents = [replace(agent, hidden_s=()) for agent in agents]
    _, truth = encode_instances(box_tracks(agents, TIMES_S), grid)
    gone = comes_back(truth)
    agents = [agent for k, agent in enumerate(agents) if k + 11 not in gone]
    assert_perfect_instances(agents, grid)


def inside(agents: Sequence[Agent], grid: BevGrid) -> list[Agent]:
    """Returns those whose centres are in the grid now."""
    kept = []
    for agent in agents:
        x, y, _ = agent.path(0.0)
        if agent.is_seen(0.0) and bool(grid.to_cell(x, y)[2]):
            kept.append(agent)
    return kept


def decoded(agents: Sequence[Agent], grid: BevGrid) -> list[tuple[Agent, BevObject]]:
    """Returns what decoding of perfect object maps finds, each beside its agent."""
    maps = encode_objects([true_object(agent, 0.0) for agent in agents], grid, CLASSES)
    found = decode_objects(maps, grid, CLASSES, 0.99, 100, 0.3)
    kept = inside(agents, grid)
    assert len(found) == len(kept)
    places = np.array([agent.path(0.0)[:2] for agent in kept]).reshape(-1, 2)
    nearest = [int(np.linalg.norm(places - item.center_m[:2], axis=-1).argmin()) for item in found]
    assert sorted(nearest) == list(range(len(kept)))
    return [(kept[k], item) for k, item in zip(nearest, found, strict=True)]


def assert_same(found: BevObject, expected: BevObject) -> None:
    assert found.center_m == pytest.approx(expected.center_m, abs=1e-3)
    assert found.size_m == pytest.approx(expected.size_m, abs=1e-3)
    assert abs(math.remainder(found.yaw_rad - expected.yaw_rad, 2.0 * math.pi)) < 1e-3
    assert found.velocity_mps == pytest.approx(expected.velocity_mps, abs=1e-3)
    assert found.classes[0].name == expected.classes[0].name
    assert found.existence_probability == 1.0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(grid=grids(), seed=st.integers(0, 2**32 - 1), count=st.integers(0, 20))
def test_objects_of_random_traffic(grid: BevGrid, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    agents = random_traffic(rng, grid, count, (0.0,), gap_m=grid.resolution_m)
    seen = [agent for agent in agents if agent.is_seen(0.0)]
    for agent, item in decoded(seen, grid):
        assert_same(item, true_object(agent, 0.0))


def assert_trajectory(agent: Agent, item: BevObject, grid: BevGrid) -> int:
    """Checks the path of an object against the truth; returns the number of its steps."""
    (path,) = item.trajectories
    truth = np.array([agent.path(t) for t in TIMES_S])[: len(path.positions_m)]
    assert (path.time_step_s, path.start_offset_s, path.probability) == (STEP_S, 0.0, 1.0)
    assert path.positions_m[0] == pytest.approx(item.center_m)
    # Centroids are off by up to half a cell, at the start and at the step.
    assert path.positions_m[:, :2] == pytest.approx(truth[:, :2], abs=grid.resolution_m)
    return len(truth)


@pytest.mark.parametrize('grid', GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize('agents', SCENES.values(), ids=SCENES)
def test_trajectories_of_scripted_traffic(agents: Sequence[Agent], grid: BevGrid) -> None:
    seen = [agent for agent in agents if agent.is_seen(0.0)]
    maps, truth = encode_instances(box_tracks(agents, TIMES_S), grid)
    instances = decode_instances(maps, grid)
    objects = decoded(seen, grid)
    found = attach_trajectories(
        [item for _, item in objects], instances, grid, maps.probability, STEP_S
    )
    on_border = np.ones(grid.shape, dtype=bool)
    on_border[1:-1, 1:-1] = False
    for (agent, _), item in zip(objects, found, strict=True):
        own = truth == list(agents).index(agent) + 11
        assert np.unique(instances[own]).tolist() == [item.instance]
        steps = assert_trajectory(agent, item, grid)
        # As long as it is wholly in view.
        whole = own[1:].any(axis=(1, 2)) & ~(own[1:] & on_border).any(axis=(1, 2))
        assert steps == 1 + int(np.logical_and.accumulate(whole).sum())


def test_heading_through_a_bend() -> None:
    """Two cars turn left by a quarter: the path's heading follows within a few degrees."""
    cars = BENDS[:2]
    grid = GRIDS['0.15 m']
    maps, _ = encode_instances(box_tracks(cars, TIMES_S), grid)
    objects = decoded(cars, grid)
    found = attach_trajectories(
        [item for _, item in objects], decode_instances(maps, grid), grid, maps.probability, STEP_S
    )
    for (agent, _), item in zip(objects, found, strict=True):
        yaws = item.trajectories[0].yaws_rad
        truth = np.array([agent.path(t)[2] for t in TIMES_S])[: len(yaws)]
        turn = np.rad2deg(
            [math.remainder(a - b, 2 * math.pi) for a, b in zip(yaws, truth, strict=True)]
        )
        assert len(yaws) >= 4
        assert np.abs(turn[:-1]).max() < 10.0


@pytest.mark.parametrize('agents', SCENES.values(), ids=SCENES)
def test_scripted_traffic_does_not_collide(agents: Sequence[Agent]) -> None:
    assert keep_apart(agents, TIMES_S)
