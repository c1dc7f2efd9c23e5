"""nuScenes tracking metrics: cases by hand, and a restatement without arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from support.evaluated import as_predicted, identity, moved, scored_frames
from support.nuscenes_random import random_scene
from support.truth import truth_objects

from bev_perception.evaluation.class_map import DETECTION_CLASSES
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.metrics import tracking_scores
from bev_perception.evaluation.metrics.clear_mot import clear_mot
from bev_perception.evaluation.metrics.tracking import TRACKING_CLASSES, TrackingMetric
from bev_perception.evaluation.metrics.tracking_scene import (
    TrackFrame,
    TrackRows,
    filled,
    scene_tracks,
)
from bev_perception.evaluation.metrics.tracking_scores import RECALLS, thresholds
from bev_perception.evaluation.records import pack, unpack
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.frame import BevObject
from bev_perception.geometry.pose import invert, pose_from_yaw

PREDICTS = Predicts(object_classes=('car', 'pedestrian'))
FRAMES = 10


def two_cars(frame: int) -> TruthObjects:
    """Returns car 'a' and, 10 m beside it, car 'b'; both go 1 m a frame."""
    return truth_objects([(float(frame), y, 4.0, 2.0, 0.0) for y in (0.0, 10.0)])


TRUTH = [two_cars(frame) for frame in range(FRAMES)]
PERFECT = [as_predicted(objects) for objects in TRUTH]


def records_of(
    predictions: Sequence[Sequence[BevObject]],
    truth: Sequence[TruthObjects] = TRUTH,
    metric: TrackingMetric | None = None,
    poses: Any = None,
) -> list[Any]:
    metric = metric or TrackingMetric(PREDICTS)
    found = [metric.score(frame) for frame in scored_frames(truth, predictions, poses)]
    assert None not in found
    return found


def figures(predictions: Sequence[Sequence[BevObject]], *args: Any) -> Mapping[str, Figure]:
    return TrackingMetric(PREDICTS).summarise([records_of(predictions, *args)])


def values(found: Mapping[str, Figure], *names: str) -> list[float | None]:
    return [found[f'tracking/{name}'].value for name in names]


def changed(first: Mapping[str, Figure], second: Mapping[str, Figure]) -> set[str]:
    """Returns names of figures over all classes that differ by more than rounding."""
    return {
        name.removeprefix('tracking/')
        for name in first
        if name.count('/') == 1
        and first[name].value != pytest.approx(second[name].value, abs=1e-9)
    }


def test_perfect_predictions() -> None:
    found = figures(PERFECT)
    assert values(found, 'AMOTA', 'MOTA', 'MOTAR', 'recall') == [1.0] * 4
    assert values(found, 'AMOTP', 'MOTP', 'TID', 'LGD', 'FAF') == [0.0] * 5
    assert values(found, 'IDS', 'FRAG', 'ML', 'FP', 'FN') == [0.0] * 5
    assert values(found, 'MT', 'TP', 'MT/car') == [2.0, 20.0, 2.0]
    assert values(found, 'AMOTA/pedestrian', 'IDS/bus') == [None, None]
    assert values(found, 'devkit/AMOTA') == [1.0]


def test_nothing_is_found() -> None:
    """The benchmark's worst values; how false positives would be is not known."""
    found = figures([[]] * FRAMES)
    assert values(found, 'AMOTA', 'MOTA', 'recall', 'MT', 'TP') == [0.0] * 5
    assert values(found, 'AMOTP', 'MOTP', 'ML', 'FN') == [2.0, 2.0, 2.0, 20.0]
    assert values(found, 'TID', 'LGD', 'FAF') == [20.0, 20.0, 500.0]
    assert values(found, 'IDS', 'FRAG', 'FP') == [None] * 3


def test_nothing_is_there() -> None:
    found = figures(PERFECT, [TruthObjects.none()] * FRAMES)
    assert all(figure.value is None for figure in found.values())
    assert list(TrackingMetric(PREDICTS).summarise([])) == list(found)


