"""Where the time went: percentiles by stage, and timing.json, which differs from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.report.json_text import json_text
from bev_perception.evaluation.results import Timing

FORMAT = 1
WHOLE = 'whole'


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds that so many of a hundred frames stay within.

    Attributes:
        stage: name; `WHOLE` for the latency.
        frames: that were measured.
        p50, p95, p99, most: in ms; None when nothing was measured.
    """

    stage: str
    frames: int
    p50: float | None
    p95: float | None
    p99: float | None
    most: float | None


def percentiles(stage: str, seconds: Sequence[float]) -> Percentiles:
    """Returns the percentiles of what was measured in seconds, interpolated linearly."""
    values_ms = 1e3 * np.asarray(seconds, np.float64)
    values_ms = values_ms[np.isfinite(values_ms)]
    if not values_ms.size:
        return Percentiles(stage, 0, None, None, None, None)
    p50, p95, p99 = np.percentile(values_ms, [50, 95, 99]).tolist()
    return Percentiles(stage, values_ms.size, p50, p95, p99, float(values_ms.max()))


def stage_percentiles(timing: Timing) -> tuple[Percentiles, ...]:
    """Returns those of the latency, then those of each stage."""
    stages = [(WHOLE, timing.latency_s), *timing.stages_s.items()]
    return tuple(percentiles(name, seconds) for name, seconds in stages)


def real_time_factor(timing: Timing) -> float | None:
    """Returns how many seconds of recording were run in one second; None when unknown."""
    return timing.recording_s / timing.wall_s if timing.wall_s > 0 else None


def timing_json(timings: Sequence[Timing]) -> str:
    """Returns all timings as JSON: percentiles in milliseconds, then seconds frame by frame."""
    runs = [
        {
            'model': timing.model,
            'data': timing.data,
            'condition': timing.condition,
            'live': timing.live,
            'recording_s': timing.recording_s,
            'wall_s': timing.wall_s,
            'real_time_factor': real_time_factor(timing),
            'percentiles_ms': [vars(row) for row in stage_percentiles(timing)],
            'latency_s': timing.latency_s,
            'stages_s': timing.stages_s,
        }
        for timing in timings
    ]
    return json_text({'format': FORMAT, 'timings': runs})
