"""Where the time goes: percentiles by stage and the distribution of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.report.charts.axes import nice_end
from bev_perception.evaluation.report.charts.bars import range_bar
from bev_perception.evaluation.report.charts.lines import histogram
from bev_perception.evaluation.report.charts.svg import Svg
from bev_perception.evaluation.report.numbers import duration_text, number_text
from bev_perception.evaluation.report.runs import CLEAN, condition_title
from bev_perception.evaluation.report.timing_file import (
    WHOLE,
    Percentiles,
    real_time_factor,
    stage_percentiles,
)
from bev_perception.evaluation.results import Timing


@dataclass(frozen=True)
class StageRow:
    """One stage: milliseconds as text."""

    stage: str
    numbers: tuple[str, ...]
    bar: Svg | None


@dataclass(frozen=True)
class LatencyView:
    """One run.

    Attributes:
        title: of the run.
        whole: what the whole is measured from and to.
        frames: that were measured.
        recording, wall: lengths as text.
        real_time: how many times faster than real time, as text.
        rows: whole, then stages.
        histogram: of the whole; None without frames.
    """

    title: str
    whole: str
    frames: int
    recording: str
    wall: str
    real_time: str
    rows: tuple[StageRow, ...]
    histogram: Svg | None


def latency_views(timings: Sequence[Timing]) -> tuple[LatencyView, ...]:
    """Returns the clean runs, or all when none is clean."""
    clean = [timing for timing in timings if timing.condition == CLEAN]
    return tuple(_view(timing) for timing in clean or timings)


def _view(timing: Timing) -> LatencyView:
    found = stage_percentiles(timing)
    end = nice_end([row.p99 for row in found if row.p99 is not None])
    values_ms = 1e3 * np.asarray(timing.latency_s, np.float64)
    values_ms = np.maximum(values_ms[np.isfinite(values_ms)], 0.0)
    whole = found[0]
    marks = [
        (name, value)
        for name, value in (('p50', whole.p50), ('p95', whole.p95), ('p99', whole.p99))
        if value is not None
    ]
    return LatencyView(
        condition_title(timing.model, timing.data, timing.condition),
        'Image stamp to published result' if timing.live else 'Whole step, offline',
        whole.frames,
        duration_text(timing.recording_s),
        duration_text(timing.wall_s),
        number_text(real_time_factor(timing), 'x'),
        tuple(_row(row, end) for row in found),
        histogram(values_ms, marks, 'latency in ms') if values_ms.size else None,
    )


def _row(row: Percentiles, end: float) -> StageRow:
    bar = None
    if row.p50 is not None and row.p95 is not None and row.p99 is not None:
        bar = range_bar(row.p50, row.p95, row.p99, end)
    numbers = tuple(number_text(value, 'ms') for value in (row.p50, row.p95, row.p99, row.most))
    return StageRow(
        'whole step' if row.stage == WHOLE else row.stage.replace('_', ' '), numbers, bar
    )