def test_a_class_that_is_not_predicted() -> None:
    truth = [truth_objects([(5.0, 0.0, 4.0, 2.0, 0.0)], 'bus')] * 3
    metric = TrackingMetric(PREDICTS)
    found = metric.summarise([records_of([[]] * 3, truth)])
    assert values(found, 'AMOTA', 'AMOTA/bus') == [None, None]
    assert values(found, 'devkit/AMOTA', 'devkit/AMOTP') == [0.0, 2.0]


def test_identities_are_needed() -> None:
    metric = TrackingMetric(PREDICTS)
    nameless = [truth_objects([(5.0, 0.0, 4.0, 2.0, 0.0)], track=[''])]
    assert metric.score(scored_frames(nameless, [[]])[0]) is None
    untracked = [[moved(item, object_id=bytes(16)) for item in row] for row in PERFECT]
    assert values(figures(untracked), 'AMOTA', 'FN') == [0.0, 20.0]


def test_a_shifted_box() -> None:
    """One of twenty boxes is 1 m away: only the mean distance changes."""
    shifted = [list(row) for row in PERFECT]
    shifted[4][0] = moved(shifted[4][0], y_m=1.0)
    assert changed(figures(PERFECT), figures(shifted)) == {'AMOTP', 'MOTP'}
    # All tracks have the same score: every recall has the same threshold.
    assert values(figures(shifted), 'MOTP', 'AMOTP') == [pytest.approx(1 / 20)] * 2


def test_a_box_shifted_too_far() -> None:
    """2 m away it is missed and invented, and the track is broken for half a second."""
    shifted = [list(row) for row in PERFECT]
    shifted[4][0] = moved(shifted[4][0], y_m=2.0)
    found = figures(shifted)
    assert changed(figures(PERFECT), found) == {
        'AMOTA', 'AMOTP', 'MOTA', 'MOTAR', 'recall', 'FRAG', 'TP', 'FP', 'FN', 'FAF', 'LGD',
    }  # fmt: skip
    assert values(found, 'FP', 'FN', 'TP', 'FRAG', 'MT', 'IDS') == [1, 1, 19, 1, 2, 0]
    assert values(found, 'MOTA', 'recall', 'FAF') == pytest.approx([18 / 20, 19 / 20, 10.0])
    # Recall 0.95: (FP + FN - 0.05 * 20) / 19.
    assert values(found, 'MOTAR', 'LGD') == pytest.approx([1 - 1 / 19, 0.25])
    # 38 of 40 recalls, up to 0.95, are reached; beyond they count 0, and 2 m.
    reached = int((RECALLS <= 19 / 20).sum())
    assert values(found, 'AMOTA', 'AMOTP') == pytest.approx(
        [reached / 40 * (1 - 1 / 19), (40 - reached) / 40 * 2.0]
    )


def test_swapped_identities() -> None:
    """Both cars have the other's identity from frame 6 on: two switches, nothing else."""
    swapped = [
        list(row)
        if frame < 6
        else [moved(row[0], object_id=identity('b')), moved(row[1], object_id=identity('a'))]
        for frame, row in enumerate(PERFECT)
    ]
    found = figures(swapped)
    assert changed(figures(PERFECT), found) == {'AMOTA', 'AMOTP', 'MOTA', 'IDS', 'TP'}
    assert values(found, 'IDS', 'TP', 'MOTA', 'recall') == [2, 18, pytest.approx(0.9), 1.0]
    # Measured recall of matches is 18/20, which explains two errors.
    assert values(found, 'MOTAR') == [1.0]
    reached = int((RECALLS <= 18 / 20).sum())
    assert values(found, 'AMOTA', 'AMOTP') == pytest.approx(
        [reached / 40, (40 - reached) / 40 * 2.0]
    )


def test_a_new_identity_after_a_gap() -> None:
    """Car 'a' is lost for frames 3 and 4 and comes back as somebody else."""
    broken = [list(row) for row in PERFECT]
    for frame in range(3, FRAMES):
        broken[frame][0] = moved(broken[frame][0], object_id=identity('c'))
    for frame in (3, 4):
        del broken[frame][0]
    found = figures(broken)
    assert values(found, 'IDS', 'FRAG', 'FN', 'FP', 'TP') == [1, 1, 2, 0, 17]
    # 8 of 10 boxes: still mostly tracked. Two frames of gap for one of two cars.
    assert values(found, 'MT', 'ML', 'LGD', 'TID') == [2, 0, pytest.approx(0.5), 0]


