"""The tables of a study."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields

from bev_trainer.study.costs import Cost
from bev_trainer.study.outcome import CLEAN, Reading

_MIB = 2**20


def as_text(
    readings: Sequence[Reading], costs: Mapping[str, Cost], headings: Mapping[str, str]
) -> str:
    """Returns tables for people: one per test and condition, and one of the costs.

    Values are means over seeds, with the least and the greatest, or with the interval over scenes
    where there is one seed. In brackets: the mean change against the first arm, and in how many
    seeds the paired interval of the change leaves out 0.

    Args:
        readings: of all tests.
        costs: by arm.
        headings: of tests, by name.
    """
    parts = []
    for test, condition in dict.fromkeys((r.test, r.condition) for r in readings):
        chosen = [r for r in readings if (r.test, r.condition) == (test, condition)]
        heading = headings[test] if condition == CLEAN else f'{test}, {condition} (mean)'
        parts.append(f'{heading}\n{_aligned(_accuracy(chosen))}')
    parts.append(f'what it costs\n{_aligned(_costs(costs))}')
    return '\n\n'.join(parts)


def as_csv(readings: Iterable[Reading]) -> str:
    """Returns all readings for programs, a row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([field.name for field in fields(Reading)])
    for reading in readings:
        writer.writerow(['' if value is None else value for value in astuple(reading)])
    return text.getvalue()


def costs_as_csv(costs: Mapping[str, Cost]) -> str:
    """Returns the costs for programs, a row per arm."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['arm', *(field.name for field in fields(Cost))])
    writer.writerows([name, *astuple(cost)] for name, cost in costs.items())
    return text.getvalue()


def _accuracy(readings: Sequence[Reading]) -> list[list[str]]:
    figures = list(dict.fromkeys(r.figure for r in readings))
    rows = [['', *figures]]
    for arm in dict.fromkeys(r.arm for r in readings):
        rows.append(
            [
                arm,
                *(
                    _cell([r for r in readings if (r.arm, r.figure) == (arm, name)])
                    for name in figures
                ),
            ]
        )
    return rows


def _cell(readings: Sequence[Reading]) -> str:
    values = [r.value for r in readings if r.value is not None]
    if not values or len(values) < len(readings):
        return 'n/a'
    text = f'{statistics.fmean(values):.3f}'
    first = readings[0]
    if len(values) > 1:
        text += f' {min(values):.3f}..{max(values):.3f}'
    elif first.low is not None and first.high is not None:
        text += f' [{first.low:.3f}, {first.high:.3f}]'
    changes = [r.change for r in readings if r.change is not None]
    return f'{text} ({_change(readings, changes)})' if changes else text


def _change(readings: Sequence[Reading], changes: Sequence[float]) -> str:
    text = f'{statistics.fmean(changes):+.3f}'
    verdicts = [r.verdict for r in readings if r.verdict]
    for verdict in ('better', 'worse'):
        if count := verdicts.count(verdict):
            text += f', {verdict} in {count} of {len(verdicts)}'
    return text


def _costs(costs: Mapping[str, Cost]) -> list[list[str]]:
    rows = [['', 'training step', '', 'frame', '', 'memory']]
    first = next(iter(costs.values()))
    for name, cost in costs.items():
        rows.append([
            name,
            f'{cost.step_s * 1e3:.0f} ms', f'{cost.step_s / first.step_s:.2f}x',
            f'{cost.frame_s * 1e3:.0f} ms', f'{cost.frame_s / first.frame_s:.2f}x',
            f'{cost.peak_bytes / _MIB:.0f} MiB',
        ])  # fmt: skip
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([c.ljust(w) for c, w in zip(cells, widths, strict=True)] for cells in rows)
    return '\n'.join('  '.join(line).rstrip() for line in lines)
