"""Identities on scripted traffic, seen with noise and gaps from a vehicle that drives a bend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.traffic_scenes import (
    Agent,
    Noise,
    Pose,
    bend,
    keep_apart,
    random_traffic,
    sighting,
    straight,
)

from bev_perception.decode.identity import IdentityTracker
from bev_perception.frame import BevObject
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw

QUARTER = math.pi / 2
START_NS = 1_700_000_000_000_000_000
GRID = BevGrid.from_range((-50.0, 50.0), (-40.0, 40.0), 0.5)

SHARP = Noise()
USUAL = Noise(position_m=0.2, yaw_rad=0.1, velocity_mps=0.5, path_mps=0.4, missed=0.1)
ONLY_VELOCITY = replace(USUAL, path_mps=None)
ONLY_PATHS = replace(USUAL, velocity_mps=None)


def vehicle(time_s: float) -> Pose:
    """Returns where the vehicle itself is: on a bend, turned against the scene."""
    return -10.0 + 5.0 * time_s, -12.0 + 0.3 * time_s**2, 0.4 + 0.12 * time_s


def crossing(step_s: float) -> tuple[Agent, ...]:
    """Two cars pass the same point of an intersection a second apart; others oncoming."""
    return (
        Agent('car', straight(-16.0, 1.8, 0.0, 8.0)),
        Agent('car', straight(1.8, -23.0, QUARTER, 8.0)),
        Agent('car', straight(42.0, 5.2, math.pi, 9.0)),
        Agent('car', straight(-2.0, 24.0, -QUARTER, 7.0)),
    )


def pedestrians(step_s: float) -> tuple[Agent, ...]:
    """Two pedestrians pass each other at 0.8 m."""
    return (
        Agent('pedestrian', straight(-3.0, 0.0, 0.0, 1.4)),
        Agent('pedestrian', straight(3.0, 0.8, math.pi, 1.3)),
    )


def behind_a_truck(step_s: float) -> tuple[Agent, ...]:
    """A car is hidden behind a truck for three frames while another comes the other way."""
    hidden = (2 * step_s, 5 * step_s)
    return (
        Agent('truck', straight(6.0, 2.0, 0.0, 1.0)),
        Agent('car', straight(-12.0, 6.0, 0.0, 9.0), hidden_s=(hidden,)),
        Agent('car', straight(22.0, 9.5, math.pi, 9.0)),
    )


def turning(step_s: float) -> tuple[Agent, ...]:
    """A car turns left; the one behind goes straight on, to where the first would have come."""
    return (
        Agent('car', bend(-8.0, 0.0, 0.0, 8.0, 7.0, 0.7, QUARTER)),
        Agent('car', straight(-17.0, 0.0, 0.0, 9.0)),
        Agent('car', straight(30.0, 3.5, math.pi, 6.0)),
    )


def lane(step_s: float) -> tuple[Agent, ...]:
    """Equal cars, 7 m from one to the next, at 14 m/s: after half a second each is where the
    next one was."""
    return tuple(Agent('car', straight(-30.0 + 7.0 * k, 0.0, 0.0, 14.0)) for k in range(8))


Scene = Callable[[float], tuple[Agent, ...]]
SCENES: tuple[Scene, ...] = (crossing, pedestrians, behind_a_truck, turning, lane)
RATES = {'2 Hz': 0.5, '10 Hz': 0.1}


def watch(
    agents: Sequence[Agent],
    step_s: float,
    noise: Noise,
    seed: int = 0,
    grid: BevGrid | None = None,
    seconds: float = 4.5,
    tracker: IdentityTracker | None = None,
) -> list[dict[int, BevObject]]:
    """Returns the tracked objects of every frame by agent."""
    rng = np.random.default_rng(seed)
    tracker = tracker or IdentityTracker()
    frames = []
    for k in range(round(seconds / step_s)):
        base = vehicle(k * step_s)
        seen = sighting(agents, k * step_s, rng, noise, base, grid)
        found = tracker.update(
            seen.objects,
            START_NS + round(k * step_s * 1e9),
            pose_from_yaw(base[0], base[1], 0.0, base[2]),
            seen.instances,
            grid,
        )
        assert [item.center_m for item in found] == [item.center_m for item in seen.objects]
        frames.append(dict(zip(seen.who, found, strict=True)))
    return frames


def switches(frames: Sequence[dict[int, BevObject]], max_age_frames: int = 3) -> int:
    """Returns how often somebody gets another id though not lost for longer than allowed.

    Checks on the way that ages count the frames in which an identity was seen.
    """
    count = 0
    last: dict[int, tuple[int, BevObject]] = {}
    for k, frame in enumerate(frames):
        for who, item in frame.items():
            before = last.get(who)
            if before is None:
                assert item.age_frames == 1
            elif before[1].object_id == item.object_id:
                assert item.age_frames == before[1].age_frames + 1
            elif k - before[0] - 1 <= max_age_frames:
                count += 1
            else:
                assert item.age_frames == 1
            last[who] = k, item
        assert len({item.object_id for item in frame.values()}) == len(frame)
    return count


@pytest.mark.parametrize('scene', SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize('step_s', RATES.values(), ids=RATES)
def test_cars_do_not_collide(scene: Scene, step_s: float) -> None:
    assert keep_apart(scene(step_s), np.arange(0.0, 4.5, 0.1).tolist())


@pytest.mark.parametrize('scene', SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize('step_s', RATES.values(), ids=RATES)
@pytest.mark.parametrize('noise', [SHARP, USUAL, ONLY_PATHS], ids=['sharp', 'usual', 'paths'])
def test_nobody_is_mistaken(scene: Scene, step_s: float, noise: Noise) -> None:
    for seed in range(1 if noise is SHARP else 12):
        assert switches(watch(scene(step_s), step_s, noise, seed)) == 0


@pytest.mark.parametrize('scene', SCENES, ids=lambda scene: scene.__name__)
@pytest.mark.parametrize('step_s', RATES.values(), ids=RATES)
def test_nobody_is_mistaken_with_instances(scene: Scene, step_s: float) -> None:
    for seed in range(2):
        assert switches(watch(scene(step_s), step_s, USUAL, seed, GRID)) == 0


@pytest.mark.parametrize(
    'scene', [crossing, pedestrians, behind_a_truck, lane], ids=lambda scene: scene.__name__
)
@pytest.mark.parametrize('step_s', RATES.values(), ids=RATES)
def test_velocities_suffice_where_nobody_turns(scene: Scene, step_s: float) -> None:
    for seed in range(12):
        assert switches(watch(scene(step_s), step_s, ONLY_VELOCITY, seed)) == 0


# The first car turns away while a truck hides it for two frames at 2 Hz. The second one is first
# seen when the first comes back, where the first would be at constant velocity: (6, 0).
TURNED_AWAY = (
    Agent('car', bend(-10.0, 0.0, 0.0, 8.0, 10.0, 0.5, QUARTER), hidden_s=((1.0, 2.0),)),
    Agent('car', straight(-11.7, 0.0, 0.0, 9.0), hidden_s=((0.0, 2.0),)),
)


def test_path_wins_where_constant_velocity_switches() -> None:
    straight_on = watch(TURNED_AWAY, 0.5, replace(SHARP, path_mps=None), seconds=2.5)
    first = straight_on[0][0].object_id
    assert straight_on[4][1].object_id == first
    assert straight_on[4][0].object_id != first
    for seed, noise in enumerate([SHARP] + 10 * [replace(USUAL, missed=0.0)]):
        frames = watch(TURNED_AWAY, 0.5, noise, seed, seconds=3.0)
        assert switches(frames) == 0
        assert frames[4][0].object_id == frames[0][0].object_id
        assert frames[4][1].age_frames == 1


def test_lane_needs_motion() -> None:
    """Without velocities and paths everybody takes over the id of the next: the scene is hard."""
    blind = Noise(velocity_mps=None, path_mps=None)
    frames = watch(lane(0.5), 0.5, blind, seconds=1.0)
    assert [frames[1][k].object_id for k in range(7)] == [
        frames[0][k + 1].object_id for k in range(7)
    ]


@pytest.mark.parametrize('step_s', RATES.values(), ids=RATES)
def test_hidden_for_as_long_as_allowed(step_s: float) -> None:
    frames = watch(behind_a_truck(step_s), step_s, SHARP)
    assert [k for k, frame in enumerate(frames) if 1 not in frame] == [2, 3, 4]
    assert [frame[1].age_frames for frame in frames[:2] + frames[5:7]] == [1, 2, 3, 4]
    short = watch(behind_a_truck(step_s), step_s, SHARP, tracker=IdentityTracker(max_age_frames=2))
    assert short[5][1].object_id != short[1][1].object_id
    assert short[5][1].age_frames == 1


def test_births_and_deaths_in_traffic() -> None:
    """Who comes is new at once; who is gone for too long is somebody else when back."""
    agents = (
        Agent('car', straight(0.0, 0.0, 0.0, 8.0)),
        Agent('car', straight(0.0, 4.0, 0.0, 8.0), hidden_s=((0.0, 0.5),)),
        Agent('car', straight(0.0, 8.0, 0.0, 8.0), hidden_s=((0.5, 1.2),)),
    )
    frames = watch(agents, 0.1, SHARP, seconds=2.0)
    assert frames[5][1].age_frames == 1
    assert frames[12][2].age_frames == 1
    ids = {item.object_id for frame in frames for item in frame.values()}
    assert len(ids) == 4
    assert [frames[19][k].age_frames for k in range(3)] == [20, 15, 8]


@pytest.mark.parametrize('scene', SCENES, ids=lambda scene: scene.__name__)
def test_ids_are_the_same_in_every_run(scene: Scene) -> None:
    runs = [
        [
            {who: (item.object_id.hex(), item.age_frames) for who, item in frame.items()}
            for frame in watch(scene(0.5), 0.5, USUAL, 3, GRID)
        ]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_ids_by_hand() -> None:
    """The hash of stamp and count, so that recordings of other days can be compared."""
    (first, *_) = watch(pedestrians(0.5), 0.5, SHARP)
    assert sorted(item.object_id.hex() for item in first.values()) == [
        '1e255fb615b655e2bafba6f7b498afe5',
        'd5be5d0e1d265f9e8bd9010bbf7607bb',
    ]


def jumping_bus(with_instances: bool) -> list[dict[int, BevObject]]:
    """A bus whose box centre jumps by 2.2 m in a frame, its instance staying where it is."""
    bus = Agent('truck', straight(5.0, 3.0, 0.0, 0.0), size_m=(12.0, 2.6, 3.2))
    tracker, rng = IdentityTracker(), np.random.default_rng(0)
    frames = []
    for k, jump_m in enumerate((0.0, 2.2)):
        seen = sighting([bus], 0.1 * k, rng, SHARP, grid=GRID)
        (item,) = seen.objects
        x, y, z = item.center_m
        moved = replace(item, center_m=(x + jump_m, y, z), trajectories=())
        instances = seen.instances if with_instances else None
        found = tracker.update(
            [moved], START_NS + k * 10**8, np.eye(4), instances, GRID if with_instances else None
        )
        frames.append({0: found[0]})
    return frames


def test_overlap_with_the_instance_strengthens_a_pair() -> None:
    """At 10 Hz the gate is 1.8 m; IoU 1 doubles its reach."""
    assert switches(jumping_bus(with_instances=False)) == 1
    assert switches(jumping_bus(with_instances=True)) == 0


def test_exact_track_seen_before_is_not_given_up_for_a_fresh_one() -> None:
    """Pedestrian 1 is missed once, then pedestrian 0: both are where they were expected."""
    agents = (
        Agent('pedestrian', straight(0.0, 0.0, 0.0, 0.0), hidden_s=((1.0, 1.5),)),
        Agent('pedestrian', straight(0.0, 0.8, 0.0, 0.0), hidden_s=((0.5, 1.0),)),
    )
    assert switches(watch(agents, 0.5, SHARP, seconds=2.5)) == 0


def test_wide_gate_does_not_win_over_the_right_track() -> None:
    """A car lost for a while is expected near one that is seen, a little off, in every frame."""
    agents = (
        Agent('car', straight(0.0, 0.0, 0.0, 0.0)),
        Agent('car', straight(0.0, 2.2, 0.0, 0.0), hidden_s=((0.5, 3.0),)),
    )
    rng, tracker = np.random.default_rng(0), IdentityTracker()
    ids = []
    for k in range(4):
        seen = sighting(agents, 0.5 * k, rng, SHARP)
        # Detections of the first wander towards the place of the second.
        moved = [
            replace(item, center_m=(0.0, 0.9, 0.8), trajectories=())
            if k == 3 and who == 0
            else item
            for who, item in zip(seen.who, seen.objects, strict=True)
        ]
        found = tracker.update(moved, START_NS + k * 500_000_000, np.eye(4))
        ids.append(dict(zip(seen.who, found, strict=True))[0].object_id)
    assert len(set(ids)) == 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 14), step_s=st.sampled_from([0.1, 0.5])
)
def test_random_traffic_seen_sharply(seed: int, count: int, step_s: float) -> None:
    """Nobody hidden for longer than allowed is ever mistaken, whoever is around."""
    times_s = np.arange(0.0, 4.0, 0.25).tolist()
    agents = random_traffic(np.random.default_rng(seed), GRID, count, times_s)
    assert switches(watch(agents, step_s, SHARP, seed, seconds=4.0)) == 0