def test_found_late() -> None:
    """Car 'a' is found from its fourth frame on: 1.5 s late; 7 of 10 boxes."""
    late = [list(row) if frame >= 3 else row[1:] for frame, row in enumerate(PERFECT)]
    found = figures(late)
    assert values(found, 'TID', 'LGD', 'FRAG', 'MT', 'ML') == [0.75, 0.75, 0, 1, 0]
    assert values(found, 'FN', 'IDS', 'recall') == [3, 0, pytest.approx(17 / 20)]


def test_late_by_one_frame() -> None:
    """Boxes of the frame before are 1 m behind: found, with that distance; none in the first."""
    late = [[], *PERFECT[:-1]]
    found = figures(late)
    assert values(found, 'IDS', 'FP', 'FN', 'FRAG') == [0, 0, 2, 0]
    assert values(found, 'MOTP', 'TID') == pytest.approx([1.0, 0.5])


def test_a_flipped_heading_does_not_matter() -> None:
    flipped = [[moved(item, yaw_rad=math.pi) for item in row] for row in PERFECT]
    assert figures(flipped) == figures(PERFECT)


def test_an_invented_track_is_left_out_by_a_threshold() -> None:
    """A track of ghosts with a lower score costs nothing where the best threshold is."""
    ghost = [
        [*row, moved(row[0], y_m=20.0, object_id=identity('g'), existence_probability=0.2)]
        for row in PERFECT
    ]
    assert changed(figures(PERFECT), figures(ghost)) == set()
    strong = [[*row[:2], moved(row[2], existence_probability=0.95)] for row in ghost]
    found = figures(strong)
    assert values(found, 'FP', 'MOTA', 'FAF') == [10, pytest.approx(0.5), pytest.approx(100.0)]
    assert values(found, 'MOTAR', 'AMOTA') == pytest.approx([0.5, 0.5])


def test_the_score_of_a_track_is_its_mean() -> None:
    """Ghost and cars overlap in the scores of boxes, not in those of tracks."""
    mixed = [
        [
            *(moved(item, existence_probability=0.3 + 0.6 * (frame % 2)) for item in row),
            moved(row[0], y_m=20.0, object_id=identity('g'), existence_probability=0.5),
        ]
        for frame, row in enumerate(PERFECT)
    ]
    assert changed(figures(PERFECT), figures(mixed)) == set()


def test_holes_are_filled() -> None:
    """Of a predicted track one frame is missing, of a true one another."""
    holes = [list(row) for row in PERFECT]
    del holes[4][0]
    truth = list(TRUTH)
    truth[6] = TRUTH[6].selected([1])
    found = figures(holes, truth)
    assert changed(figures(PERFECT), found) == set()
    # Where the ego pose is not known, nobody knows where they were.
    unplaced = figures(holes, truth, None, [None] * FRAMES)
    assert values(unplaced, 'FP', 'FN', 'TP') == [1, 1, 18]


def test_a_long_hole_is_filled_the_wrong_way_round() -> None:
    """As the development kit does."""
    rows = TrackRows(
        np.array([0, 3]),
        np.array([7, 7]),
        np.array([1, 2]),
        np.array([[0.0, 0.0], [3.0, 6.0]]),
        np.array([0.5, 0.5]),
        np.array([False, True]),
    )
    result = filled(rows, np.array([0, 100, 200, 300]))
    assert result.frame.tolist() == [0, 3, 1, 2]
    np.testing.assert_allclose(result.xy_m, [[0, 0], [3, 6], [2, 4], [1, 2]])
    assert result.kind.tolist() == [1, 2, 2, 2]
    assert result.hidden.tolist() == [False, True, True, True]


