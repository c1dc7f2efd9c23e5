"""What a study tells: figures side by side, changes against the first arm, costs in turns."""

from __future__ import annotations

import csv
import io
from functools import partial
from typing import Any

import pytest
import torch
import yaml
from bev_trainer.study import costs as costs_module
from bev_trainer.study.costs import Cost, predict
from bev_trainer.study.outcome import Reading, readings
from bev_trainer.study.plan import parse_study
from bev_trainer.study.table import as_csv, as_text, costs_as_csv

from bev_perception.evaluation.results import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    RunResult,
    SceneResult,
)
from bev_perception.evaluation.robustness.catalogue import catalogue
from bev_perception.evaluation.scenes.scene import SceneInfo

CAMERAS = ('front', 'rear')
MISSING = [item.name for item in catalogue(CAMERAS, ('missing',))]


def run(model: str, condition: str, value: float | None) -> RunResult:
    low, high = (None, None) if value is None else (value - 0.1, value + 0.2)
    scene = SceneResult(SceneInfo('s', 'x', CAMERAS, 1.0), 1, (), {})
    figures = {'iou': Estimate(value, low, high, 'higher'), 'other': Estimate(9.0, 8, 10, 'lower')}
    return RunResult(model, 'x', 'd', condition, figures, {}, {}, (scene,))


def evaluation(
    clean: dict[str, float | None], missing: dict[str, tuple[float, ...]]
) -> Evaluation:
    first, *others = clean
    runs = [run(model, 'clean', value) for model, value in clean.items()]
    runs += [
        run(model, name, value)
        for model, values in missing.items()
        for name, value in zip(MISSING, values, strict=True)
    ]
    comparisons = []
    for model in others:
        before, after = clean[first], clean[model]
        if before is None or after is None:
            difference = Difference('iou', before, after, None, None, None, 'n/a')
        else:
            verdict = 'better' if after > before + 0.15 else 'same'
            difference = Difference('iou', before, after, after - before, 0, 0, verdict)  # type: ignore[arg-type]
        comparisons.append(Comparison(f'{first} on d', f'{model} on d', (difference,)))
    return Evaluation('', tuple(runs), tuple(comparisons))


def study(**changes: Any) -> Any:
    content = {
        'training': 't',
        'seeds': [1, 2],
        'arms': {
            'base': {}, 'other': {'training': {'loss': {'depth': False}}},
            'mean': {'of': 'base', 'soup': 'uniform'},
        },
        'tests': {'streets': {'path': 'd', 'robustness': ['missing']}},
        'figures': ['iou'],
    }  # fmt: skip
    return parse_study(yaml.safe_dump(content | changes, sort_keys=False), '')


TITLES = {'base': ['b1', 'b2'], 'other': ['o1', 'o2'], 'mean': ['m']}
FOUND = (
    evaluation(
        {'b1': 0.2, 'o1': 0.4, 'm': 0.5}, {'b1': (0.1, 0.2), 'o1': (0.3, 0.1), 'm': (0, 0.1)}
    ),
    evaluation({'b2': 0.3, 'o2': 0.4}, {'b2': (0.2, 0.2), 'o2': (0.1, 0.1)}),
)


def chosen(found: list[Reading], arm: str, condition: str) -> list[Reading]:
    return [r for r in found if (r.arm, r.condition, r.figure) == (arm, condition, 'iou')]


def test_readings() -> None:
    found = readings(study(), 'streets', TITLES, FOUND)
    assert len(found) == 2 * 5
    one, two = chosen(found, 'base', 'clean')
    assert (one.seed, one.value, one.low, one.high, one.change) == (1, 0.2, 0.1, 0.4, None)
    assert (two.seed, two.value, two.verdict) == (2, 0.3, '')
    one, two = chosen(found, 'other', 'clean')
    assert (one.change, one.verdict) == (pytest.approx(0.2), 'better')
    assert (two.change, two.verdict) == (pytest.approx(0.1), 'same')
    (mean,) = chosen(found, 'mean', 'clean')
    assert (mean.seed, mean.value, mean.change) == (None, 0.5, pytest.approx(0.3))
    one, two = chosen(found, 'other', 'missing')
    assert (one.value, one.change) == (pytest.approx(0.2), pytest.approx(0.05))
    assert (two.value, two.change) == (pytest.approx(0.1), pytest.approx(-0.1))
    assert [r.change for r in chosen(found, 'base', 'missing')] == [None, None]


