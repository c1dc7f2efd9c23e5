"""Instances ahead: future IoU and panoptic quality, by hand, single errors, and restated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.truth import bev_frame, truth_objects

from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.metrics.future import FutureIouMetric
from bev_perception.evaluation.metrics.panoptic import PanopticMetric
from bev_perception.evaluation.ranges import RANGES
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.raster import instance_maps
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw

GRID = BevGrid(-50.0, -50.0, 0.5, 200, 200)
STEP_S = 0.5
TIMES_S = (0.0, 0.5, 1.0)
PREDICTS = Predicts(object_classes=('car', 'pedestrian'), motion_steps=2, motion_step_s=STEP_S)
Labels = NDArray[np.int32]
COVERED = ('long', 'short', 'model')  # cells of 0.5 m, in which the cases are exact


def traffic(steps: int = 4, visibility: float = np.nan, first: int = 0) -> SceneTruth:
    """A near car goes ahead, a far one stands; the vehicle goes ahead as well. 3 x 3 cells each.

    The near car goes 1 m (two cells) per step of 0.5 s; `visibility` is that of the far one.
    """
    frames = []
    for step in range(first, first + steps):
        ego_m = 0.5 * step
        boxes = [(2.25 + step - ego_m, 0.75, 1.5, 1.5, 0.0), (29.25 - ego_m, 9.75, 1.5, 1.5, 0.0)]
        objects = truth_objects(boxes, visibility=[np.nan, visibility])
        stamp_ns = round(step * STEP_S * 1e9)
        frames.append(TruthFrame(stamp_ns, objects, pose_from_yaw(ego_m, 0.0, 0.0, 0.0)))
    return SceneTruth(frames)


def perfect(scene: SceneTruth) -> Labels:
    return instance_maps(scene, scene.frames[0], TIMES_S, GRID)[0]


def scored(scene: SceneTruth, labels: Labels | None, **more: Any) -> ScoredFrame:
    prediction = bev_frame(GRID, instances=labels, instance_grid=GRID, **more)
    return ScoredFrame(prediction, scene.frames[0], scene)


def figures(frame: ScoredFrame, predicts: Predicts = PREDICTS, **how: Any) -> dict[str, float]:
    """Returns the figures of both families that are defined."""
    found: dict[str, float] = {}
    for metric in (FutureIouMetric(predicts, **how), PanopticMetric(predicts, **how)):
        record = metric.score(frame)
        pooled = metric.summarise([[record]] if record is not None else [])  # type: ignore[list-item]
        found |= {name: item.value for name, item in pooled.items() if item.value is not None}
    return found


def of_ranges(found: dict[str, float], name: str) -> list[float]:
    """Returns a figure at the ranges in which the cases are exact."""
    if name == 'iou':
        return [found[f'future_iou/{place}'] for place in COVERED]
    return [found[f'vpq/{place}/{name}'] for place in COVERED]


def test_perfect_predictions_are_perfect() -> None:
    scene = traffic()
    labels = perfect(scene) * 7  # names of instances do not matter
    found = figures(scored(scene, labels))
    assert all(
        value == 1.0 for name, value in found.items() if 'fine' not in name and 'sw' not in name
    )
    assert of_ranges(found, 'switches') == [0, 0, 0]
    assert len(found) == 9 * len(RANGES)


def test_empty_predictions_score_zero() -> None:
    scene = traffic()
    found = figures(scored(scene, np.zeros((3, *GRID.shape), np.int32)))
    assert len(found) == 9 * len(RANGES) and set(found.values()) == {0.0}


def test_nothing_true_is_not_defined() -> None:
    scene = SceneTruth([TruthFrame(round(t * 1e9), truth_objects([]), np.eye(4)) for t in TIMES_S])
    everywhere = np.ones((3, *GRID.shape), np.int32)
    assert figures(scored(scene, everywhere)) == {}


def test_no_instances_or_another_horizon() -> None:
    scene = traffic()
    assert figures(scored(scene, None)) == {}
    assert figures(scored(scene, perfect(scene)[:2])) == {}
    assert figures(scored(scene, perfect(scene)), Predicts()) == {}


def test_windows_that_are_not_covered_do_not_count() -> None:
    """The scene ends after the first step: the curve knows two steps, the pool nothing."""
    scene = traffic(steps=2)
    metric = FutureIouMetric(PREDICTS)
    labels = perfect(traffic())
    record = metric.score(scored(scene, labels))
    assert record is not None and record.known.tolist() == [True, True, False]
    assert metric.summarise([[record]])['future_iou/long'].value is None
    curve = metric.curves([[record]])['future_iou/long']
    assert curve.x.tolist() == [0.0, 0.5, 1.0] and curve.y[:2].tolist() == [1.0, 1.0]
    assert np.isnan(curve.y[2])
    # Nor do the steps beyond the end, whatever is predicted there.
    whole = metric.score(scored(traffic(), labels))
    assert whole is not None
    assert metric.curves([[record, whole]])['future_iou/long'].y.tolist() == [1.0, 1.0, 1.0]
    assert metric.summarise([[record, whole]])['future_iou/long'].value == 1.0
    assert PanopticMetric(PREDICTS).score(scored(scene, labels)) is None


def test_late_by_one_frame() -> None:
    """What was right a step ago: the near car is a metre (two cells) behind, the far one right.

    Near car: 3 of 15 cells per step, IoU 0.2; far car: all 9, beyond the short range.
    """
    now = traffic(first=1)
    frame = scored(now, perfect(moved_back(traffic())))
    found = figures(frame)
    assert of_ranges(found, 'iou') == pytest.approx([12 / 24, 3 / 15, 12 / 24])
    # 3 steps: the far car is found, the near one is missed and invented.
    assert of_ranges(found, 'VPQ') == pytest.approx([3 / 6, 0.0, 3 / 6])
    assert of_ranges(found, 'RQ') == pytest.approx([3 / 6, 0.0, 3 / 6])
    assert of_ranges(found, 'SQ') == pytest.approx([1.0, 0.0, 1.0])
    assert of_ranges(found, 'switches') == [0, 0, 0]


def moved_back(scene: SceneTruth) -> SceneTruth:
    """The same world from where the vehicle is a step later."""
    base = pose_from_yaw(0.5, 0.0, 0.0, 0.0)
    back = np.linalg.inv(base)
    frames = [
        TruthFrame(
            frame.stamp_ns,
            frame.objects.transformed(back) if frame.objects else None,
            base @ (np.eye(4) if frame.odom_T_base is None else frame.odom_T_base),
        )
        for frame in scene.frames
    ]
    return SceneTruth(frames)


def test_swapped_identity_moves_panoptic_quality_alone() -> None:
    """The last step swaps the two cars: 4 of 6 segments stay right, two switches."""
    scene = traffic()
    labels = perfect(scene)
    labels[2] = np.where(labels[2] > 0, 3 - labels[2], 0)
    found = figures(scored(scene, labels))
    assert of_ranges(found, 'iou') == [1.0, 1.0, 1.0]
    assert of_ranges(found, 'VPQ') == pytest.approx([4 / 6, 2 / 3, 4 / 6])
    assert of_ranges(found, 'SQ') == [1.0, 1.0, 1.0]
    assert of_ranges(found, 'switches') == [2, 1, 2]


def test_shift_by_one_cell() -> None:
    """Every segment overlaps in 6 of 12 cells: not enough for a match."""
    scene = traffic()
    found = figures(scored(scene, np.roll(perfect(scene), 1, axis=2)))
    assert of_ranges(found, 'iou') == [0.5, 0.5, 0.5]
    assert of_ranges(found, 'VPQ') == [0.0, 0.0, 0.0]


def test_flipped_axis() -> None:
    scene = traffic()
    for labels in (perfect(scene)[:, ::-1], perfect(scene)[:, :, ::-1]):
        found = figures(scored(scene, labels))
        assert of_ranges(found, 'iou') == of_ranges(found, 'VPQ') == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ('how', 'finds_hidden', 'expected'),
    [
        ('drop', True, (27 / 54, 3 / (3 + 1.5))),
        ('drop', False, (1.0, 1.0)),
        ('ignore', True, (1.0, 1.0)),
        ('ignore', False, (1.0, 1.0)),
        ('keep', True, (1.0, 1.0)),
        ('keep', False, (27 / 54, 3 / (3 + 1.5))),
    ],
)
def test_hidden_objects(how: str, finds_hidden: bool, expected: tuple[float, float]) -> None:
    scene = traffic(visibility=0.05)
    labels = perfect(scene)
    found = figures(
        scored(scene, labels if finds_hidden else np.where(labels == 1, 1, 0)), hidden=how
    )
    assert (found['future_iou/long'], found['vpq/long/VPQ']) == pytest.approx(expected)


def test_cells_of_visible_objects_count_though_a_hidden_one_is_there() -> None:
    objects = truth_objects([(2.25, 0.75, 1.5, 1.5, 0.0)] * 2, visibility=[0.9, 0.05])
    scene = SceneTruth([TruthFrame(round(t * 1e9), objects, np.eye(4)) for t in TIMES_S])
    found = figures(scored(scene, np.zeros((3, *GRID.shape), np.int32)), hidden='ignore')
    assert found['future_iou/long'] == found['vpq/long/VPQ'] == 0.0


def test_what_a_model_is_to_show() -> None:
    """Cones have no class in this model; two-wheelers are vehicles for one that has but those."""
    boxes = [
        (2.25, 0.75, 1.5, 1.5, 0.0),
        (8.25, 0.75, 1.5, 1.5, 0.0),
        (14.25, 0.75, 1.5, 1.5, 0.0),
    ]
    objects = truth_objects(boxes, ['vehicle.car', 'traffic_cone', 'bicycle'])
    scene = SceneTruth([TruthFrame(round(t * 1e9), objects, np.eye(4)) for t in TIMES_S])
    labels = perfect(scene)
    only_car, no_cone = np.where(labels == 1, 1, 0), np.where(labels == 2, 0, labels)
    steps = {'motion_steps': 2, 'motion_step_s': STEP_S}
    vehicles = Predicts(layers=('vehicle',), **steps)  # type: ignore[arg-type]
    anything = Predicts(**steps)  # type: ignore[arg-type]
    for predicts, right in ((PREDICTS, only_car), (vehicles, no_cone), (anything, no_cone)):
        found = figures(scored(scene, right), predicts)
        assert found['vpq/long/VPQ'] == found['future_iou/long'] == 1.0


def car_and_walker() -> SceneTruth:
    """A car and a pedestrian that stand; 3 x 3 cells each."""
    boxes = [(2.25, 0.75, 1.5, 1.5, 0.0), (8.25, 0.75, 1.5, 1.5, 0.0)]
    objects = truth_objects(boxes, ['car', 'pedestrian'])
    return SceneTruth([TruthFrame(round(t * 1e9), objects, np.eye(4)) for t in TIMES_S])


def test_vehicles_alone() -> None:
    """A pedestrian that is missed, found, or drawn at half its size: all the same to vehicles."""
    scene = car_and_walker()
    labels = perfect(scene)
    part = labels.copy()
    part[:, :, ::2][part[:, :, ::2] == 2] = 0
    for said, everyone in ((labels, 1.0), (labels % 2, 3 / 4.5), (part, 3 / 4.5)):
        found = figures(scored(scene, said))
        assert found['vpq/long/vehicles/VPQ'] == found['vpq/long/vehicles/SQ'] == 1.0
        assert found['vpq/long/VPQ'] < 1.0 or said is labels
        if said is not part:
            assert found['vpq/long/VPQ'] == pytest.approx(everyone)
    found = figures(scored(scene, np.where(labels == 2, 2, 0)))
    assert found['vpq/long/vehicles/VPQ'] == 0.0
    assert found['vpq/long/VPQ'] == pytest.approx(3 / 4.5)


@pytest.mark.parametrize(
    ('classes', 'expected'),
    [
        (('pedestrian',), 1.0),
        (('pedestrian', 'pedestrian'), 1.0),
        (('pedestrian', 'car'), 3 / 4.5),
        (('car',), 3 / 4.5),
        ((), 3 / 4.5),
    ],
)
def test_what_a_model_takes_for_others_is_no_false_vehicle(
    classes: tuple[str, ...], expected: float
) -> None:
    """An instance where nobody is, of objects of some classes."""
    scene = car_and_walker()
    labels = np.where(perfect(scene) == 1, 1, 0).astype(np.int32)
    labels[:, 150:153, 150:153] = 3
    objects = tuple(bev_object(instance=3, name=name) for name in classes)
    found = figures(scored(scene, labels, objects=(bev_object(instance=1), *objects)))
    assert found['vpq/long/vehicles/VPQ'] == pytest.approx(expected)


def test_a_wrong_class_of_a_vehicle_is_a_miss() -> None:
    scene = car_and_walker()
    found = figures(scored(scene, perfect(scene), objects=(bev_object(1, 'pedestrian'),)))
    assert found['vpq/long/vehicles/VPQ'] == 0.0 and found['vpq/long/VPQ'] == 1.0


def bev_object(instance: int, name: str = 'car') -> BevObject:
    scores = (ClassScore(0, name, 0.9),)
    return BevObject(
        bytes(16), 1, 0.9, scores, (0.0, 0.0, 0.0), (4.0, 2.0, 1.5), 0.0, instance=instance
    )


def test_ranges_that_the_model_does_not_cover() -> None:
    grid = BevGrid(-15.0, -15.0, 0.15, 200, 200)
    scene = traffic()
    labels = instance_maps(scene, scene.frames[0], TIMES_S, grid)[0]
    prediction = bev_frame(grid, instances=labels, instance_grid=grid)
    found = figures(ScoredFrame(prediction, scene.frames[0], scene))
    assert {name.split('/')[1] for name in found} == {'short', 'short_fine', 'model'}
    assert found['vpq/short_fine/VPQ'] == found['future_iou/short_fine'] == 1.0


def test_pooled_over_windows() -> None:
    """Sums over windows of two scenes, not means: 6 segments right, 6 missed."""
    scene, metric = traffic(), PanopticMetric(PREDICTS)
    good = metric.score(scored(scene, perfect(scene)))
    bad = metric.score(scored(scene, np.zeros((3, *GRID.shape), np.int32)))
    assert good is not None and bad is not None
    for scenes in ([[good], [bad]], [[good, bad]]):
        assert metric.summarise(scenes)['vpq/long/VPQ'].value == 6 / (6 + 3)
    assert list(metric.summarise([])) == list(metric.summarise([[good]]))
    iou = FutureIouMetric(PREDICTS)
    records = [iou.score(scored(scene, labels)) for labels in (perfect(scene), perfect(scene) * 0)]
    pooled = iou.summarise([[record] for record in records if record is not None])
    assert pooled['future_iou/long'].value == 0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_restated(seed: int) -> None:
    """Both families over random labels and objects, with loops over cells and segments."""
    rng = np.random.default_rng(seed)
    grid = BevGrid(-3.0, -3.0, 0.5, 12, 12)
    frames = []
    centers = rng.uniform(-3, 3, (4, 2))
    for step in range(3):
        centers = centers + rng.normal(0, 0.4, (4, 2))
        boxes = np.column_stack([centers, np.full((4, 2), 1.5), np.zeros(4)])
        frames.append(
            TruthFrame(round(step * STEP_S * 1e9), truth_objects(boxes.tolist()), np.eye(4))
        )
    scene = SceneTruth(frames)
    truth, known = instance_maps(scene, frames[0], TIMES_S, grid)
    assert known.all()
    names = rng.permutation(8) + 1
    noise = rng.random(truth.shape)
    said = np.where(noise < 0.1, rng.integers(0, 5, truth.shape), truth)
    said = np.where(said > 0, names[said], 0).astype(np.int32)
    if rng.random() < 0.7:
        said[2] = np.where(said[2] == names[1], names[2], said[2])
    frame = ScoredFrame(bev_frame(grid, instances=said, instance_grid=grid), frames[0], scene)
    found = figures(frame)
    both = sum(int(s > 0 and t > 0) for s, t in zip(said.flat, truth.flat, strict=True))
    either = sum(int(s > 0 or t > 0) for s, t in zip(said.flat, truth.flat, strict=True))
    if (truth > 0).any():
        assert found['future_iou/model'] == pytest.approx(both / either, abs=1e-12)
        quality, switches = slow_panoptic(said, truth)
        assert found['vpq/model/VPQ'] == pytest.approx(quality, abs=1e-12)
        assert found['vpq/model/switches'] == switches


def slow_panoptic(said: Labels, truth: Labels) -> tuple[float, int]:
    last: dict[int, int] = {}
    iou_sum, hits, false, missed, switches = 0.0, 0, 0, 0, 0
    for s, t in zip(said, truth, strict=True):
        free = {int(v) for v in np.unique(s)} - {0}
        for true in sorted({int(v) for v in np.unique(t)} - {0}):
            for name in sorted(free):
                share = np.sum((s == name) & (t == true)) / np.sum((s == name) | (t == true))
                if share > 0.5:
                    free.remove(name)
                    if last.get(true, name) == name:
                        hits, iou_sum = hits + 1, iou_sum + float(share)
                    else:
                        switches, false, missed = switches + 1, false + 1, missed + 1
                    last[true] = name
                    break
            else:
                missed += 1
        false += len(free)
    return iou_sum / max(hits + 0.5 * false + 0.5 * missed, 1.0), switches
