"""Identities over frames: who is who when things move, hide, appear and end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from bev_perception.decode.identity import IdentityTracker
from bev_perception.frame import BevObject, ClassScore, FloatArray
from bev_perception.geometry.pose import invert, pose_from_yaw, transform

DT_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000


def make_object(
    x: float,
    y: float,
    velocity: tuple[float, float] | None = (0.0, 0.0),
    kind: str = 'car',
    z: float = 0.8,
) -> BevObject:
    return BevObject(
        object_id=bytes(16),
        age_frames=0,
        existence_probability=0.8,
        classes=(ClassScore(0, kind, 0.8),),
        center_m=(x, y, z),
        size_m=(4.5, 1.9, 1.6),
        yaw_rad=0.0,
        velocity_mps=velocity,
    )


def run(
    tracker: IdentityTracker,
    frames: Sequence[Sequence[BevObject]],
    poses: Sequence[FloatArray | None] | None = None,
    dt_ns: int = DT_NS,
    start_ns: int = START_NS,
) -> list[tuple[BevObject, ...]]:
    """Returns the tracked objects of every frame."""
    poses = poses or [None] * len(frames)
    return [
        tracker.update(objects, start_ns + k * dt_ns, pose)
        for k, (objects, pose) in enumerate(zip(frames, poses, strict=True))
    ]


def ids(objects: Sequence[BevObject]) -> list[bytes]:
    return [item.object_id for item in objects]


def test_first_frame() -> None:
    found = IdentityTracker().update(
        [make_object(1.0, 2.0), make_object(9.0, 2.0)], START_NS, None
    )
    assert [item.age_frames for item in found] == [1, 1]
    assert [len(item.object_id) for item in found] == [16, 16]
    assert len({*ids(found), bytes(16)}) == 3
    assert [item.center_m for item in found] == [(1.0, 2.0, 0.8), (9.0, 2.0, 0.8)]


def test_order_of_the_frame_is_kept_and_ages_count() -> None:
    a, b = make_object(0.0, 0.0), make_object(10.0, 0.0)
    frames = run(IdentityTracker(), [[a, b], [b, a], [a, b]])
    assert ids(frames[1]) == ids(frames[0])[::-1]
    assert ids(frames[2]) == ids(frames[0])
    assert [[item.age_frames for item in frame] for frame in frames] == [[1, 1], [2, 2], [3, 3]]


@pytest.mark.parametrize('measured', [True, False], ids=['velocity', 'no velocity'])
def test_crossing_cars(measured: bool) -> None:
    """Two cars meet at right angles and pass through nearly the same place within 0.4 s."""
    eastward, northward = (10.0, 0.0), (0.0, 10.0)
    frames = []
    for k in range(20):
        t = 0.1 * k
        frames.append(
            [
                make_object(-8.0 + 10.0 * t, 0.0, eastward if measured else None),
                make_object(2.0, -13.0 + 10.0 * t, northward if measured else None),
            ]
        )
    # Nearest place of the frame before: at 1.1 s both are about equally near to both.
    found = run(
        IdentityTracker(), [frame[:: 1 if k % 2 else -1] for k, frame in enumerate(frames)]
    )
    first = ids(found[0])[::-1]
    for k, frame in enumerate(found):
        assert ids(frame)[:: 1 if k % 2 else -1] == first
    assert found[-1][0].age_frames == 20


def test_oncoming_cars_that_swap_places_in_one_frame() -> None:
    """At 2 frames per second each car is next where the other was: only velocity tells."""
    frames = [
        [
            make_object(-2.5 + 5.0 * k, 0.0, (10.0, 0.0)),
            make_object(2.5 - 5.0 * k, 1.0, (-10.0, 0.0)),
        ]
        for k in range(4)
    ]
    found = run(IdentityTracker(), frames, dt_ns=500_000_000)
    assert all(ids(frame) == ids(found[0]) for frame in found)


@pytest.mark.parametrize('measured', [True, False], ids=['velocity', 'no velocity'])
def test_parked_cars_while_driving_past(measured: bool) -> None:
    """Cars stand 6 m apart, the vehicle passes them by 6 m per frame, in a curve.

    In the base frame every car is next where its neighbour was: only ego motion tells.
    """
    parked = np.array([[6.0 * k, 4.0, 0.8] for k in range(12)])
    poses, frames = [], []
    for k in range(8):
        pose = pose_from_yaw(6.0 * k, 0.02 * k**2, 0.0, 0.01 * k)
        poses.append(pose)
        places = transform(invert(pose), parked)
        velocity = (0.0, 0.0) if measured else None
        frames.append([make_object(x, y, velocity) for x, y, _ in places])
    found = run(IdentityTracker(), frames, poses, dt_ns=500_000_000)
    assert all(ids(frame) == ids(found[0]) for frame in found)
    blind = run(IdentityTracker(), frames, dt_ns=500_000_000)
    assert ids(blind[1])[1:] == ids(blind[0])[:-1]  # what happens without it


def test_velocity_is_turned_into_the_continuous_frame() -> None:
    """The vehicle looks north; a car ahead drives north, too: along x of the base frame."""
    pose = pose_from_yaw(100.0, 50.0, 0.0, math.pi / 2)
    frames = [[make_object(10.0 + 7.5 * k, 0.0, (15.0, 0.0))] for k in range(4)]
    found = run(IdentityTracker(), frames, [pose] * 4, dt_ns=500_000_000)
    assert all(ids(frame) == ids(found[0]) for frame in found)


@pytest.mark.parametrize('velocity', [(15.0, 0.0), None], ids=['velocity', 'no velocity'])
def test_hidden_for_two_frames(velocity: tuple[float, float] | None) -> None:
    """It comes back 4.5 m farther, beyond any gate around the place where it was last."""
    frames = [[make_object(1.5 * k, 0.0, velocity)] for k in range(8)]
    frames[3] = frames[4] = []
    found = run(IdentityTracker(max_age_frames=2), frames)
    assert {i for frame in found for i in ids(frame)} == set(ids(found[0]))
    assert [item.age_frames for frame in found for item in frame] == [1, 2, 3, 4, 5, 6]


def test_hidden_for_longer_than_allowed() -> None:
    frames = [[make_object(0.0, 0.0)], [], [], [], [make_object(0.0, 0.0)]]
    kept = run(IdentityTracker(max_age_frames=3), frames)
    lost = run(IdentityTracker(max_age_frames=2), frames)
    assert ids(kept[4]) == ids(kept[0])
    assert ids(lost[4]) != ids(lost[0])
    assert lost[4][0].age_frames == 1


def test_births_and_deaths() -> None:
    a, b, c = (make_object(x, 0.0) for x in (0.0, 20.0, 40.0))
    found = run(IdentityTracker(max_age_frames=0), [[a], [b, a], [b], [c, a, b]])
    id_a, id_b = ids(found[1])[1], ids(found[1])[0]
    assert ids(found[0]) == [id_a]
    assert ids(found[2]) == [id_b]
    assert ids(found[3])[2] == id_b
    assert len({id_a, *ids(found[3])}) == 4
    assert [item.age_frames for item in found[3]] == [1, 1, 3]


@pytest.mark.parametrize(('jump', 'same'), [(1.7, True), (1.9, False)])
def test_gate(jump: float, same: bool) -> None:
    """1.5 m and 3 m/s for 0.1 s: 1.8 m."""
    found = run(
        IdentityTracker(gate_m=1.5, gate_rate_mps=3.0),
        [[make_object(0.0, 0.0)], [make_object(jump, 0.0)]],
    )
    assert (ids(found[1]) == ids(found[0])) is same


def test_gate_widens_while_not_seen() -> None:
    """Unseen for 0.3 s: 1.5 m + 0.9 m."""
    tracker = IdentityTracker(gate_m=1.5, gate_rate_mps=3.0)
    found = run(tracker, [[make_object(0.0, 0.0)], [], [], [make_object(2.3, 0.0)]])
    assert ids(found[3]) == ids(found[0])


@pytest.mark.parametrize(
    ('before', 'after', 'same'),
    [
        ('car', 'truck', True),
        ('bicycle', 'motorcycle', True),
        ('car', 'pedestrian', False),
        ('bicycle', 'pedestrian', False),
        ('tram', 'tram', True),
        ('tram', 'car', False),
        ('tram', 'ferry', False),
    ],
)
def test_class_groups(before: str, after: str, same: bool) -> None:
    frames = [[make_object(0.0, 0.0, kind=before)], [make_object(0.0, 0.0, kind=after)]]
    found = run(IdentityTracker(), frames)
    assert (ids(found[1]) == ids(found[0])) is same


def test_class_groups_can_be_chosen() -> None:
    tracker = IdentityTracker(class_groups=[['tram', 'ferry']])
    frames = [[make_object(0.0, 0.0, kind=kind)] for kind in ('tram', 'ferry', 'tram')]
    assert len({i for frame in run(tracker, frames) for i in ids(frame)}) == 1


def test_pairs_are_chosen_together() -> None:
    """The nearest pair alone would take the wrong car and leave the other without any."""
    frames = [
        [make_object(0.0, 0.0), make_object(1.6, 0.0)],
        [make_object(0.9, 0.0), make_object(2.5, 0.0)],
    ]
    found = run(IdentityTracker(), frames)
    assert ids(found[1]) == ids(found[0])


def test_two_that_moved_alike() -> None:
    """One metre each, though pairing the second with the nearer place needs less way in all."""
    tracker = IdentityTracker(gate_m=3.0)
    frames = [
        [make_object(0.0, 0.0), make_object(1.0, 0.0)],
        [make_object(1.0, 0.0), make_object(2.0, 0.3)],
    ]
    found = run(tracker, frames)
    assert ids(found[1]) == ids(found[0])


def test_one_leaves_a_queue_and_nobody_moves_up() -> None:
    """All match exactly but the first, who is gone; the newcomer at the end is new."""
    places = [1.2 * k for k in range(6)]
    frames = [
        [make_object(x, 0.0, kind='pedestrian') for x in places[:-1]],
        [make_object(x, 0.0, kind='pedestrian') for x in places[1:]],
    ]
    found = run(IdentityTracker(), frames)
    assert ids(found[1])[:-1] == ids(found[0])[1:]
    assert found[1][-1].age_frames == 1


def scene(seed: int, frames: int = 12) -> list[list[BevObject]]:
    """Returns frames of random walkers and drivers, some missing now and then."""
    rng = np.random.default_rng(seed)
    start, velocity = rng.uniform(-40.0, 40.0, (15, 2)), rng.uniform(-15.0, 15.0, (15, 2))
    return [
        [
            make_object(
                start[m, 0] + 0.1 * k * velocity[m, 0],
                start[m, 1] + 0.1 * k * velocity[m, 1],
                (velocity[m, 0], velocity[m, 1]),
            )
            for m in np.flatnonzero(rng.uniform(size=15) > 0.1)
        ]
        for k in range(frames)
    ]


@pytest.mark.parametrize('seed', range(5))
def test_ids_are_the_same_in_every_run(seed: int) -> None:
    first = run(IdentityTracker(), scene(seed))
    tracker = IdentityTracker()
    assert run(tracker, scene(seed)) == first
    tracker.reset()
    assert run(tracker, scene(seed)) == first
    assert run(IdentityTracker(), scene(seed), start_ns=START_NS + 1) != first


@pytest.mark.parametrize('seed', range(5))
def test_no_id_twice_in_a_frame(seed: int) -> None:
    for frame in run(IdentityTracker(), scene(seed)):
        assert len(set(ids(frame))) == len(frame)


def test_time_going_back_forgets_everything() -> None:
    tracker = IdentityTracker()
    car = make_object(0.0, 0.0)
    (first,) = tracker.update([car], START_NS, None)
    (second,) = tracker.update([car], START_NS + DT_NS, None)
    (looped,) = tracker.update([car], START_NS - DT_NS, None)
    assert second.object_id == first.object_id
    assert looped.object_id != first.object_id
    assert looped.age_frames == 1
    (again,) = tracker.update([car], START_NS, None)
    assert (again.object_id, again.age_frames) == (looped.object_id, 2)


def test_long_gap_forgets_everything() -> None:
    tracker = IdentityTracker(max_gap_s=1.0)
    car = make_object(0.0, 0.0)
    (first,) = tracker.update([car], START_NS, None)
    (second,) = tracker.update([car], START_NS + 1_000_000_000, None)
    (third,) = tracker.update([car], START_NS + 2_000_000_001, None)
    assert second.object_id == first.object_id
    assert third.object_id != first.object_id


def test_reset_begins_anew() -> None:
    tracker = IdentityTracker()
    car = make_object(0.0, 0.0)
    (first,) = tracker.update([car], START_NS, pose_from_yaw(5.0, 0.0, 0.0, 1.0))
    tracker.reset()
    (second,) = tracker.update([car], START_NS + DT_NS, None)
    assert second.object_id != first.object_id
    assert second.age_frames == 1


def test_ego_motion_that_comes_late_and_pauses() -> None:
    """Odometry starts at the third frame far from its origin, and is missing in the fifth."""
    poses = [pose_from_yaw(500.0 + 0.5 * k, -300.0, 0.0, 2.0) for k in range(8)]
    frames = []
    for k, pose in enumerate(poses):
        # The car drives at 15 m/s along x of odom.
        x, y, _ = transform(invert(pose), [520.0 + 1.5 * k, -297.0, 0.8])
        frames.append([make_object(x, y, (15.0 * math.cos(2.0), -15.0 * math.sin(2.0)))])
    given = [None if k in (0, 1, 4) else pose for k, pose in enumerate(poses)]
    found = run(IdentityTracker(), frames, given)
    assert {i for frame in found for i in ids(frame)} == set(ids(found[0]))


def test_empty_frames() -> None:
    tracker = IdentityTracker()
    assert run(tracker, [[], []]) == [(), ()]