def test_what_a_model_does_not_predict_is_not_zero() -> None:
    found = readings(
        study(seeds=[1], arms={'base': {}, 'other': {}}), 'streets',
        {'base': ['b1'], 'other': ['o1']},
        [evaluation({'b1': 0.2, 'o1': None}, {'b1': (0.1, 0.2)})],
    )  # fmt: skip
    (clean,) = chosen(found, 'other', 'clean')
    assert clean.value is None and clean.change is None and clean.verdict == ''
    (missing,) = chosen(found, 'other', 'missing')
    assert missing.value is None and missing.change is None
    text = as_text(found, {'base': Cost(1, 1, 1)}, {'streets': 'streets'})
    assert text.count('n/a') == 2


def test_the_table() -> None:
    found = readings(study(), 'streets', TITLES, FOUND)
    spent = {'base': Cost(0.5, 0.1, 100 * 2**20), 'other': Cost(0.75, 0.3, 150 * 2**20)}
    lines = as_text(found, spent, {'streets': 'streets (seeds 1, 2)'}).splitlines()
    assert lines[0] == 'streets (seeds 1, 2)'
    assert lines[2] == 'base   0.250 0.200..0.300'
    assert lines[3] == 'other  0.400 0.400..0.400 (+0.150, better in 1 of 2)'
    assert lines[4] == 'mean   0.500 [0.400, 0.700] (+0.300, better in 1 of 1)'
    assert lines[6] == 'streets, missing (mean)'
    assert lines[8].split() == ['base', '0.175', '0.150..0.200']
    assert lines[9].split() == ['other', '0.150', '0.100..0.200', '(-0.025)']
    assert lines[12] == 'what it costs'
    assert lines[14].split() == ['base', '500', 'ms', '1.00x', '100', 'ms', '1.00x', '100', 'MiB']
    assert lines[15].split() == ['other', '750', 'ms', '1.50x', '300', 'ms', '3.00x', '150', 'MiB']


def test_for_programs() -> None:
    found = readings(study(), 'streets', TITLES, FOUND)
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(rows) == len(found)
    assert rows[0] == {
        'test': 'streets', 'condition': 'clean', 'arm': 'base', 'figure': 'iou', 'seed': '1',
        'value': '0.2', 'low': '0.1', 'high': '0.4', 'change': '', 'verdict': '',
    }  # fmt: skip
    assert costs_as_csv({'a': Cost(1.5, 2.5, 3)}) == 'arm,step_s,frame_s,peak_bytes\na,1.5,2.5,3\n'


def test_arms_take_turns_and_the_first_turn_does_not_count(monkeypatch: Any) -> None:
    clock, order = [0.0], []
    monkeypatch.setattr(costs_module.time, 'perf_counter', lambda: clock[0])
    times = {'a': iter((100.0, 1.0, 9.0, 2.0)), 'b': iter((100.0, 4.0, 5.0, 3.0))}

    def work(name: str) -> None:
        order.append(name)
        clock[0] += next(times[name])

    found = costs_module._in_turns({name: partial(work, name) for name in times}, 3)
    assert found == {'a': 1.0, 'b': 3.0}
    assert order == ['a', 'b'] * 4


@pytest.mark.parametrize(('seen', 'encoded'), [(1, ['f2']), (3, ['f0', 'f1', 'f2'])])
def test_the_past_is_seen_again_or_remembered(seen: int, encoded: list[str]) -> None:
    calls: list[tuple[str, Any]] = []

    class Frame:
        def __init__(self, name: str) -> None:
            self.images, self.camera_mask, self.motion = name, None, None

    class Network:
        heads = type('Heads', (), {'names': ('occupancy',)})

        def encode(self, images: str, mask: None) -> str:
            calls.append(('encode', images))
            return images

        def lift(self, features: str, mask: None, matrices: None) -> torch.Tensor:
            return torch.zeros(())

        def remember(self, bev: Any, state: Any, motion: None) -> tuple[Any, int]:
            calls.append(('state', state))
            return bev, (state or 0) + 1

        def bev_encoder(self, bev: Any) -> Any:
            return bev

        def decode(self, bev: Any, heads: Any) -> None:
            calls.append(('decode', heads))

    clip: Any = type(
        'Clip', (), {'frames': [Frame('f0'), Frame('f1'), Frame('f2')], 'matrices': None}
    )
    predict(Network(), clip, seen)  # type: ignore[arg-type]
    assert [item for kind, item in calls if kind == 'encode'] == encoded
    assert [item for kind, item in calls if kind == 'state'] == [None, 1, 2][:seen]
    assert calls[-1] == ('decode', ('occupancy',))
