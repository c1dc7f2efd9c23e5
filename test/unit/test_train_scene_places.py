"""Which frames can be labelled, and where clips begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bev_trainer.data.scene_places import LabelPlace, Needs, clip_starts, label_places
from bev_trainer.data.scene_table import FrameTable, frame_table
from support.truth import truth_objects

from bev_perception.evaluation.truth.frame import TruthFrame, TruthLayer
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw
from bev_perception.inputs.state import CameraState

S = 1_000_000_000
GRID = BevGrid(0.0, 0.0, 1.0, 2, 2)
LAYERS = {'drivable': TruthLayer(GRID, np.zeros(GRID.shape, np.int8))}


def ns(seconds: float) -> int:
    return 100 * S + round(seconds * S)


def pose(seconds: float) -> np.ndarray:
    """At 10 m/s along x."""
    return pose_from_yaw(10.0 * seconds, 0.0, 0.0, 0.0)


def truth_at(times_s: Sequence[float], **changes: Any) -> SceneTruth:
    car = truth_objects([(5.0, 0.0, 4.0, 2.0, 0.0)], track=['car'])
    content = {'objects': car, **changes}
    frames = [TruthFrame(ns(t), odom_T_base=pose(t), **content) for t in times_s]
    return SceneTruth(frames)


def table_at(times_s: Sequence[float], posed: bool = True) -> FrameTable:
    sample = CameraSample('front', CameraState.MISSING)
    sets = [
        FrameSet(ns(t), 'base_link', (sample,), odom_T_base=pose(t + 7.0) if posed else None)
        for t in times_s
    ]
    table, problems = frame_table(sets)
    assert problems == ()
    return table


def numbers(places: Sequence[LabelPlace]) -> list[tuple[int, int]]:
    return [(place.frame, place.truth) for place in places]


def changed(truth: SceneTruth, index: int, **changes: Any) -> SceneTruth:
    frames = list(truth.frames)
    frames[index] = replace(frames[index], **changes)
    return SceneTruth(frames)


TENTHS = [round(0.1 * step, 1) for step in range(31)]


def test_frames_half_a_second_apart() -> None:
    """Truth and frame sets at 10 Hz."""
    places = label_places(truth_at(TENTHS), table_at(TENTHS), Needs())
    assert numbers(places) == [(n, n) for n in range(0, 31, 5)]
    assert [place.instant_ns for place in places] == [ns(0.1 * n) for n in range(0, 31, 5)]
    assert all(place.base_T_truth is None for place in places)
    thirds = label_places(truth_at(TENTHS), table_at(TENTHS), Needs(every_s=0.3))
    assert numbers(thirds) == [(n, n) for n in range(0, 31, 3)]
    # Stamps jitter by some milliseconds.
    jitter = [t + (0.004 if n % 2 else 0.0) for n, t in enumerate(TENTHS)]
    places = label_places(truth_at(jitter), table_at(jitter), Needs())
    assert numbers(places) == [(n, n) for n in range(0, 31, 5)]


def test_the_future_must_be_known() -> None:
    truth, table = truth_at(TENTHS), table_at(TENTHS)
    assert numbers(label_places(truth, table, Needs(horizon_s=2.0))) == [(0, 0), (5, 5), (10, 10)]
    assert numbers(label_places(truth, table, Needs(horizon_s=3.0))) == [(0, 0)]
    assert label_places(truth, table, Needs(horizon_s=3.01)) == ()
    assert len(label_places(truth, table, Needs(horizon_s=0.0))) == 7


@pytest.mark.parametrize(
    'changes',
    [
        {'objects': None},
        {'odom_T_base': None},
        {'objects': truth_objects([(5.0, 0.0, 4.0, 2.0, 0.0)], track=[''])},
    ],
    ids=['nobody knows who is there', 'ego pose unknown', 'no track'],
)
def test_the_future_ends_where_road_users_cannot_be_followed(changes: dict[str, Any]) -> None:
    truth = changed(truth_at(TENTHS), 17, **changes)
    places = label_places(truth, table_at(TENTHS), Needs(horizon_s=1.0))
    # Up to 1.6 s, from 1.8 s on.
    assert numbers(places) == [(0, 0), (5, 5), (18, 18)]
    alone = label_places(truth, table_at(TENTHS), Needs(horizon_s=0.0, objects=False))
    assert len(alone) == 7


def test_the_future_ends_at_a_gap() -> None:
    times = [t for t in TENTHS if not 1.0 < t < 2.6]
    truth, table = truth_at(times), table_at(TENTHS)
    places = label_places(truth, table, Needs(horizon_s=0.5))
    assert [truth.frames[p.truth].stamp_ns for p in places] == [ns(0.0), ns(0.5)]
    near = [t for t in TENTHS if not 1.0 < t < 2.5]  # 1.5 s can be bridged
    places = label_places(truth_at(near), table, Needs(horizon_s=0.5))
    assert [p.frame for p in places] == [0, 5, 10, 25]


def test_truth_without_objects_is_for_models_that_ask_for_none() -> None:
    truth, table = truth_at([0.0, 0.5], objects=None), table_at([0.0, 0.5])
    assert label_places(truth, table, Needs()) == ()
    assert numbers(label_places(truth, table, Needs(objects=False))) == [(0, 0), (1, 1)]


def test_where_some_truth_has_maps_that_without_is_not_taken() -> None:
    truth = changed(truth_at(TENTHS), 7, layers=LAYERS)
    truth = changed(truth, 20, layers=LAYERS)
    assert numbers(label_places(truth, table_at(TENTHS), Needs())) == [(7, 7), (20, 20)]


def test_frames_that_are_off_in_time() -> None:
    truth = truth_at([0.0, 1.0, 2.0])
    table = table_at([-0.03, 0.88, 2.04])
    places = label_places(truth, table, Needs())
    assert numbers(places) == [(0, 0), (1, 1), (2, 2)]
    # Before the first and after the last truth nobody can be followed to the frame.
    assert [p.instant_ns for p in places] == [ns(0.0), ns(0.88), ns(2.0)]
    # How the vehicle moved in between is known from poses of one origin: of the truth where it
    # covers the frame, else of the frames (which lie 70 m on).
    moved = np.array(
        [np.zeros(16) if p.base_T_truth is None else p.base_T_truth.ravel() for p in places]
    )
    np.testing.assert_allclose(moved[:, 3], [0.3, 1.2, -0.4], atol=1e-6)
    blind = label_places(truth, table_at([-0.03, 0.88, 2.04], posed=False), Needs())
    assert [p.base_T_truth is None for p in blind] == [True, False, True]


def test_frames_that_are_too_far_off() -> None:
    truth = truth_at([0.0, 1.0, 2.0])
    assert numbers(label_places(truth, table_at([-0.051, 0.84, 2.051]), Needs())) == []
    assert numbers(label_places(truth, table_at([0.051, 0.86, 1.149]), Needs())) == [
        (0, 0),
        (1, 1),
    ]
    nameless = changed(truth, 1, objects=truth_objects([(5, 0, 4, 2, 0.0)], track=['']))
    # Between frames only those with a track are known: better none than some.
    assert numbers(label_places(nameless, table_at([0.04, 0.94]), Needs())) == [(0, 0)]
    places = label_places(nameless, table_at([0.04, 0.96]), Needs())
    assert [p.instant_ns for p in places] == [ns(0.0), ns(1.0)]


def test_a_frame_belongs_to_the_truth_that_is_nearest() -> None:
    truth, needs = truth_at([0.0, 0.07, 0.6]), Needs(every_s=0.05)
    assert numbers(label_places(truth, table_at([0.03, 0.6]), needs)) == [(0, 0), (1, 2)]
    assert numbers(label_places(truth, table_at([0.04, 0.6]), needs)) == [(0, 1), (1, 2)]
    # Of those that count: the second has no map.
    mapped = changed(changed(truth, 0, layers=LAYERS), 2, layers=LAYERS)
    assert numbers(label_places(mapped, table_at([0.04, 0.6]), needs)) == [(0, 0), (1, 2)]


def test_nothing_at_all() -> None:
    assert label_places(SceneTruth([]), table_at([0.0]), Needs()) == ()
    assert label_places(truth_at([0.0]), table_at([]), Needs()) == ()


@pytest.mark.parametrize('seed', range(20))
def test_restated(seed: int) -> None:
    """Whoever is labelled can be, and nobody is left out who could be taken next."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0.2, 0.2, 0.4, 0.6, 1.7], 40)).tolist()
    truth = truth_at(times)
    for index in rng.choice(40, 3, replace=False).tolist():
        truth = changed(truth, index, odom_T_base=None)
    frames = sorted(rng.choice(times, 30, replace=False).tolist())
    needs = Needs(horizon_s=0.5, every_s=0.3)

    def fits(index: int) -> bool:
        stamp_ns = truth.frames[index].stamp_ns
        if times[index] not in frames:
            return False
        end_ns, at = stamp_ns + round(0.5 * S), index
        while truth.frames[at].stamp_ns < end_ns:
            if at + 1 == len(times) or times[at + 1] - times[at] > 1.5 + 1e-6:
                return False
            at += 1
        return all(f.odom_T_base is not None for f in truth.frames[index : at + 1])

    expected: list[int] = []
    for index in range(40):
        if expected and times[index] - times[expected[-1]] < 0.3 * 0.98 - 1e-6:
            continue
        if fits(index):
            expected.append(index)
    places = label_places(truth, table_at(frames), needs)
    assert [p.truth for p in places] == expected
    assert [frames[p.frame] for p in places] == [times[p.truth] for p in places]


def test_where_clips_begin() -> None:
    times = [0.0, 0.5, 1.0, 1.5, 3.0, 3.5, 4.75, 6.1]
    stamps = np.array([ns(t) for t in times], np.int64)
    places = [LabelPlace(n, n, int(stamp)) for n, stamp in enumerate(stamps)]
    assert clip_starts(places, stamps, 1, 0.5) == tuple(range(8))
    assert clip_starts(places, stamps, 2, 0.5) == (0, 1, 2, 4, 5)
    assert clip_starts(places, stamps, 3, 0.5) == (0, 1, 4)
    assert clip_starts(places, stamps, 5, 0.5) == ()
    assert clip_starts(places, stamps, 9, 0.5) == () == clip_starts([], stamps, 2, 0.5)
    assert clip_starts(places, stamps, 4, 1.0) == (0, 1, 2, 3, 4)
