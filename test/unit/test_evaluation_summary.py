"""Pooling, intervals and comparisons, on a metric that anyone can compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from bev_perception.evaluation.bootstrap import draws, intervals, paired_intervals
from bev_perception.evaluation.figure import Figure, ratio
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.iou import IouMetric, IouRecord
from bev_perception.evaluation.results import FrameNote
from bev_perception.evaluation.scene_run import SceneRun
from bev_perception.evaluation.scenes.scene import SceneInfo
from bev_perception.evaluation.summary import BootstrapOptions, RunScenes, compare, summarise


@dataclass(frozen=True, eq=False)
class Hits:
    hits: np.ndarray
    asked: np.ndarray


class HitRate:
    """Hits over all that was asked, and misses over all that was asked."""

    name = 'rate'
    record = Hits

    def score(self, frame: ScoredFrame) -> Hits | None:
        return None

    def summarise(self, scenes: Sequence[Sequence[Hits]]) -> Mapping[str, Figure]:
        hits = sum(float(r.hits) for scene in scenes for r in scene)
        asked = sum(float(r.asked) for scene in scenes for r in scene)
        return {
            'rate/hit': ratio(hits, asked),
            'rate/miss': ratio(asked - hits, asked, 'lower'),
            'rate/never': Figure(None),
        }

    def confusions(self, scenes: Sequence[Sequence[Hits]]) -> Mapping[str, Confusion]:
        return {}

    def curves(self, scenes: Sequence[Sequence[Hits]]) -> Mapping[str, Curve]:
        return {'rate/line': Curve(np.zeros(1), np.ones(1), 'x', 'y')}


def hit(hits: float, asked: float = 10.0) -> Hits:
    return Hits(np.array(hits), np.array(asked))


def scene(name: str, records: Sequence[Hits | None], scores: Sequence[float | None]) -> SceneRun:
    notes = tuple(FrameNote(k, ('USED',), score, 0.0) for k, score in enumerate(scores))
    info = SceneInfo(name, 'hand', ('front',), 1.0)
    return SceneRun(info, 5, notes, {'rate': tuple(records)}, (), {}, (), 1.0, 1.0)


def run(model: str, scenes: Sequence[SceneRun]) -> RunScenes:
    return RunScenes(model, '', 'hand', 'clean', (HitRate(),), tuple(scenes))


def test_scenes_are_pooled_and_not_averaged() -> None:
    result = summarise(
        run('m', [scene('a', [hit(1, 1), None], [1.0, None]), scene('b', [hit(0, 9)], [0.0])]),
        BootstrapOptions(50),
    )
    assert result.figures['rate/hit'].value == pytest.approx(0.1)
    assert result.figures['rate/miss'].value == pytest.approx(0.9)
    assert result.figures['rate/miss'].better == 'lower'
    never = result.figures['rate/never']
    assert (never.value, never.low, never.high) == (None, None, None)
    assert [s.figures['rate/hit'].value for s in result.scenes] == [1.0, 0.0]
    assert set(result.curves) == {'rate/line'}


def test_one_scene_has_no_interval() -> None:
    alone = summarise(run('m', [scene('a', [hit(3)], [0.3])]), BootstrapOptions(50))
    estimate = alone.figures['rate/hit']
    assert (estimate.value, estimate.low, estimate.high) == (0.3, None, None)
    scenes = [scene(f's{k}', [hit(3)], [0.3]) for k in range(5)]
    none = summarise(run('m', scenes), BootstrapOptions(0)).figures['rate/hit']
    assert (none.low, none.high) == (None, None)


def test_interval_is_that_of_the_mean_of_scenes() -> None:
    """For equal weights the hit rate is a mean, whose spread is known: s / sqrt(n)."""
    rng = np.random.default_rng(1)
    rates = rng.uniform(0, 1, 200)
    records = [[hit(10 * rate)] for rate in rates]
    found = intervals(HitRate(), records, draws(200, 2000, 7))
    low, high = found['rate/hit']
    spread = 1.96 * rates.std() / np.sqrt(200)
    assert low == pytest.approx(rates.mean() - spread, abs=0.1 * spread)
    assert high == pytest.approx(rates.mean() + spread, abs=0.1 * spread)
    assert 'rate/never' not in found
    assert found == intervals(HitRate(), records, draws(200, 2000, 7))
    assert found != intervals(HitRate(), records, draws(200, 2000, 8))


def test_pairs_show_what_scatter_over_scenes_hides() -> None:
    """Every scene gains a hundredth, while scenes differ by much more than that."""
    rates = np.linspace(0, 0.9, 30)
    old, new = [[hit(10 * r)] for r in rates], [[hit(10 * r + 0.1)] for r in rates]
    low, high = paired_intervals((HitRate(), HitRate()), old, new, draws(30, 200, 0))['rate/hit']
    assert low == pytest.approx(0.01) and high == pytest.approx(0.01)
    wide = intervals(HitRate(), old, draws(30, 200, 0))['rate/hit']
    assert wide[1] - wide[0] > 0.1


def test_verdicts() -> None:
    rates = np.linspace(0, 0.8, 12)
    first = run('old', [scene(f's{k}', [hit(10 * r)], [float(r)]) for k, r in enumerate(rates)])
    better = [scene(f's{k}', [hit(10 * r + 1)], [float(r) + 0.1]) for k, r in enumerate(rates)]
    mixed = [
        scene(f's{k}', [hit(10 * r + (1 if k % 2 else -1))], [float(r)])
        for k, r in enumerate(rates)
    ]
    found = compare(first, run('new', better[::-1]), BootstrapOptions(100))
    verdicts = {d.name: d.verdict for d in found.differences}
    assert verdicts == {'rate/hit': 'better', 'rate/miss': 'better', 'rate/never': 'n/a'}
    back = compare(run('new', better), first, BootstrapOptions(100))
    assert {d.verdict for d in back.differences} == {'worse', 'n/a'}
    change = {d.name: d.change for d in found.differences}
    assert change['rate/hit'] == pytest.approx(0.1) and change['rate/never'] is None
    unsure = compare(first, run('new', mixed), BootstrapOptions(100))
    assert {d.name: d.verdict for d in unsure.differences}['rate/hit'] == 'same'


def test_only_common_scenes_are_compared_and_the_frames_that_differ_most_named() -> None:
    first = run('old', [scene('a', [hit(1), hit(1)], [0.1, 0.2]), scene('b', [hit(9)], [0.9])])
    second = run('new', [scene('c', [hit(0)], [0.0]), scene('a', [hit(2), hit(1)], [0.6, 0.2])])
    found = compare(first, second, BootstrapOptions(10))
    rate = {d.name: d for d in found.differences}['rate/hit']
    assert (rate.first, rate.second, rate.verdict) == (0.1, 0.15, 'same')
    assert found.frames == (('a', 0, 0.1, 0.6),)


def test_models_that_predict_other_layers_are_compared_in_what_both_have() -> None:
    def iou_run(model: str, layers: tuple[str, ...], hits: Sequence[int]) -> RunScenes:
        metric = IouMetric(Predicts(layers=layers))
        scenes = []
        for k, right in enumerate(hits):
            cells = np.zeros((4, len(layers), 3), np.int64)
            cells[:, layers.index('vehicle')] = (right, 0, 10 - right)
            record = IouRecord(cells, cells, np.zeros((len(layers), 12, 3), np.int64))
            info = SceneInfo(f's{k}', 'hand', ('front',), 1.0)
            note = FrameNote(0, ('USED',), None, 0.0)
            scenes.append(SceneRun(info, 1, (note,), {'iou': (record,)}, (), {}, (), 1.0, 1.0))
        return RunScenes(model, '', 'hand', 'clean', (metric,), tuple(scenes))

    one = iou_run('one', ('drivable', 'vehicle'), [2, 4, 6])
    other = iou_run('other', ('vehicle',), [3, 5, 7])
    for first, second, change in ((one, other, 0.1), (other, one, -0.1)):
        found = {d.name: d for d in compare(first, second, BootstrapOptions(50)).differences}
        vehicle = found['iou/long/vehicle']
        assert (vehicle.change, vehicle.low, vehicle.high) == pytest.approx((change,) * 3)
        assert 'iou/long/drivable' not in found
