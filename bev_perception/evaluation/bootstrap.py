"""Intervals by drawing scenes with replacement (Efron and Tibshirani 1993, chapter 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Metric

LEVEL = 0.95
Scenes = Sequence[Sequence[Any]]
Interval = tuple[float, float]


def draws(scenes: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """Returns [replicates, scenes] rows of scenes drawn with replacement."""
    return np.random.default_rng(seed).integers(0, scenes, (replicates, scenes))


def intervals(
    metric: Metric[Any], scenes: Scenes, drawn: NDArray[np.int64]
) -> dict[str, Interval]:
    """Returns the 95 % percentile interval of every figure that is defined in most draws."""
    return _percentiles(lambda rows: _values(metric, scenes, rows), drawn)


def paired_intervals(
    metrics: tuple[Metric[Any], Metric[Any]],
    first: Scenes,
    second: Scenes,
    drawn: NDArray[np.int64],
) -> dict[str, Interval]:
    """Returns 95 % intervals of second - first over the same scenes, drawn together.

    Args:
        metrics: of the first and of the second, which may predict other things.
        first: records of the first.
        second: of the second.
        drawn: rows of scenes.
    """

    def change(rows: Sequence[int]) -> dict[str, float]:
        old, new = _values(metrics[0], first, rows), _values(metrics[1], second, rows)
        return {name: new[name] - old[name] for name in old if name in new}

    return _percentiles(change, drawn)


def _values(metric: Metric[Any], scenes: Scenes, rows: Sequence[int]) -> dict[str, float]:
    figures: Mapping[str, Figure] = metric.summarise([scenes[row] for row in rows])
    return {name: item.value for name, item in figures.items() if item.value is not None}


def _percentiles(
    values: Callable[[Sequence[int]], Mapping[str, float]], drawn: NDArray[np.int64]
) -> dict[str, Interval]:
    found: dict[str, list[float]] = {}
    for rows in drawn.tolist():
        for name, value in values(rows).items():
            found.setdefault(name, []).append(value)
    tail = (1.0 - LEVEL) / 2.0
    return {
        name: (float(low), float(high))
        for name, samples in found.items()
        if 2 * len(samples) > len(drawn)
        for low, high in [np.quantile(samples, [tail, 1.0 - tail])]
    }
