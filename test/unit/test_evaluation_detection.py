"""nuScenes detection metrics: cases by hand, and a restatement without arrays."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from support.evaluated import as_predicted, moved, scored_frames
from support.nuscenes_random import random_scene
from support.truth import truth_objects

from bev_perception.evaluation.class_map import DETECTION_CLASSES
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.metrics.detection import DetectionMetric
from bev_perception.evaluation.metrics.detection_curves import (
    average_precision,
    mean_error,
    operating_curve,
    running_mean,
)
from bev_perception.evaluation.metrics.matching import (
    best_matches,
    falling_order,
    greedy_matches,
)
from bev_perception.evaluation.records import pack, unpack
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.pose import pose_from_yaw

CAR_AND_WALKER = Predicts(object_classes=('car', 'pedestrian'))
ERRORS = ('ATE', 'ASE', 'AOE', 'AVE')


def cars(count: int = 2, **changes: Any) -> TruthObjects:
    """Returns cars of 4 m x 2 m, 10 m apart, which drive along x at 3 m/s."""
    boxes = [(10.0 * (row + 1), 0.0, 4.0, 2.0, 0.3) for row in range(count)]
    changes.setdefault('velocity_mps', [(3.0, 0.0)] * count)
    return truth_objects(boxes, **changes)


def figures(
    truth: TruthObjects, found: Sequence[BevObject], metric: DetectionMetric | None = None
) -> Mapping[str, Figure]:
    metric = metric or DetectionMetric(CAR_AND_WALKER)
    frames = scored_frames([truth], [found])
    return metric.summarise([[record_of(metric, frame) for frame in frames]])


def record_of(metric: DetectionMetric, frame: ScoredFrame) -> Any:
    record = metric.score(frame)
    assert record is not None
    return record


def values(found: Mapping[str, Figure], *names: str) -> list[float | None]:
    return [found[f'detection/{name}'].value for name in names]


def changed(first: Mapping[str, Figure], second: Mapping[str, Figure]) -> set[str]:
    """Returns names of figures that differ by more than rounding."""
    return {
        name.removeprefix('detection/')
        for name in first
        if first[name].value != pytest.approx(second[name].value, abs=1e-9)
    }


def test_perfect_predictions() -> None:
    found = figures(cars(), as_predicted(cars()))
    assert values(found, 'mAP', 'AP/car', 'AP@0.5m/car', 'AP@4m/car') == [1.0] * 4
    assert values(found, *(f'm{name}' for name in ERRORS)) == [0.0] * 4
    # Five times 1, four errors of 0, and attributes that are all wrong.
    assert values(found, 'NDS') == [pytest.approx((5 + 4) / 10)]
    assert values(found, 'mAAE', 'AAE/car', 'AP/pedestrian', 'ATE/bus') == [None] * 4
    # One class of ten; nine others have all errors of 1, but for two without an AOE or AVE.
    assert values(found, 'devkit/mAP') == [pytest.approx(0.1)]
    assert values(found, 'devkit/NDS') == [pytest.approx((5 * 0.1 + 2 * 0.1 + 1 / 9 + 1 / 8) / 10)]


def test_nothing_is_found() -> None:
    found = figures(cars(), [])
    assert values(found, 'mAP', 'NDS', 'AP/car') == [0.0] * 3
    assert values(found, *(f'm{name}' for name in ERRORS)) == [1.0] * 4


def test_nothing_is_there() -> None:
    found = figures(TruthObjects.none(), as_predicted(cars()))
    assert all(figure.value is None for figure in found.values())
    metric = DetectionMetric(CAR_AND_WALKER)
    assert list(metric.summarise([])) == list(found)
    assert metric.confusions([]) == {} and metric.curves([]) == {}


def test_classes_that_are_not_predicted_are_not_counted() -> None:
    truth = cars(class_name=('car', 'bus'))
    found = figures(truth, as_predicted(truth.selected([0])))
    assert values(found, 'mAP', 'AP/bus') == [1.0, None]
    assert values(found, 'devkit/mAP') == [pytest.approx(0.1)]


def test_no_objects_give_no_record() -> None:
    metric = DetectionMetric(CAR_AND_WALKER)
    frame = scored_frames([cars()], [[]])[0]
    for prediction, truth in ((None, cars()), ((), None)):
        object.__setattr__(frame.prediction, 'objects', prediction)
        object.__setattr__(frame.truth, 'objects', truth)
        assert metric.score(frame) is None


def test_a_shifted_box() -> None:
    """0.7 m away is not found at 0.5 m; elsewhere only the error of position changes."""
    perfect = figures(cars(), as_predicted(cars()))
    shifted = figures(cars(), [moved(item, y_m=0.7) for item in as_predicted(cars())])
    assert changed(perfect, shifted) == {
        'mAP', 'NDS', 'AP/car', 'AP@0.5m/car', 'mATE', 'ATE/car', 'devkit/mAP', 'devkit/NDS',
    }  # fmt: skip
    assert values(shifted, 'AP@0.5m/car', 'AP@1m/car', 'mAP', 'mATE') == [
        0.0, 1.0, 0.75, pytest.approx(0.7),
    ]  # fmt: skip
    assert values(shifted, 'NDS') == [pytest.approx((5 * 0.75 + 0.3 + 3) / 10)]


@pytest.mark.parametrize(
    ('name', 'change', 'error'),
    [
        ('AOE', {'yaw_rad': 0.3 + np.pi}, np.pi),
        ('AOE', {'yaw_rad': 0.3 + 2 * np.pi - 0.2}, 0.2),
        ('ASE', {'size_m': (4.0, 1.0, 1.5)}, 0.5),
        ('ASE', {'size_m': (2.0, 2.0, 3.0)}, 1.0 - 6.0 / (12.0 + 12.0 - 6.0)),
        ('AVE', {'velocity_mps': (0.0, 4.0)}, 5.0),
        ('AVE', {'velocity_mps': (3.0, -0.25)}, 0.25),
    ],
)
def test_one_error_moves_one_figure(name: str, change: dict[str, Any], error: float) -> None:
    perfect = figures(cars(), as_predicted(cars()))
    wrong = figures(cars(), [moved(item, **change) for item in as_predicted(cars())])
    assert changed(perfect, wrong) == {f'm{name}', f'{name}/car', 'NDS', 'devkit/NDS'}
    assert values(wrong, f'm{name}') == [pytest.approx(error)]
    assert values(wrong, 'NDS') == [pytest.approx((5 + 3 + max(0.0, 1.0 - error)) / 10)]


def test_late_by_one_frame() -> None:
    """At 3 m/s and half a second, boxes are 1.5 m behind: found at 2 and 4 m."""
    old = cars()
    new = old.transformed(pose_from_yaw(1.5, 0.0, 0.0, 0.0))
    perfect, late = figures(new, as_predicted(new)), figures(new, as_predicted(old))
    assert changed(perfect, late) == {
        'mAP', 'NDS', 'AP/car', 'AP@0.5m/car', 'AP@1m/car', 'mATE', 'ATE/car', 'devkit/mAP',
        'devkit/NDS',
    }  # fmt: skip
    assert values(late, 'mAP', 'mATE') == [0.5, pytest.approx(1.5)]


def test_barriers_look_the_same_from_both_sides() -> None:
    truth = truth_objects([(5.0, 0.0, 0.5, 2.0, 0.0)], 'barrier')
    metric = DetectionMetric(Predicts(object_classes=('barrier',)))
    found = figures(truth, [moved(as_predicted(truth)[0], yaw_rad=np.pi - 0.1)], metric)
    assert values(found, 'AOE/barrier', 'AVE/barrier') == [pytest.approx(0.1), None]


def test_a_velocity_that_is_not_known() -> None:
    still = figures(cars(), [moved(item, velocity_mps=None) for item in as_predicted(cars())])
    assert values(still, 'mAVE', 'AVE/car', 'mATE') == [None, None, 0.0]
    assert values(still, 'NDS') == [pytest.approx((5 + 3) / 10)]


def test_an_invented_box_costs_precision() -> None:
    """Two true cars; of three boxes the best is invented: precision 1/2, then 2/3."""
    truth = cars()
    found = as_predicted(truth, [0.8, 0.7])
    found.append(moved(found[0], y_m=20.0, existence_probability=0.9))
    result = figures(truth, found)
    # From recall 0.5 precision rises evenly from 1/2 to 2/3; below, from 0 at recall 0.
    recall = np.linspace(0.0, 1.0, 101)
    precision = np.interp(recall, [0.0, 0.5, 1.0], [0.0, 1 / 2, 2 / 3])
    expected = np.maximum(precision[11:] - 0.1, 0.0).mean() / 0.9
    assert values(result, 'AP/car') == [pytest.approx(expected)]
    found[2] = moved(found[2], existence_probability=0.1)
    # At the highest recall all boxes count: the last of 90 recalls has precision 2/3.
    expected = (89 + (2 / 3 - 0.1) / 0.9) / 90
    assert values(figures(truth, found), 'AP/car') == [pytest.approx(expected)]


def test_two_boxes_on_one_car() -> None:
    """The second of two with the same score chooses first; the other one is invented."""
    truth = cars(1)
    near, far = as_predicted(truth)[0], moved(as_predicted(truth)[0], y_m=0.4)
    assert values(figures(truth, [near, far]), 'mATE') == [pytest.approx(0.4)]
    assert values(figures(truth, [far, near]), 'mATE') == [0.0]


@pytest.mark.parametrize(('x_m', 'counts'), [(49.9, True), (50.1, False)])
def test_ranges(x_m: float, counts: bool) -> None:
    truth = truth_objects([(x_m, 0.0, 4.0, 2.0, 0.0)])
    assert (values(figures(truth, []), 'mAP') == [0.0]) is counts
    near = cars(1)
    far_box = as_predicted(truth, 0.95)
    result = figures(near, [*as_predicted(near, 0.9), *far_box])
    assert (values(result, 'mAP') == [1.0]) is not counts
    walker = truth_objects([(x_m - 10.0, 0.0, 1.0, 1.0, 0.0)], 'pedestrian')
    assert (values(figures(walker, []), 'mAP') == [0.0]) is counts


def test_ranges_follow_the_vehicle() -> None:
    metric = DetectionMetric(CAR_AND_WALKER)
    pose = pose_from_yaw(1000.0, -500.0, 3.0, 2.0)
    frames = scored_frames([cars()], [as_predicted(cars())], [pose])
    found = metric.summarise([[record_of(metric, frames[0])]])
    assert values(found, 'mAP') == [1.0]
    assert values(found, 'mAVE') == [pytest.approx(0.0, abs=1e-9)]


def test_objects_without_points_are_not_there() -> None:
    truth = cars(points=[5, 0])
    assert values(figures(truth, as_predicted(truth.selected([0]))), 'mAP') == [1.0]
    # Who finds it nevertheless is wrong.
    seen = as_predicted(truth, [0.8, 0.9])
    assert values(figures(truth, seen), 'mAP')[0] < 1.0  # type: ignore[operator]


@pytest.mark.parametrize(
    ('hidden', 'both', 'first'), [('keep', 1.0, None), ('drop', None, 1.0), ('ignore', 1.0, 1.0)]
)
def test_hidden_objects(hidden: Any, both: float | None, first: float | None) -> None:
    """mAP when both cars, and when only the one in the open is found; None: less than 1."""
    truth = cars(visibility=[0.9, 0.1])
    metric = DetectionMetric(CAR_AND_WALKER, hidden=hidden, min_visibility=0.4)
    found = as_predicted(truth, [0.8, 0.9])
    for boxes, expected in ((found, both), (found[:1], first)):
        value = values(figures(truth, boxes, metric), 'mAP')[0]
        assert value is not None
        assert (value == 1.0) if expected else (value < 1.0)


def test_finding_a_hidden_object_is_no_success() -> None:
    truth = cars(visibility=[0.9, 0.1])
    metric = DetectionMetric(CAR_AND_WALKER, hidden='ignore', min_visibility=0.4)
    found = figures(truth, as_predicted(truth)[1:], metric)
    assert values(found, 'mAP', 'ATE/car') == [0.0, 1.0]


def test_a_hidden_object_excuses_one_box_alone() -> None:
    truth = cars(visibility=[0.9, 0.1])
    metric = DetectionMetric(CAR_AND_WALKER, hidden='ignore', min_visibility=0.4)
    found = as_predicted(truth, [0.8, 0.9])
    twice = [*found, moved(found[1], y_m=0.1, existence_probability=0.85)]
    assert values(figures(truth, twice, metric), 'AP@0.5m/car')[0] < 1.0  # type: ignore[operator]


def test_a_box_prefers_objects_that_count() -> None:
    """The hidden car is nearer, but the box finds the other one."""
    truth = truth_objects(
        [(10.0, 0.0, 4.0, 2.0, 0.0), (10.0, 1.6, 4.0, 2.0, 0.0)], visibility=[0.9, 0.1]
    )
    metric = DetectionMetric(CAR_AND_WALKER, hidden='ignore', min_visibility=0.4)
    box = moved(as_predicted(truth)[0], y_m=0.9)
    assert values(figures(truth, [box], metric), 'AP@1m/car') == [1.0]


def test_two_wheelers_in_racks_are_not_looked_at() -> None:
    truth = truth_objects(
        [(10.0, 0.0, 6.0, 4.0, 0.5), (11.0, 0.5, 2.0, 1.0, 0.0), (20.0, 0.0, 2.0, 1.0, 0.0)],
        ('static_object.bicycle_rack', 'bicycle', 'bicycle'),
    )
    metric = DetectionMetric(Predicts(object_classes=('bicycle',)))
    all_found = as_predicted(truth.selected([1, 2]), [0.9, 0.8])
    assert values(figures(truth, all_found, metric), 'mAP') == [1.0]
    assert values(figures(truth, all_found[1:], metric), 'mAP') == [1.0]
    assert values(figures(truth.selected([1, 2]), all_found[1:], metric), 'mAP') != [1.0]


def test_five_hundred_boxes_at_most() -> None:
    truth = cars(1)
    wrong = moved(as_predicted(truth)[0], y_m=20.0, existence_probability=0.9)
    right = as_predicted(truth, 0.5)
    assert values(figures(truth, [wrong] * 499 + right), 'ATE/car') == [0.0]
    assert values(figures(truth, [wrong] * 500 + right), 'ATE/car') == [1.0]


def test_confusion() -> None:
    """A car taken for a walker, one missed, a box on nothing, and a weak one on nothing."""
    truth = cars(3)
    taken, right, _ = as_predicted(truth)
    walker = moved(taken, y_m=1.0, classes=(ClassScore(1, 'pedestrian', 1.0),))
    ghost, weak = moved(right, y_m=9.0), moved(right, y_m=-9.0, existence_probability=0.2)
    metric = DetectionMetric(CAR_AND_WALKER)
    frames = scored_frames([truth], [[walker, right, ghost, weak]])
    table = metric.confusions([[record_of(metric, frames[0])]])['detection/confusion@2m']
    assert table.truth == table.predicted == ('car', 'pedestrian', 'nothing')
    assert table.counts.tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]


def test_precision_over_recall() -> None:
    truth = cars(2)
    metric = DetectionMetric(CAR_AND_WALKER)
    frames = scored_frames([truth], [as_predicted(truth)[:1]])
    curves = metric.curves([[record_of(metric, frames[0])]])
    assert list(curves) == ['detection/precision@2m/car']
    line = curves['detection/precision@2m/car']
    assert line.y[:51].tolist() == [1.0] * 51 and np.isnan(line.y[51:]).all()


def test_running_means_leave_out_what_is_not_known() -> None:
    nan = np.nan
    assert running_mean(np.array([1.0, nan, 3.0])).tolist() == [1.0, 1.0, 2.0]
    assert running_mean(np.array([nan, 4.0])).tolist() == [0.0, 4.0]
    assert running_mean(np.array([nan, nan])).tolist() == [1.0, 1.0]


def test_an_error_at_a_recall_of_a_tenth_is_one() -> None:
    """One of ten cars is found: recall 0.1 is not above 0.1."""
    truth = cars(4)
    curve = operating_curve(np.array([True]), np.array([0.9]), 10)
    assert mean_error(np.array([0.0]), np.array([0.9]), curve) == 1.0
    curve = operating_curve(np.array([True]), np.array([0.9]), len(truth))
    assert mean_error(np.array([0.2]), np.array([0.9]), curve) == pytest.approx(0.2)
    # Recalls 0.11 to 0.25, 15 of the 90.
    assert average_precision(curve) == pytest.approx(15 / 90)


def test_order_of_scores() -> None:
    assert falling_order(np.array([0.5, 0.9, 0.5, 0.7])).tolist() == [1, 3, 2, 0]


def test_matches() -> None:
    distance = np.array([[1.0, 0.4, 3.0], [1.0, 0.1, 3.0], [0.2, 0.3, 3.0], [9.0, 9.0, 3.0]])
    assert greedy_matches(distance, 2.0).tolist() == [1, 0, -1, -1]
    assert greedy_matches(distance, 3.0).tolist() == [1, 0, -1, -1]
    assert greedy_matches(distance, 3.1).tolist() == [1, 0, 2, -1]
    assert greedy_matches(np.zeros((2, 0)), 1.0).tolist() == [-1, -1]
    # Two pairs, though the single pair (0, 1) would be the nearest.
    rows, columns = best_matches(np.array([[1.9, 0.1], [2.5, 1.9]]), 2.0)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 1)]


@pytest.mark.parametrize('seed', range(4))
def test_against_a_restatement(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(f's{number}', rng, 8, 40) for number in range(3)]
    metric = DetectionMetric(Predicts(object_classes=DETECTION_CLASSES))
    records = [[record_of(metric, frame) for frame in scene.frames] for scene in scenes]
    found = metric.summarise(records)
    frames = [frame for scene in scenes for frame in scene.frames]
    compared = 0
    for name in DETECTION_CLASSES:
        for limit_m in (0.5, 1.0, 2.0, 4.0):
            expected = restated_ap(frames, name, limit_m)
            value = found[f'detection/AP@{limit_m:g}m/{name}'].value
            assert value == (expected if expected is None else pytest.approx(expected, abs=1e-9))
            compared += bool(expected)
    assert compared > 15


RANGES_M = {'pedestrian': 40, 'motorcycle': 40, 'bicycle': 40, 'traffic_cone': 30, 'barrier': 30}
NAMES = {
    'vehicle.car': 'car', 'vehicle.truck': 'truck', 'vehicle.bus.rigid': 'bus',
    'vehicle.trailer': 'trailer', 'vehicle.construction': 'construction_vehicle',
    'human.pedestrian.adult': 'pedestrian', 'human.pedestrian.child': 'pedestrian',
    'vehicle.motorcycle': 'motorcycle', 'vehicle.bicycle': 'bicycle',
    'movable_object.trafficcone': 'traffic_cone', 'movable_object.barrier': 'barrier',
}  # fmt: skip


def restated_ap(frames: Sequence[ScoredFrame], name: str, limit_m: float) -> float | None:
    """Returns AP from the definition, box by box in the level frame of the vehicle."""
    truths: list[list[Any]] = []
    boxes: list[tuple[float, int, int, Any]] = []
    for number, frame in enumerate(frames):
        objects, pose = frame.truth.objects, frame.truth.odom_T_base
        assert objects is not None and pose is not None and frame.prediction.objects is not None
        racks = [row for row, kind in enumerate(objects.class_name) if 'bicycle_rack' in kind]

        def place(center: Any, pose: Any = pose) -> Any:
            return pose[:3, :3] @ np.asarray(center)

        def usable(
            center: Any, objects: Any = objects, racks: Any = racks, pose: Any = pose
        ) -> bool:
            if np.linalg.norm((pose[:3, :3] @ np.asarray(center))[:2]) >= RANGES_M.get(name, 50):
                return False
            if name not in ('bicycle', 'motorcycle'):
                return True
            return not any(in_rack(objects, row, center, pose) for row in racks)

        truths.append(
            [
                place(objects.center_m[row])[:2]
                for row, kind in enumerate(objects.class_name)
                if NAMES.get(kind) == name
                and objects.points[row] > 0
                and usable(objects.center_m[row])
            ]
        )
        boxes += [
            (item.existence_probability, len(boxes) + index, number, place(item.center_m)[:2])
            for index, item in enumerate(
                i for i in frame.prediction.objects if i.classes[0].name == name
            )
            if usable(item.center_m)
        ]
    total = sum(map(len, truths))
    if not total:
        return None
    taken: set[tuple[int, int]] = set()
    hits, curve = 0, []
    for order, (_, _, number, place_m) in enumerate(sorted(boxes, key=lambda b: b[:2])[::-1]):
        free = [
            (float(np.linalg.norm(place_m - other)), row)
            for row, other in enumerate(truths[number])
            if (number, row) not in taken
        ]
        if free and min(free)[0] < limit_m:
            taken.add((number, min(free)[1]))
            hits += 1
        curve.append((hits / total, hits / (order + 1)))
    if not hits:
        return 0.0
    recall, precision = np.array(curve).T
    sampled = np.interp(np.linspace(0, 1, 101), recall, precision, right=0)
    return float(np.mean([max(0.0, p - 0.1) / 0.9 for p in sampled[11:]]))


def in_rack(objects: TruthObjects, row: int, center: Any, pose: Any) -> bool:
    """Returns whether a place is in an upright box; both in a base frame that may be tilted."""
    away = pose[:3, :3] @ (np.asarray(center) - objects.center_m[row])
    yaw = objects.yaw_rad[row] + np.arctan2(pose[1, 0], pose[0, 0])
    turned = (
        np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]) @ away
    )
    return bool((np.abs(turned) <= objects.size_m[row] / 2).all())


def test_records_survive_storage_and_the_metric_pickling() -> None:
    rng = np.random.default_rng(7)
    scene = random_scene('s', rng, 6, 30)
    metric = DetectionMetric(Predicts(object_classes=DETECTION_CLASSES))
    records = [record_of(metric, frame) for frame in scene.frames]
    records.append(record_of(metric, scored_frames([TruthObjects.none()], [[]])[0]))
    before = metric.summarise([records])
    kept: Any = unpack(pack({'detection': records}), {'detection': metric.record})['detection']
    assert metric.summarise([kept]) == before
    assert pickle.loads(pickle.dumps(metric)).summarise([records]) == before
    for record in kept:
        assert all(isinstance(getattr(record, item.name), np.ndarray) for item in fields(record))


def test_scenes_are_pooled() -> None:
    """A scene counts as often as it is given."""
    metric = DetectionMetric(CAR_AND_WALKER)
    good = [record_of(metric, f) for f in scored_frames([cars()] * 2, [as_predicted(cars())] * 2)]
    bad = [record_of(metric, f) for f in scored_frames([cars()] * 2, [[]] * 2)]
    for scenes, reached in (([good, bad], 0.5), ([good, bad, bad], 1 / 3)):
        expected = (np.floor(100 * reached + 1e-9) - 10) / 90
        assert values(metric.summarise(scenes), 'mAP') == [pytest.approx(expected)]
