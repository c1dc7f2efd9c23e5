"""Charts of the report: where lines, bars and strips lie."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.html_page import Page

from bev_perception.evaluation.report.charts.axes import (
    Axis,
    Plane,
    nice_end,
    nice_step,
    tick_text,
)
from bev_perception.evaluation.report.charts.bars import change_bar, interval_bar, range_bar
from bev_perception.evaluation.report.charts.lines import Line, histogram, line_chart
from bev_perception.evaluation.report.charts.strip import (
    Stretch,
    score_strip,
    stretches,
    strip,
    time_cells,
)
from bev_perception.evaluation.report.charts.svg import element, number


def numbers(path: str) -> list[float]:
    return [float(text) for text in re.findall(r'-?[\d.]+', path)]


@given(st.floats(1e-9, 1e9))
@settings(max_examples=100, deadline=None)
def test_steps_are_round_and_not_smaller(rough: float) -> None:
    step = nice_step(rough)
    assert rough * (1 - 1e-6) <= step <= 2.5 * rough
    mantissa = step / 10 ** np.floor(np.log10(step) + 1e-12)
    assert min(abs(mantissa - m) for m in (1, 2, 2.5, 5, 10)) < 1e-6


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_axes_hold_all_values_between_few_ticks(values: list[float]) -> None:
    axis = Axis.around(np.array([*values, np.nan]), 'x')
    slack = 1e-8 * (axis.high - axis.low)
    assert axis.low <= min(values) + slack and axis.high >= max(values) - slack
    assert 2 <= len(axis.ticks) <= 8
    assert axis.ticks[0] == axis.low and axis.ticks[-1] == axis.high
    texts = [tick_text(tick, axis.ticks) for tick in axis.ticks]
    if max(values) - min(values) > 1e-3:
        assert len(set(texts)) == len(texts)


def test_axes_by_hand() -> None:
    assert Axis.around(np.array([0.21, 0.38]), 'y').ticks == (0.0, 0.1, 0.2, 0.3, 0.4)
    assert Axis.around(np.array([98.0, 100.0]), 'y').ticks == (98.0, 98.5, 99.0, 99.5, 100.0)
    assert Axis.around(np.array([np.nan]), 'y').ticks == (0.0, 0.5, 1.0)
    assert Axis.around(np.zeros(3), 'y').low == 0.0
    assert tick_text(0.25, (0.0, 0.25)) == '0.25' and tick_text(20.0, (0.0, 20.0)) == '20'
    assert nice_end([]) == nice_end([0.0]) == 1.0
    assert nice_end([-0.21, 0.1]) == 0.25


def test_points_lie_where_the_axes_say() -> None:
    plane = Plane(Axis.share('x'), Axis.share('y'), 360.0, 250.0)
    low, high = plane.points(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    middle = plane.points(np.array([0.5]), np.array([0.5]))[0]
    assert low[0] < high[0] and low[1] > high[1]
    np.testing.assert_allclose(middle, (low + high) / 2)


def test_undefined_points_break_a_line() -> None:
    y = np.array([0.1, 0.2, np.nan, 0.4, np.nan, 0.5, 0.6])
    line = Line('a', 3, np.linspace(0, 1, 7), y)
    page = Page.parse(line_chart([line], [line], 'x', 'y', 'title'))
    path = next(e for e in page.all('path') if e.attributes['class'] == 'line')
    assert path.attributes['d'].count('M') == 2
    # Points without a neighbour are dots, as are all of a short line.
    assert len(page.all('circle')) == 5
    group = page.all('g', class_='series')[0]
    assert group.attributes['class'] == 'series c3'
    assert page.errors == []


def test_long_lines_are_thinned_but_keep_their_ends() -> None:
    x = np.linspace(0, 10, 5000)
    line = Line('a', 0, x, x / 20)
    page = Page.parse(line_chart([line], [line], 'x', 'y', 'title'))
    points = np.reshape(numbers(page.all('path')[0].attributes['d']), (-1, 2))
    assert len(points) == 240
    grid = next(e for e in page.all('line') if e.attributes['class'] == 'grid')
    assert points[0, 0] == float(grid.attributes['x1'])
    assert points[-1, 0] == float(grid.attributes['x2'])
    np.testing.assert_allclose(np.diff(points[:, 0]), np.diff(points[:, 0]).mean(), atol=0.1)


def test_charts_beside_each_other_have_the_same_axes() -> None:
    low = Line('low', 0, np.array([0.0, 5.0]), np.array([0.0, 0.1]))
    high = Line('high', 0, np.array([0.0, 5.0]), np.array([0.0, 0.9]))
    ticks = [
        [e.text for e in Page.parse(line_chart([line], [low, high], 'x', 'y', 't')).all('text')]
        for line in (low, high)
    ]
    assert ticks[0] == ticks[1]
    alone = Page.parse(line_chart([low], [low], 'x', 'y', 't')).all('text')
    assert [e.text for e in alone] != ticks[0]


def test_the_diagonal_is_where_both_axes_are_equal() -> None:
    line = Line('a', 0, np.array([0.0, 1.0]), np.array([0.2, 0.7]))
    page = Page.parse(line_chart([line], [line], 'x', 'y', 't', diagonal=True))
    ideal = next(e for e in page.all('path') if e.attributes['class'] == 'ideal')
    plane = Plane(Axis.share('x'), Axis.share('y'), 360.0, 250.0)
    ends = plane.points(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(np.reshape(numbers(ideal.attributes['d']), (2, 2)), ends, atol=0.01)


def test_a_histogram_counts_everything_once() -> None:
    values = np.array([10.0] * 30 + [20.0] * 10 + [500.0])
    page = Page.parse(histogram(values, [('p50', 10.0), ('p99', 20.0)], 'ms'))
    bars = page.all('rect')
    heights = [float(bar.attributes['height']) for bar in bars]
    axis = Axis.around(np.array([0.0, 30.0]), '')
    per_frame = (250 - 10 - 40) / axis.high
    np.testing.assert_allclose(sum(heights) / per_frame, 41, rtol=0.01)
    # What is far beyond the last mark is in the last bar.
    assert heights[-1] / per_frame == pytest.approx(1, rel=0.05)
    assert [e.text for e in page.all('text') if 'strong' in e.attributes['class']] == [
        'p50',
        'p99',
    ]
    assert Page.parse(histogram(np.zeros(3), [('p50', 0.0)], 'ms')).errors == []


def test_interval_bars_by_hand() -> None:
    page = Page.parse(interval_bar(0.5, 0.25, 0.75, (0.0, 1.0), 2))
    track, fill = page.all('rect')
    assert float(fill.attributes['width']) == float(track.attributes['width']) / 2 == 70
    assert page.all('path')[0].attributes['d'] == 'M35.0 4v6M35.0 7H105.0M105.0 4v6'
    negative = Page.parse(interval_bar(-0.5, None, None, (-1.0, 1.0), 2)).all('rect')[1]
    assert (negative.attributes['x'], negative.attributes['width']) == ('35', '35')
    assert len(Page.parse(interval_bar(None, None, None, (0.0, 1.0), 2)).all('rect')) == 1


def test_change_bars_are_around_zero() -> None:
    page = Page.parse(change_bar(-0.1, -0.2, 0.0, 0.2, 'worse'))
    assert page.all('circle')[0].attributes['cx'] == '35'
    assert page.all('path')[0].attributes['d'].startswith('M0.0 4v6M0.0 7H70.0')
    assert page.all('svg')[0].attributes['class'] == 'bar change worse'


def test_range_bars_are_nested() -> None:
    widths = [
        float(e.attributes['width']) for e in Page.parse(range_bar(25, 50, 75, 100)).all('rect')
    ]
    assert widths == [220, 165, 110, 55]


def test_cells_are_even_in_time() -> None:
    second = 10**9
    assert time_cells([]).tolist() == []
    assert time_cells([7]).tolist() == [0]
    assert time_cells([5 * second, 6 * second, 7 * second, 10 * second]).tolist() == [0, 1, 2, 5]
    many = time_cells([i * second for i in range(5000)])
    assert (many[0], many[-1]) == (0, 359)
    assert set(np.diff(many)) == {0, 1}


def test_stretches_join_equal_cells_and_show_trouble() -> None:
    cells = [0, 0, 1, 2, 4, 5, 5]
    states = ['LATE', 'USED', 'USED', 'USED', 'MISSING', 'USED', 'LATE']
    found = [(s.start, s.stop, s.state) for s in stretches(cells, states, 'USED')]
    assert found == [
        (0, 1, 'LATE'), (1, 3, 'USED'), (4, 5, 'MISSING'), (5, 6, 'LATE'),
    ]  # fmt: skip


def test_strips_draw_what_they_are_given() -> None:
    rows = [[Stretch(0, 2, 'USED'), Stretch(3, 4, 'NO_CAMERA_INFO')], []]
    page = Page.parse(strip(rows, 4, {'USED': 'st-used'}))
    first, second = page.all('rect')
    assert (first.attributes['x'], first.attributes['width']) == ('0', '360')
    assert (second.attributes['x'], second.attributes['width']) == ('540', '180')
    assert second.text == 'no camera info'
    assert [e.attributes['class'] for e in (first, second)] == ['st-used', 'st-other']


def test_scores_are_drawn_with_gaps_and_marks() -> None:
    cells = np.array([0, 1, 2, 4, 5])
    page = Page.parse(score_strip(cells, [1.0, 0.0, None, 0.5, 0.5], [4]))
    path = page.all('path')[0].attributes['d']
    assert path.count('M') == 2 and path.count('L') == 2
    assert path.startswith('M60 1h0L180 33')
    assert len([e for e in page.all('line') if e.attributes['class'] == 'dropped']) == 1
    assert Page.parse(score_strip(np.array([0]), [None], [])).all('path') == []


def test_markup_is_escaped() -> None:
    text = element('text', 'a<b>&"', class_='x"y', aria_label="'<")
    assert text == '<text class="x&quot;y" aria-label="&#x27;&lt;">a&lt;b&gt;&amp;"</text>'
    assert element('g', element('line', x1=1.0)) == '<g><line x1="1"/></g>'
    assert [number(v) for v in (1.0, -0.001, 2.345, 100.0, 0.1)] == [
        '1',
        '0',
        '2.35',
        '100',
        '0.1',
    ]
