"""Where the time of many frames went, as a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def stage_table(stages: Sequence[Mapping[str, float]]) -> str:
    """Returns median, 95th percentile and maximum per stage in milliseconds, as Markdown.

    Args:
        stages: seconds per stage, one mapping per frame; the order of the first is kept.
    """
    names = list(dict.fromkeys(name for frame in stages for name in frame))
    lines = ['| stage | median (ms) | p95 (ms) | max (ms) |', '|---|---:|---:|---:|']
    for name in names:
        values_ms = 1e3 * np.array([frame[name] for frame in stages if name in frame])
        median, p95 = np.percentile(values_ms, [50, 95])
        lines.append(f'| {name} | {median:.1f} | {p95:.1f} | {values_ms.max():.1f} |')
    return '\n'.join(lines)
