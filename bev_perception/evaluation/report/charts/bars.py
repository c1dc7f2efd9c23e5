"""Small bars that stand beside numbers."""

from __future__ import annotations

from bev_perception.evaluation.report.charts.svg import Svg, element, picture

_WIDTH, _HEIGHT = 140.0, 14.0


def interval_bar(
    value: float | None,
    low: float | None,
    high: float | None,
    ends: tuple[float, float],
    color: int,
) -> Svg:
    """Returns a bar from 0 to a value with its interval as a whisker; only the track for n/a.

    Args:
        value: None for n/a.
        low: lower end of the interval; None without one.
        high: upper end.
        ends: (least, most) of the scale; 0 is within.
        color: number of a colour.
    """

    def place(number: float) -> float:
        return _WIDTH * min(max((number - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0)

    parts = [element('rect', x=0, y=3, width=_WIDTH, height=8, class_='track')]
    if value is not None:
        start, stop = sorted((place(0.0), place(value)))
        parts.append(element('rect', x=start, y=3, width=stop - start, height=8, class_='fill'))
        if low is not None and high is not None:
            parts.append(_whisker(place(low), place(high)))
    return picture(_WIDTH, _HEIGHT, '', *parts, class_=f'bar c{color}', stretch=True)


def change_bar(
    change: float, low: float | None, high: float | None, extent: float, verdict: str
) -> Svg:
    """Returns a difference as a dot with its interval around a line at 0.

    Args:
        change: itself.
        low: lower end of its interval; None without one.
        high: upper end.
        extent: value at both ends of the scale.
        verdict: names the colour: 'better', 'worse' or 'same'.
    """

    def place(number: float) -> float:
        return _WIDTH * min(max(0.5 + 0.5 * number / extent, 0.0), 1.0)

    parts = [
        element('rect', x=0, y=3, width=_WIDTH, height=8, class_='track'),
        element('line', x1=_WIDTH / 2, x2=_WIDTH / 2, y1=0, y2=_HEIGHT, class_='zero'),
    ]
    if low is not None and high is not None:
        parts.append(_whisker(place(low), place(high)))
    parts.append(element('circle', cx=place(change), cy=7, r=3.6, class_='dot'))
    return picture(_WIDTH, _HEIGHT, '', *parts, class_=f'bar change {verdict}')


def range_bar(p50: float, p95: float, p99: float, end: float) -> Svg:
    """Returns three shades from 0 to the median, the 95th and the 99th percentile."""
    width = 220.0
    parts = [element('rect', x=0, y=3, width=width, height=8, class_='track')]
    for value, shade in ((p99, 'p99'), (p95, 'p95'), (p50, 'p50')):
        reach = width * min(max(value / end, 0.0), 1.0)
        parts.append(element('rect', x=0, y=3, width=reach, height=8, class_=shade))
    return picture(width, _HEIGHT, '', *parts, class_='bar c0')


def _whisker(low: float, high: float) -> Svg:
    d = f'M{low:.1f} 4v6M{low:.1f} 7H{high:.1f}M{high:.1f} 4v6'
    return element('path', d=d, class_='whisker')