def test_where_the_vehicle_is_does_not_matter() -> None:
    """Holes are filled in the odom frame, while the vehicle drives and turns."""
    start = pose_from_yaw(700.0, -300.0, 1.0, 2.0)
    ways = [pose_from_yaw(0.8 * frame, 1.0, 0.0, 0.2 * frame) for frame in range(FRAMES)]
    truth = [objects.transformed(invert(way)) for objects, way in zip(TRUTH, ways, strict=True)]
    predictions = [as_predicted(objects) for objects in truth]
    del predictions[4][0]
    found = figures(predictions, truth, None, [start @ way for way in ways])
    assert changed(figures(PERFECT), found) == set()


def test_hidden_objects_are_neither_found_nor_missed() -> None:
    """Car 'b' is hidden in frames 3 and 4."""
    visibility = [[0.9, 0.1 if frame in (3, 4) else 0.9] for frame in range(FRAMES)]
    truth = [
        truth_objects(
            [(float(f), y, 4.0, 2.0, 0.0) for y in (0.0, 10.0)], visibility=visibility[f]
        )
        for f in range(FRAMES)
    ]
    blind = [row if f not in (3, 4) else row[:1] for f, row in enumerate(PERFECT)]
    metric = TrackingMetric(PREDICTS, hidden='ignore', min_visibility=0.4)
    # The predicted track is filled in between, and nobody minds.
    for predictions in (PERFECT, blind):
        found = metric.summarise([records_of(predictions, truth, metric)])
        assert values(found, 'AMOTA', 'MOTA', 'TP', 'FP', 'FN') == [1.0, 1.0, 18, 0, 0]
    twice = [[*row, moved(row[1], y_m=0.5, object_id=identity('c'))] for row in PERFECT]
    found = metric.summarise([records_of(twice, truth, metric)])
    assert values(found, 'FP') == [10]


def test_thresholds() -> None:
    # Four true boxes, three found: recalls 0.25, 0.5 and 0.75.
    found = thresholds(np.array([0.5, 0.9, 0.7]), 4)
    assert found.shape == (40,)
    at = dict(zip(RECALLS.tolist(), found.tolist(), strict=True))
    assert at[0.1] == 0.9 and math.isnan(at[1.0])
    for recall, value in at.items():
        if recall > 0.75:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(np.interp(recall, [0.25, 0.5, 0.75], [0.9, 0.7, 0.5]))
    assert np.isnan(thresholds(np.zeros(0), 4)).all()


def test_a_track_keeps_its_partner_even_when_another_is_nearer() -> None:
    def frame(*distance_m: float) -> TrackFrame:
        hidden = np.zeros((0, 2))
        return TrackFrame((1,), (8, 9), np.array([0.5, 0.5]), np.array([distance_m]), hidden)

    counts, _ = clear_mot([frame(0.5, 1.0), frame(1.9, 0.1), frame(2.0, 0.1)], 0.0)
    assert (counts.matches, counts.switches, counts.false_positives) == (2, 1, 3)
    assert counts.distance_m == pytest.approx(0.5 + 1.9 + 0.1)


def test_a_box_that_is_kept_is_not_for_others() -> None:
    hidden, score = np.zeros((0, 1)), np.array([0.5])
    frames = [
        TrackFrame((1,), (8,), score, np.array([[0.5]]), hidden),
        TrackFrame((2, 1), (8,), score, np.array([[0.1], [0.5]]), hidden),
    ]
    counts, _ = clear_mot(frames, 0.0)
    assert (counts.matches, counts.misses, counts.false_positives) == (2, 1, 0)


