"""Axes with round numbers at their ticks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.report.charts.svg import Svg, element

FloatArray = NDArray[np.float64]

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
# Of the size of the values, or of 1: smaller differences are none.
_LEAST = 1e-9
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 12.0, 10.0, 40.0


@dataclass(frozen=True)
class Axis:
    """One axis of a chart.

    Attributes:
        low, high: ends in the unit of the values.
        ticks: where numbers stand, rising.
        label: name with unit.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    label: str

    @classmethod
    def around(cls, values: FloatArray, label: str, most_ticks: int = 5) -> Axis:
        """Returns an axis that holds all finite values, and 0 unless they are all far from it."""
        finite = values[np.isfinite(values)]
        if not finite.size:
            return cls(0.0, 1.0, (0.0, 0.5, 1.0), label)
        low, high = float(finite.min()), float(finite.max())
        if 0 <= low < 0.75 * high:
            low = 0.0
        least = _LEAST * max(1.0, abs(low), abs(high))
        if high - low < least:
            low, high = (0.0, high) if high > least else (low, low + 1.0)
        step = nice_step((high - low) / most_ticks)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks, label)

    @classmethod
    def share(cls, label: str) -> Axis:
        """Returns an axis from 0 to 1."""
        return cls(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), label)

    def part(self, values: FloatArray) -> FloatArray:
        """Returns where values lie between the ends, 0..1."""
        return np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)


@dataclass(frozen=True)
class Plane:
    """Two axes in a picture of width x height pixels."""

    x: Axis
    y: Axis
    width: float
    height: float

    def points(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Returns [n, 2] pixels."""
        across = _LEFT + self.x.part(x) * (self.width - _LEFT - _RIGHT)
        down = self.height - _BOTTOM - self.y.part(y) * (self.height - _TOP - _BOTTOM)
        return np.stack([across, down], axis=-1)

    def frame(self) -> Svg:
        """Returns grid lines, numbers and labels."""
        bottom, right = self.height - _BOTTOM, self.width - _RIGHT
        parts: list[Svg] = []
        for tick in self.y.ticks:
            y = float(self.points(np.array([self.x.low]), np.array([tick]))[0, 1])
            parts.append(element('line', x1=_LEFT, x2=right, y1=y, y2=y, class_='grid'))
            parts.append(_text(tick_text(tick, self.y.ticks), _LEFT - 6, y + 3.5, 'end'))
        for tick in self.x.ticks:
            x = float(self.points(np.array([tick]), np.array([self.y.low]))[0, 0])
            parts.append(element('line', x1=x, x2=x, y1=bottom, y2=bottom + 4, class_='axis'))
            parts.append(_text(tick_text(tick, self.x.ticks), x, bottom + 16, 'middle'))
        parts.append(element('line', x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_='axis'))
        middle = _TOP + (bottom - _TOP) / 2
        parts.append(_text(self.x.label, (_LEFT + right) / 2, self.height - 6, 'middle', 'label'))
        turned = element(
            'text', self.y.label, transform=f'translate(11 {middle:.1f}) rotate(-90)',
            text_anchor='middle', class_='label',
        )  # fmt: skip
        return element('g', *parts, turned)


def nice_step(rough: float) -> float:
    """Returns the next of 1, 2, 2.5, 5 times a power of ten."""
    if not rough > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * step for step in _STEPS if power * step >= rough * (1 - 1e-9))


def nice_end(values: Sequence[float]) -> float:
    """Returns a round number that none of the values, in size, goes beyond; 1 without any."""
    most = max((abs(value) for value in values), default=0.0)
    return nice_step(most) if most > 0 else 1.0


def tick_text(tick: float, ticks: Sequence[float]) -> str:
    """Returns the number at a tick with as many decimals as the axis needs."""
    gaps = [b - a for a, b in itertools.pairwise(ticks)] or [1.0]
    decimals = next((d for d in range(7) if abs(round(gaps[0], d) - gaps[0]) < 1e-9), 7)
    return f'{tick:.{decimals}f}'


def _text(text: str, x: float, y: float, anchor: str, class_: str = 'tick') -> Svg:
    return element('text', text, x=x, y=y, text_anchor=anchor, class_=class_)
