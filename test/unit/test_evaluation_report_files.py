"""Reports for programs and terminals: numbers as text, results.json, figures.csv, timing.json."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.sample_evaluation import NANO, SMALL, UNTRAINED, sample_evaluation

from bev_perception.errors import BevError
from bev_perception.evaluation.metric import Curve
from bev_perception.evaluation.report import (
    read_results,
    results_json,
    summary_text,
    write_report,
)
from bev_perception.evaluation.report.changes import by_kind, condition_kind
from bev_perception.evaluation.report.csv_file import COLUMNS, figures_csv
from bev_perception.evaluation.report.figure_names import figure_title, headline_names
from bev_perception.evaluation.report.json_file import parse_results
from bev_perception.evaluation.report.numbers import (
    change_text,
    duration_text,
    interval_text,
    number_text,
    share_text,
    with_unit,
)
from bev_perception.evaluation.report.runs import named_runs
from bev_perception.evaluation.report.timing_file import percentiles, timing_json
from bev_perception.evaluation.results import Estimate, Evaluation, RunResult, Timing
from bev_perception.evaluation.robustness.catalogue import catalogue

SMALL_SAMPLE: dict[str, Any] = {'scenes': 3, 'frames': 45, 'every': 0}


def run_with(
    figures: dict[str, Estimate], condition: str = 'clean', model: str = 'm'
) -> RunResult:
    return RunResult(model, 'd', 'd', condition, figures, {}, {}, ())


def score(value: float | None) -> Estimate:
    return Estimate(value, None, None, 'higher')


def assert_same(first: Any, second: Any) -> None:
    """Compares two values of the evaluation deeply; NaN equals NaN."""
    if is_dataclass(first):
        assert type(first) is type(second)
        for field in fields(first):
            assert_same(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key, value in first.items():
            assert_same(value, second[key])
    elif isinstance(first, tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    else:
        assert first == second and type(first) is type(second)


@pytest.mark.parametrize(
    ('value', 'unit', 'text'),
    [
        (None, '', 'n/a'),
        (math.nan, 'm', 'n/a'),
        (math.inf, '', 'n/a'),
        (0.0, '', '0.000'),
        (0.51249, '', '0.512'),
        (-0.0001, '', '0.000'),
        (-0.0123, '', '-0.012'),
        (9.9994, '', '9.999'),
        (38.0, '', '38'),
        (38.25, '', '38.2'),
        (3.0, 'count', '3'),
        (3.5, 'count', '3.5'),
        (0.4567, 'm', '0.457'),
        (1.2345, 'm', '1.23'),
        (12.345, 'm', '12.3'),
        (1234.5, 'ms', '1234'),
        (-1.5, 'm', '-1.50'),
    ],
)
def test_numbers_have_three_decimals_or_three_digits(
    value: float | None, unit: str, text: str
) -> None:
    assert number_text(value, unit) == text


def test_changes_intervals_units_and_lengths() -> None:
    assert change_text(0.0123) == '+0.012'
    assert change_text(-0.0123) == '-0.012'
    assert change_text(0.0001) == change_text(-0.0001) == change_text(0.0) == '0.000'
    assert change_text(None) == 'n/a'
    assert change_text(2.0, 'count') == '+2'
    assert interval_text(0.4, 0.5) == '[0.400, 0.500]'
    # The coarser end decides.
    assert interval_text(9.876, 10.25, 'm') == '[9.9, 10.2]'
    assert interval_text(None, 0.5) == interval_text(0.1, math.nan) == ''
    assert with_unit('1.20', 'm') == '1.20 m'
    assert with_unit('3', 'count') == '3'
    assert with_unit('n/a', 'm') == 'n/a'
    assert [share_text(s) for s in (0.0, 1e-5, 0.1234, 0.9999, 1.0, None)] == [
        '0 %', '<0.1 %', '12.3 %', '>99.9 %', '100 %', 'n/a',
    ]  # fmt: skip
    lengths = [duration_text(s) for s in (4.25, 59.96, 61, 3599.6, 7260)]
    assert lengths == ['4.2 s', '1 min 00 s', '1 min 01 s', '1 h 00 min', '2 h 01 min']


def test_results_json_comes_back_whole() -> None:
    evaluation = sample_evaluation(**SMALL_SAMPLE)
    text = results_json(evaluation)
    again = parse_results(text)
    assert_same(
        replace(evaluation, timings=(), pictures=(), settings=dict(evaluation.settings)), again
    )
    assert results_json(again) == text


def test_perturbed_runs_come_back_too() -> None:
    evaluation = sample_evaluation(
        (NANO,), ('synthetic',), scenes=1, frames=2, every=9, pictures=False
    )
    again = parse_results(results_json(evaluation))
    assert [run.condition for run in again.runs] == [run.condition for run in evaluation.runs]
    assert_same(evaluation.runs[-1], again.runs[-1])


def test_a_scene_may_differ_from_its_run_in_everything() -> None:
    evaluation = sample_evaluation((NANO,), ('synthetic',), scenes=1, frames=1, every=0)
    run = evaluation.runs[0]
    odd = {
        'detection/mAP': Estimate(0.1, 0.05, 0.2, 'higher'),
        'detection/NDS': Estimate(0.1, None, None, 'lower', 'm'),
        'only/here': Estimate(None, None, None, 'lower', 's'),
    }
    scene = replace(run.scenes[0], figures=odd)
    changed = replace(evaluation, runs=(replace(run, scenes=(scene,)),))
    assert_same(parse_results(results_json(changed)).runs[0].scenes[0].figures, odd)


def test_results_json_is_strict_and_leaves_out_what_changes() -> None:
    evaluation = sample_evaluation(**SMALL_SAMPLE)
    text = results_json(evaluation)

    def refuse(constant: str) -> None:
        raise AssertionError(f'{constant} is no JSON')

    content = json.loads(text, parse_constant=refuse)
    assert content['format'] == 1
    assert 'latency' not in text and 'wall_s' not in text
    curve = content['runs'][2]['curves']['detection/precision@2m/bus']
    assert set(curve['y']) == {None}
    assert text == results_json(replace(evaluation, timings=(), pictures=()))


def test_numbers_keep_all_their_digits() -> None:
    value = 0.1 + 0.2
    evaluation = Evaluation(
        '', (run_with({'a/b': Estimate(value, np.float64(1 / 3), 1, 'lower')}),)
    )
    figure = parse_results(results_json(evaluation)).runs[0].figures['a/b']
    assert figure == Estimate(value, 1 / 3, 1, 'lower')
    row = next(csv.DictReader(io.StringIO(figures_csv(evaluation))))
    assert (float(row['value']), float(row['low'])) == (value, 1 / 3)


def test_curves_that_are_not_finite_become_nan() -> None:
    curve = Curve(np.array([0.0, 1.0, 2.0]), np.array([0.5, np.nan, np.inf]), 'x', 'y')
    run = replace(run_with({}), curves={'c': curve})
    again = parse_results(results_json(Evaluation('', (run,)))).runs[0].curves['c']
    np.testing.assert_array_equal(again.y, [0.5, np.nan, np.nan])


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda text: 'no json', 'is not JSON'),
        (lambda text: '[]', 'holds no evaluation'),
        (lambda text: '{"format": 1, "frames": []}', 'holds no evaluation'),
        (lambda text: text.replace('"format": 1', '"format": 7'), 'has format 7'),
        (lambda text: text.replace('"runs"', '"walks"'), "damaged .KeyError: 'runs'"),
        (lambda text: text.replace('"better": "higher"', '"bitter": 1', 1), 'damaged'),
        (lambda text: text.replace('"stamp_ns": [', '"stamp_ns": [1, ', 1), 'damaged'),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    path = tmp_path / 'results.json'
    text = results_json(sample_evaluation((NANO,), ('synthetic',), 1, 2, every=0))
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(BevError, match=message) as caught:
        read_results(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_a_missing_or_binary_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BevError, match='cannot be read: No such file'):
        read_results(tmp_path / 'none.json')
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(BevError, match='not a text file'):
        read_results(tmp_path / 'binary')


def test_figures_csv_has_a_row_per_run_and_figure() -> None:
    evaluation = sample_evaluation(**SMALL_SAMPLE)
    rows = list(csv.reader(io.StringIO(figures_csv(evaluation))))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) - 1 == sum(len(run.figures) for run in evaluation.runs)
    by_name = {tuple(row[:5]): row[5:] for row in rows[1:]}
    for run in evaluation.runs:
        for name, figure in run.figures.items():
            value, low, high, better, unit = by_name[
                run.model, run.trained_on, run.data, run.condition, name
            ]
            numbers = [float(text) if text else None for text in (value, low, high)]
            assert numbers == [figure.value, figure.low, figure.high]
            assert (better, unit) == (figure.better, figure.unit)
    missing = by_name[NANO.name, 'synthetic', 'nuscenes', 'clean', 'iou/long/lane']
    assert missing[:3] == ['', '', '']


def test_percentiles_by_hand() -> None:
    row = percentiles('lift', [k / 1000 for k in range(1, 102)])
    assert (row.frames, row.p50, row.p95, row.p99, row.most) == pytest.approx(
        (101, 51, 96, 100, 101)
    )
    assert percentiles('lift', []) == type(row)('lift', 0, None, None, None, None)


def test_timing_json_has_percentiles_and_every_frame() -> None:
    timing = Timing('m', 'd', 'clean', {'lift': (0.001, 0.003)}, (0.01, 0.02), 10.0, 4.0, True)
    content = json.loads(timing_json([timing]))['timings'][0]
    assert content['real_time_factor'] == 2.5
    assert content['latency_s'] == [0.01, 0.02]
    assert content['stages_s'] == {'lift': [0.001, 0.003]}
    assert [row['stage'] for row in content['percentiles_ms']] == ['whole', 'lift']
    assert content['percentiles_ms'][1]['p50'] == pytest.approx(2.0)


def test_terminal_shows_the_numbers_of_the_json() -> None:
    evaluation = sample_evaluation(scenes=2, frames=4, every=12)
    text = summary_text(evaluation)
    lines = text.splitlines()
    for name in headline_names(evaluation.runs[:4]):
        line = next(line for line in lines if line.split()[:1] == [name])
        for run in evaluation.runs[:4]:
            figure = run.figures[name]
            shown = with_unit(number_text(figure.value, figure.unit), figure.unit)
            assert f'{shown} {interval_text(figure.low, figure.high, figure.unit)}' in line
    assert 'refused drive_07.mcap: no camera image' in text
    assert 'worst first' in text
    assert f'{SMALL.name} on nuscenes against {NANO.name} on nuscenes: ' in text
    assert 'times real time' in text


def test_terminal_warns_and_cannot_be_coloured() -> None:
    evaluation = sample_evaluation((UNTRAINED,), ('synthetic',), 1, 0, every=0)
    text = summary_text(evaluation)
    assert 'UNTRAINED' in text and 'no frame was scored' in text
    assert summary_text(Evaluation('', ())) == 'nothing was evaluated\n'
    hostile = Evaluation('', (run_with({'a/b': score(0.5)}, model='\x1b[31mred\nline'),))
    assert '\x1b' not in summary_text(hostile)
    assert '\\x1b[31mred\\nline on d' in summary_text(hostile)


def test_worst_conditions_are_named_by_their_loss() -> None:
    runs = [run_with({'detection/mAP': score(0.5)})]
    for condition, value in (('a', 0.45), ('b', 0.1), ('c', None), ('d', 0.6), ('e', 0.3)):
        runs.append(run_with({'detection/mAP': score(value)}, condition))
    lines = [line.strip() for line in summary_text(Evaluation('', tuple(runs))).splitlines()]
    at = next(i for i, line in enumerate(lines) if 'under 5 conditions' in line)
    assert lines[at + 1 : at + 4] == [
        '-0.400 to 0.100  b',
        '-0.200 to 0.300  e',
        '-0.050 to 0.450  a',
    ]


def test_kinds_of_conditions_are_the_groups_of_the_catalogue() -> None:
    kinds: dict[str, set[str]] = {}
    for perturbation in catalogue(('front', 'late', 'yaw_cam', 'rear left')):
        kinds.setdefault(perturbation.group, set()).add(condition_kind(perturbation.name))
    assert all(len(found) == 1 for found in kinds.values()), kinds
    assert len(set.union(*kinds.values())) == len(kinds)
    assert list(by_kind(['unheard of', 'odometry missing', 'camera a missing'])) == [
        'One camera missing', 'Odometry', 'Other conditions',
    ]  # fmt: skip


def test_headlines_are_chosen_by_preference_and_only_when_defined() -> None:
    figures = {
        'zoo/lions': score(3.0),
        'zoo/tigers': score(4.0),
        'iou/short/car': score(0.3),
        'iou/long/vehicle': score(None),
        'iou/model/vehicle/observed': score(0.5),
        'iou/model/vehicle': score(0.4),
        'detection/mAP': score(math.nan),
        'detection/NDS': score(0.2),
    }
    assert headline_names([run_with(figures)]) == ('detection/NDS', 'iou/short/car', 'zoo/lions')
    figures['iou/long/mean'] = score(0.1)
    assert 'iou/long/mean' in headline_names([run_with(figures)])
    figures['iou/long/vehicle'] = score(0.1)
    assert 'iou/long/vehicle' in headline_names([run_with(figures)])


def test_titles_put_the_metric_first() -> None:
    titles = [
        figure_title(name).replace('\N{NO-BREAK SPACE}', ' ')
        for name in ('detection/AP@2m/car', 'vpq/long/VPQ', 'iou/short_fine/two_wheeler', 'x',
                     'forecast/constant_velocity/minADE', 'forecast/minADE_3')
    ]  # fmt: skip
    assert titles == [
        'AP@2m · car', 'VPQ · long', 'IoU · short fine · two wheeler', 'x',
        'minADE · constant velocity', 'minADE_3',
    ]  # fmt: skip


def test_runs_get_letters_like_columns_of_spreadsheets() -> None:
    runs = tuple(run_with({}, model=str(i)) for i in range(28))
    keys = [run.key for run in named_runs(Evaluation('', runs))]
    assert (keys[0], keys[25], keys[26], keys[27]) == ('A', 'Z', 'AA', 'AB')
    perturbed = Evaluation('', (run_with({}, 'fog 1'),))
    assert [run.title for run in named_runs(perturbed)] == ['m on d, fog 1']


def test_all_files_are_written_and_old_timings_go(tmp_path: Path) -> None:
    folder = tmp_path / 'deep' / 'report'
    evaluation = sample_evaluation(**SMALL_SAMPLE)
    names = [path.name for path in write_report(evaluation, folder)]
    assert names == ['results.json', 'figures.csv', 'timing.json', 'report.html']
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert_same(read_results(folder / 'results.json').runs, evaluation.runs)
    write_report(replace(evaluation, timings=()), folder)
    assert not (folder / 'timing.json').exists()


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(BevError, match='report cannot be written'):
        write_report(Evaluation('', ()), tmp_path / 'file')


def test_without_jinja2_the_numbers_are_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'jinja2', None)
    with pytest.raises(BevError, match=r"jinja2 .*; pip install 'bev_perception\[report\]'$"):
        write_report(sample_evaluation(**SMALL_SAMPLE), tmp_path)
    assert (tmp_path / 'results.json').exists() and (tmp_path / 'figures.csv').exists()
    assert not (tmp_path / 'report.html').exists()