def test_counts_are_made_once_for_each_set_of_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing scenes again costs no matching."""
    calls = []

    def counted(frames: Any, least_score: float) -> Any:
        calls.append(least_score)
        return clear_mot(frames, least_score)

    monkeypatch.setattr(tracking_scores, 'clear_mot', counted)
    rng = np.random.default_rng(0)
    metric = TrackingMetric(Predicts(object_classes=DETECTION_CLASSES))
    scenes = [records_of_scene(metric, random_scene(f's{n}', rng, 6, 30).frames) for n in range(3)]
    first = metric.summarise(scenes)
    before = len(calls)
    assert metric.summarise([list(scene) for scene in scenes]) == first
    assert len(calls) == before
    assert metric.summarise([scenes[0]] * 2 + [scenes[1]]) != first


def records_of_scene(metric: TrackingMetric, frames: Sequence[ScoredFrame]) -> list[Any]:
    return [metric.score(frame) for frame in frames]


def test_records_survive_storage() -> None:
    rng = np.random.default_rng(5)
    metric = TrackingMetric(Predicts(object_classes=DETECTION_CLASSES))
    records = records_of_scene(metric, random_scene('s', rng, 8, 40).frames)
    kept: Any = unpack(pack({'tracking': records}), {'tracking': metric.record})['tracking']
    assert metric.summarise([kept]) == metric.summarise([records])


def test_mota_over_recall() -> None:
    curves = TrackingMetric(PREDICTS).curves([records_of(PERFECT)])
    assert list(curves) == ['tracking/MOTA/car']
    assert curves['tracking/MOTA/car'].y.tolist() == [1.0] * 40
    assert TrackingMetric(PREDICTS).confusions([records_of(PERFECT)]) == {}


@pytest.mark.parametrize('seed', range(3))
def test_against_a_restatement(seed: int) -> None:
    """MOTA of all tracks, with every assignment tried, on small random scenes."""
    rng = np.random.default_rng(seed)
    metric = TrackingMetric(Predicts(object_classes=DETECTION_CLASSES))
    compared = 0
    for number in range(4):
        scene = random_scene(f's{number}', rng, 7, 45)
        records = records_of_scene(metric, scene.frames)
        for kind in map(DETECTION_CLASSES.index, TRACKING_CLASSES):
            frames = tracking_frames(records, kind)
            if not frames:
                continue
            for least_score in (0.0, 0.45, 0.6):
                counts, _ = clear_mot(frames, least_score)
                expected = restated_counts(frames, least_score)
                assert (
                    counts.matches, counts.switches, counts.misses, counts.false_positives,
                ) == expected[:4]  # fmt: skip
                assert counts.distance_m == pytest.approx(expected[4])
                compared += counts.switches > 0
    assert compared > 3


def tracking_frames(records: Sequence[Any], kind: int) -> Sequence[TrackFrame]:
    return scene_tracks(records).get(kind, ())


def restated_counts(
    frames: Sequence[TrackFrame], least_score: float
) -> tuple[int, int, int, int, float]:
    """Returns (matches, switches, misses, false positives, sum of distances)."""
    last: dict[int, int] = {}
    matches = switches = misses = false = 0
    total_m = 0.0
    for frame in frames:
        boxes = [c for c in range(len(frame.track)) if frame.score[c] >= least_score]
        free = set(boxes)
        rest = []
        for row, true in enumerate(frame.true_track):
            kept = [
                c
                for c in free
                if frame.track[c] == last.get(true) and frame.distance_m[row, c] < 2.0
            ]
            if kept:
                free.discard(kept[0])
                matches += 1
                total_m += frame.distance_m[row, kept[0]]
            else:
                rest.append(row)
        best = best_assignment(frame.distance_m, rest, sorted(free))
        for row, column in best:
            true, found = frame.true_track[row], frame.track[column]
            switch = last.get(true, found) != found
            matches, switches = matches + (not switch), switches + switch
            last[true] = found
            total_m += frame.distance_m[row, column]
        misses += len(rest) - len(best)
        false += len(free) - len(best)
    return matches, switches, misses, false, total_m


def best_assignment(
    distance_m: np.ndarray, rows: Sequence[int], columns: Sequence[int]
) -> list[tuple[int, int]]:
    """Returns the most pairs nearer than 2 m of the least sum, by trying all."""
    near = [[c for c in columns if distance_m[row, c] < 2.0] for row in rows]
    options = [[None, *own] for own in near]
    best: tuple[int, float, list[tuple[int, int]]] = (0, 0.0, [])
    for choice in itertools.product(*options):
        pairs = [(row, c) for row, c in zip(rows, choice, strict=True) if c is not None]
        if len({c for _, c in pairs}) < len(pairs):
            continue
        key = (-len(pairs), sum(float(distance_m[pair]) for pair in pairs))
        if key < best[:2] or not best[2]:
            best = (*key, pairs)
    return best[2]
