"""What an evaluation says in the terminal: headline figures, changes, refusals and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.evaluation.report.changes import Perturbed, change, perturbed_by_model
from bev_perception.evaluation.report.figure_names import headline_names
from bev_perception.evaluation.report.numbers import (
    change_text,
    defined,
    duration_text,
    interval_text,
    number_text,
    plural,
    with_unit,
)
from bev_perception.evaluation.report.runs import (
    NamedRun,
    condition_title,
    made_frames,
    named_runs,
    recorded_s,
    scene_problems,
    scored_frames,
)
from bev_perception.evaluation.report.timing_file import percentiles, real_time_factor
from bev_perception.evaluation.results import Comparison, Estimate, Evaluation, Timing

_WORST_CONDITIONS = 3
_MOST_PROBLEMS = 10


def summary_text(evaluation: Evaluation) -> str:
    """Returns some lines of plain text with the numbers that the page begins with."""
    runs = named_runs(evaluation)
    names = headline_names([run.run for run in runs])
    blocks = [
        [line for run in runs for line in _run_lines(run)] or ['nothing was evaluated'],
        _headline_lines(runs, names),
        [
            line
            for group in perturbed_by_model(evaluation)
            for line in _robustness_lines(group, names)
        ],
        [line for comparison in evaluation.comparisons for line in _comparison_lines(comparison)],
        [_timing_line(timing) for timing in evaluation.timings],
        [f'refused {refusal.name}: {refusal.reason}' for refusal in evaluation.refusals],
        _problem_lines(evaluation),
    ]
    return '\n\n'.join('\n'.join(map(_printable, block)) for block in blocks if block) + '\n'


def estimate_text(estimate: Estimate | None) -> str:
    """Returns '0.512 [0.480, 0.541]', with the unit where there is one."""
    if estimate is None or not defined(estimate.value):
        return number_text(None)
    text = with_unit(number_text(estimate.value, estimate.unit), estimate.unit)
    return f'{text} {interval_text(estimate.low, estimate.high, estimate.unit)}'.rstrip()


def _run_lines(run: NamedRun) -> list[str]:
    scenes = plural(len(run.run.scenes), 'scene')
    frames = f'{scored_frames(run.run)} of {plural(made_frames(run.run), "frame")} scored'
    trained = 'UNTRAINED' if run.untrained else f'trained on {run.run.trained_on}'
    length = duration_text(recorded_s(run.run))
    lines = [f'{run.key}  {run.title} ({trained}): {scenes}, {length}, {frames}']
    if run.untrained:
        lines.append(f'   warning: {run.run.model} is UNTRAINED: its numbers mean nothing')
    if not scored_frames(run.run):
        lines.append('   warning: no frame was scored')
    return lines


def _headline_lines(runs: Sequence[NamedRun], names: Sequence[str]) -> list[str]:
    if not names:
        return ['no figure is defined here'] if runs else []
    rows = [['figure', *(run.key for run in runs)]]
    rows += [[name, *(estimate_text(run.run.figures.get(name)) for run in runs)] for name in names]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _robustness_lines(group: Perturbed, names: Sequence[str]) -> list[str]:
    title = f'{group.model} on {group.data}'
    conditions = plural(len(group.runs), 'condition')
    table = group.drops(names)
    if table is None:
        return [f'{title}: {conditions}, no clean figure to compare with']
    name = table.figures[0]
    known = [(d.absolute, d) for d in table.drops if d.figure == name and d.absolute is not None]
    known.sort(key=lambda row: (-row[0], row[1].perturbation))
    lines = [f'{title}: {name} under {conditions}, the worst first']
    for _, drop in known[:_WORST_CONDITIONS]:
        value = with_unit(number_text(drop.perturbed, drop.unit), drop.unit)
        moved = change_text(change(drop), drop.unit)
        lines.append(f'   {moved} to {value}  {drop.perturbation}')
    return lines


def _comparison_lines(comparison: Comparison) -> list[str]:
    verdicts = [difference.verdict for difference in comparison.differences]
    counts = ', '.join(f'{verdicts.count(v)} {v}' for v in ('better', 'worse', 'same', 'n/a'))
    return [f'{comparison.second} against {comparison.first}: {counts}']


def _timing_line(timing: Timing) -> str:
    title = condition_title(timing.model, timing.data, timing.condition)
    row = percentiles('', timing.latency_s)
    p50, p95, p99 = (number_text(value, 'ms') for value in (row.p50, row.p95, row.p99))
    kind = 'image stamp to result' if timing.live else 'per frame'
    factor = real_time_factor(timing)
    speed = f', {number_text(factor, "x")} times real time' if factor is not None else ''
    return f'{title}: p50 {p50}, p95 {p95}, p99 {p99} ms {kind}{speed}'


def _problem_lines(evaluation: Evaluation) -> list[str]:
    problems = scene_problems(evaluation.runs)
    lines = [f'left out in {scene}: {problem}' for scene, problem in problems[:_MOST_PROBLEMS]]
    more = len(problems) - len(lines)
    return [*lines, f'... and {more} more, all of them in the report'] if more else lines


def _printable(line: str) -> str:
    """Returns a line without what would move the cursor or colour the terminal."""
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in line)
