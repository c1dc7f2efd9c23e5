"""Forecasts: distances by hand, single errors, and restated with loops on random inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.truth import bev_frame, truth_objects

from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.metrics.forecast import ForecastMetric
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevObject, ClassScore, Trajectory
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw

GRID = BevGrid(-50.0, -50.0, 0.5, 200, 200)
STEP_S, STEPS = 0.5, 4
TIMES_S = STEP_S * np.arange(STEPS + 1)
CLASSES = ('car', 'truck', 'pedestrian')
PREDICTS = Predicts(object_classes=CLASSES, path_steps=STEPS, path_step_s=STEP_S)
Way = Sequence[tuple[float, float]]


def straight(
    start: tuple[float, float], velocity: tuple[float, float]
) -> list[tuple[float, float]]:
    return [(start[0] + velocity[0] * t, start[1] + velocity[1] * t) for t in TIMES_S.tolist()]


def trajectory(way: Way, probability: float = 1.0, **more: float) -> Trajectory:
    positions = np.column_stack([np.array(way, np.float64).reshape(-1, 2), np.ones(len(way))])
    timing = {'time_step_s': STEP_S, 'start_offset_s': 0.0} | more
    return Trajectory(probability, positions_m=positions, yaws_rad=np.zeros(len(way)), **timing)


def detected(
    place: tuple[float, float],
    paths: Sequence[Trajectory] = (),
    name: str = 'car',
    score: float = 0.9,
    velocity: tuple[float, float] | None = None,
) -> BevObject:
    return BevObject(
        bytes(16), 0, score, (ClassScore(0, name, 1.0),), (*place, 1.0), (4.0, 2.0, 1.5), 0.0,
        velocity, tuple(paths),
    )  # fmt: skip


def driving(
    ways: Sequence[Way],
    names: str | Sequence[str] = 'car',
    frames: int = STEPS + 1,
    velocity: Sequence[tuple[float, float]] | None = None,
    **more: Any,
) -> SceneTruth:
    """Returns objects on their ways, told from a vehicle that goes ahead 1 m per step."""
    result = []
    for step in range(frames):
        boxes = [(way[step][0] - step, way[step][1], 4.0, 2.0, 0.0) for way in ways]
        objects = truth_objects(boxes, names, velocity_mps=velocity, **more)
        pose = pose_from_yaw(float(step), 0.0, 0.0, 0.0)
        result.append(TruthFrame(round(step * STEP_S * 1e9), objects, pose))
    return SceneTruth(result)


def figures(
    scene: SceneTruth, found: Sequence[BevObject] | None, predicts: Predicts = PREDICTS, **how: Any
) -> dict[str, float]:
    """Returns the figures that are defined."""
    objects = None if found is None else tuple(found)
    metric = ForecastMetric(predicts, **how)
    record = metric.score(ScoredFrame(bev_frame(GRID, objects=objects), scene.frames[0], scene))
    pooled = metric.summarise([[record]] if record is not None else [])
    return {name[9:]: item.value for name, item in pooled.items() if item.value is not None}


AHEAD = straight((10.0, 2.0), (4.0, 0.0))
SCENE = driving([AHEAD])


def test_perfect_forecast() -> None:
    found = figures(SCENE, [detected(AHEAD[0], [trajectory(AHEAD)], velocity=(4.0, 0.0))])
    assert found['EPA'] == found['EPA/vehicle'] == 1.0
    for prefix in ('', 'moving_vehicles/'):
        for name in ('minADE', 'minADE_1', 'minADE_3', 'minFDE', 'minFDE_1', 'miss_rate_1'):
            assert found[f'{prefix}{name}'] == 0.0
        assert found[f'{prefix}constant_velocity/minFDE'] == 0.0


def test_nothing_found() -> None:
    assert figures(SCENE, []) == {'EPA': 0.0, 'EPA/vehicle': 0.0}
    assert figures(SCENE, None) == {}
    assert figures(SCENE, [], Predicts(object_classes=CLASSES)) == {}


def test_names_of_figures_are_always_the_same() -> None:
    metric = ForecastMetric(PREDICTS)
    frame = ScoredFrame(bev_frame(GRID, objects=()), SCENE.frames[0], SCENE)
    record = metric.score(frame)
    assert record is not None
    assert list(metric.summarise([])) == list(metric.summarise([[record]]))
    assert {item.value for item in metric.summarise([]).values()} == {None}


def test_path_beside_the_truth() -> None:
    """1.5 m to the left all the way: a displacement of 1.5 m everywhere, and a hit."""
    beside = [(x, y + 1.5) for x, y in AHEAD]
    found = figures(SCENE, [detected(beside[0], [trajectory(beside)], velocity=(4.0, 0.0))])
    for name in ('minADE', 'minADE_1', 'minFDE', 'constant_velocity/minADE'):
        assert found[name] == 1.5
    assert found['miss_rate'] == 0.0 and found['EPA'] == 1.0
    assert found['to_constant_velocity/minADE'] == 1.0


def test_late_by_one_step() -> None:
    """2 m behind from the first step on: constant velocity, which starts right, is not."""
    late = [AHEAD[0], *AHEAD[:-1]]
    found = figures(SCENE, [detected(AHEAD[0], [trajectory(late)], velocity=(4.0, 0.0))])
    assert found['minADE'] == found['minFDE'] == 2.0
    assert found['miss_rate'] == 1.0  # 2 m or more
    assert found['EPA'] == 1.0  # 2 m or less
    assert found['constant_velocity/minADE'] == 0.0


def test_flipped_axis() -> None:
    """The detection is right, the path goes backwards: off by 4, 8, 12 and 16 m."""
    back = straight(AHEAD[0], (-4.0, 0.0))
    found = figures(SCENE, [detected(AHEAD[0], [trajectory(back)], velocity=(4.0, 0.0))])
    assert (found['minADE'], found['minFDE']) == (10.0, 16.0)
    assert found['miss_rate'] == 1.0 and found['EPA'] == 0.0


def test_best_of_the_most_probable_modes() -> None:
    """Errors of modes by falling probability, at all steps: 8, 4, 2, 0 m to the left."""
    modes = [
        trajectory([AHEAD[0], *((x, y + error) for x, y in AHEAD[1:])], probability)
        for error, probability in ((8.0, 0.4), (4.0, 0.3), (2.0, 0.2), (0.0, 0.1))
    ]
    found = figures(SCENE, [detected(AHEAD[0], modes[::-1], velocity=(4.0, 1.0))])
    assert [found[name] for name in ('minADE_1', 'minADE_3', 'minADE')] == [8.0, 2.0, 0.0]
    assert [found[name] for name in ('minFDE_1', 'minFDE_3', 'minFDE')] == [8.0, 2.0, 0.0]
    assert [found[name] for name in ('miss_rate_1', 'miss_rate_3', 'miss_rate')] == [1.0, 1.0, 0.0]
    # 0.5, 1, 1.5, 2 m to the left.
    assert found['constant_velocity/minADE'] == 1.25
    assert found['constant_velocity/minFDE'] == 2.0
    assert found['to_constant_velocity/minADE_1'] == 8.0 / 1.25
    assert found['to_constant_velocity/minFDE_3'] == 1.0


def test_minima_are_taken_apart() -> None:
    """One mode is right on the way, the other at the end."""
    first = [*AHEAD[:4], (AHEAD[4][0], AHEAD[4][1] + 3.0)]
    second = [AHEAD[0], *((x, y + 2.0) for x, y in AHEAD[1:4]), AHEAD[4]]
    found = figures(SCENE, [detected(AHEAD[0], [trajectory(first, 0.6), trajectory(second, 0.4)])])
    assert found['minADE'] == 0.75 and found['minFDE'] == 0.0 and found['minFDE_1'] == 3.0
    assert found['miss_rate'] == 1.0


def test_paths_that_end_early_go_on() -> None:
    """Half of the horizon is predicted; what is missing goes on as before."""
    half = detected(AHEAD[0], [trajectory(AHEAD[:3])])
    assert figures(SCENE, [half])['minFDE'] == 0.0
    stands = detected(AHEAD[0], [trajectory(AHEAD[:1])])
    nothing = detected(AHEAD[0])
    assert figures(SCENE, [stands]) == figures(SCENE, [nothing])
    assert figures(SCENE, [nothing])['minFDE'] == 8.0


def test_other_steps_are_interpolated() -> None:
    coarse = trajectory(AHEAD[::2], time_step_s=1.0)
    later = trajectory(AHEAD[2:], start_offset_s=1.0)
    for path in (coarse, later):
        assert figures(SCENE, [detected(AHEAD[0], [path])])['minADE'] == 0.0


def test_what_of_the_horizon_is_known() -> None:
    """The recording ends after two steps: a mean over those, nothing about the end."""
    scene = driving([AHEAD], frames=3)
    beside = [AHEAD[0], *((x, y + step) for step, (x, y) in enumerate(AHEAD[1:], start=1))]
    found = figures(scene, [detected(AHEAD[0], [trajectory(beside)])])
    assert found['minADE'] == 1.5
    assert not {'minFDE', 'miss_rate', 'EPA'} & set(found)
    metric = ForecastMetric(PREDICTS)
    objects = (detected(AHEAD[0], [trajectory(beside)]),)
    record = metric.score(ScoredFrame(bev_frame(GRID, objects=objects), scene.frames[0], scene))
    assert record is not None
    curve = metric.curves([[record]])['forecast/displacement/most probable']
    assert curve.x.tolist() == [0.5, 1.0, 1.5, 2.0] and curve.y[:2].tolist() == [1.0, 2.0]
    assert np.isnan(curve.y[2:]).all()


def test_frames_near_the_end_do_not_count_in_epa() -> None:
    """A false alarm in a frame whose horizon is not known whole costs nothing."""
    metric, right = ForecastMetric(PREDICTS), detected(AHEAD[0], [trajectory(AHEAD)])
    records = []
    for scene, objects in ((SCENE, (right,)), (driving([AHEAD], frames=3), (detected((0, 0)),))):
        frame = ScoredFrame(bev_frame(GRID, objects=objects), scene.frames[0], scene)
        record = metric.score(frame)
        assert record is not None
        records.append(record)
    assert metric.summarise([records])['forecast/EPA'].value == 1.0


def test_curves_of_the_most_probable_and_the_best_mode() -> None:
    modes = [
        trajectory([AHEAD[0], *((x, y + error) for x, y in AHEAD[1:])], probability)
        for error, probability in ((3.0, 0.5), (1.0, 0.3), (2.0, 0.2))
    ]
    metric = ForecastMetric(PREDICTS)
    objects = (detected(AHEAD[0], modes, velocity=(4.0, 0.0)),)
    record = metric.score(ScoredFrame(bev_frame(GRID, objects=objects), SCENE.frames[0], SCENE))
    assert record is not None
    curves = metric.curves([[record]])
    for name, expected in (('most probable', 3.0), ('best of all modes', 1.0)):
        assert curves[f'forecast/displacement/{name}'].y.tolist() == [expected] * STEPS
    assert curves['forecast/displacement/constant velocity'].y.tolist() == [0.0] * STEPS


def test_objects_without_a_track_are_not_followed() -> None:
    scene = driving([AHEAD], track=[''])
    assert figures(scene, [detected(AHEAD[0], [trajectory(AHEAD)])]) == {}


def test_wrong_detections() -> None:
    """A false alarm costs half a hit; barriers are no road users and cost nothing."""
    right = detected(AHEAD[0], [trajectory(AHEAD)])
    alarm = detected((-20.0, 0.0))
    assert figures(SCENE, [right, alarm])['EPA'] == 0.5
    assert figures(SCENE, [alarm])['EPA'] == -0.5
    assert figures(SCENE, [right, detected((-20.0, 0.0), name='barrier')])['EPA'] == 1.0
    # Within 2 m, but taken by the better one: a false alarm, too.
    twin = detected((10.5, 2.0), [trajectory(AHEAD[::-1])], score=0.5)
    found = figures(SCENE, [twin, right])
    assert found['EPA'] == 0.5 and found['minADE'] == 0.0


def test_matches_within_two_metres_and_a_group() -> None:
    def at(away_m: float, name: str) -> dict[str, float]:
        start = (10.0 + away_m, 2.0)
        return figures(SCENE, [detected(start, [trajectory(AHEAD)], name)])

    assert at(2.0, 'truck')['EPA'] == 1.0 and 'minADE' in at(2.0, 'truck')
    for far in (at(2.001, 'car'), at(0.0, 'pedestrian')):
        assert far['EPA'] == -0.5 and 'minADE' not in far


def test_what_is_asked_for() -> None:
    """Only visible objects on the grid, of classes that the model has."""
    away = straight((60.0, 0.0), (0.0, 0.0))
    scene = driving([AHEAD, away, straight((-10.0, 0.0), (0.0, 0.0))], ['car', 'car', 'bicycle'])
    right = detected(AHEAD[0], [trajectory(AHEAD)])
    assert figures(scene, [right])['EPA'] == 1.0
    assert 'EPA/two_wheeler' not in figures(scene, [right])
    # Who finds one that is not asked for is not wrong.
    assert figures(scene, [right, detected(away[0], [trajectory(away)])])['EPA'] == 1.0


@pytest.mark.parametrize(
    ('how', 'finds_hidden', 'expected'),
    [
        ('ignore', False, 1.0),
        ('ignore', True, 1.0),
        ('drop', False, 1.0),
        ('drop', True, 0.5),
        ('keep', False, 0.5),
        ('keep', True, 1.0),
    ],
)
def test_hidden_objects(how: str, finds_hidden: bool, expected: float) -> None:
    other = straight((-10.0, 0.0), (0.0, 0.0))
    scene = driving([AHEAD, other], visibility=[0.9, 0.05])
    found = [detected(AHEAD[0], [trajectory(AHEAD)])]
    if finds_hidden:
        found.append(detected(other[0], [trajectory(other)]))
    assert figures(scene, found, hidden=how)['EPA'] == expected


def test_moving_vehicles_apart() -> None:
    """A moving car 1 m off, a parked one right, a walking person 2 m off."""
    parked, walk = straight((-10.0, 0.0), (0.0, 0.0)), straight((0.0, 8.0), (1.5, 0.0))
    names = ['car', 'car', 'pedestrian']
    found = [
        detected(AHEAD[0], [trajectory([AHEAD[0], *((x, y + 1.0) for x, y in AHEAD[1:])])]),
        detected(parked[0], [trajectory(parked)]),
        detected(walk[0], [trajectory([walk[0], *((x, y + 2.0) for x, y in walk[1:])])], names[2]),
    ]
    for velocity in (None, [(4.0, 0.0), (0.0, 0.0), (1.5, 0.0)]):
        scene = driving([AHEAD, parked, walk], names, velocity=velocity)
        pooled = figures(scene, found)
        assert pooled['minADE'] == 1.0 and pooled['moving_vehicles/minADE'] == 1.0
        assert pooled['miss_rate'] == pytest.approx(1 / 3)
        assert pooled['moving_vehicles/miss_rate'] == 0.0
    assert figures(driving([parked]), found[1:2])['minADE'] == 0.0
    assert 'moving_vehicles/minADE' not in figures(driving([parked]), found[1:2])


def test_pooled_over_objects() -> None:
    """Two objects in one frame, one in another: a mean over three objects."""
    metric = ForecastMetric(PREDICTS)
    parked = straight((-10.0, 0.0), (0.0, 0.0))
    scene = driving([AHEAD, parked])
    off = [AHEAD[0], *((x, y + 3.0) for x, y in AHEAD[1:])]
    both = (detected(AHEAD[0], [trajectory(off)]), detected(parked[0], [trajectory(parked)]))
    records = []
    for objects in (both, both[:1]):
        frame = ScoredFrame(bev_frame(GRID, objects=objects), scene.frames[0], scene)
        record = metric.score(frame)
        assert record is not None
        records.append(record)
    found = metric.summarise([records[:1], records[1:]])
    assert found['forecast/minADE'].value == 2.0
    assert found['forecast/EPA'].value == 1 / 4
    curves = metric.curves([records])
    assert curves['forecast/displacement/best of all modes'].y.tolist() == [2.0] * 4
    assert curves['forecast/displacement/constant velocity'].y[-1] == pytest.approx(16 / 3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_restated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ways = [
        [tuple(p) for p in (rng.uniform(-40, 40, 2) + rng.normal(0, 1, (5, 2)).cumsum(0)).tolist()]
        for _ in range(5)
    ]
    scene = driving(ways, rng.choice(['car', 'truck', 'pedestrian'], 5).tolist())  # type: ignore[arg-type]
    found = []
    for row in range(5):
        at = np.array(ways[row][0]) + rng.normal(0, 1.0, 2)
        paths = [
            trajectory(
                [(float(at[0]), float(at[1]))]
                + [(x + float(rng.normal()), y + float(rng.normal())) for x, y in ways[row][1:]],
                float(rng.random()),
            )
            for _ in range(int(rng.integers(1, 6)))
        ]
        name = str(rng.choice(['car', 'truck', 'pedestrian']))
        speed = tuple(rng.normal(0, 2, 2).tolist())
        found.append(
            detected((float(at[0]), float(at[1])), paths, name, float(rng.random()), speed)
        )
    truth = scene.frames[0].objects
    assert truth is not None
    groups = {'car': 'v', 'truck': 'v', 'pedestrian': 'p'}
    taken: set[int] = set()
    rows: dict[str, list[float]] = {}
    hits = false = 0
    for item in sorted(found, key=lambda o: -o.existence_probability):
        best, best_m = None, 2.0
        for true in range(5):
            away = math.dist(item.center_m[:2], ways[true][0])
            same = groups[item.classes[0].name] == groups[truth.class_name[true]]
            if same and true not in taken and away <= best_m:
                best, best_m = true, away
        if best is None:
            false += 1
            continue
        taken.add(best)
        modes = sorted(item.trajectories, key=lambda path: -path.probability)
        errors = [
            [math.dist(p[:2], w) for p, w in zip(m.positions_m[1:], ways[best][1:], strict=True)]
            for m in modes
        ]
        for suffix, k in (('_1', 1), ('_3', 3), ('', 99)):
            some = errors[:k]
            rows.setdefault(f'minADE{suffix}', []).append(min(sum(a) / 4 for a in some))
            rows.setdefault(f'minFDE{suffix}', []).append(min(a[-1] for a in some))
            rows.setdefault(f'miss_rate{suffix}', []).append(float(all(max(a) >= 2 for a in some)))
        vx, vy = item.velocity_mps or (0.0, 0.0)
        ours = [
            math.dist((item.center_m[0] + vx * t, item.center_m[1] + vy * t), w)
            for t, w in zip(TIMES_S[1:].tolist(), ways[best][1:], strict=True)
        ]
        rows.setdefault('constant_velocity/minADE', []).append(sum(ours) / 4)
        rows.setdefault('constant_velocity/minFDE', []).append(ours[-1])
        hits += int(min(a[-1] for a in errors) <= 2.0)
    pooled = figures(scene, found)
    for name, content in rows.items():
        assert pooled[name] == pytest.approx(sum(content) / len(content), rel=1e-5, abs=1e-6)
    assert pooled['EPA'] == pytest.approx((hits - 0.5 * false) / 5)
