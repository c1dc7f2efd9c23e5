"""Cells of tables: a number, how it is written, and how it is coloured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bev_perception.evaluation.figure import Better
from bev_perception.evaluation.report.changes import change
from bev_perception.evaluation.report.figure_names import figure_title
from bev_perception.evaluation.report.numbers import (
    change_text,
    defined,
    interval_text,
    number_text,
    plural,
    share_text,
    with_unit,
)
from bev_perception.evaluation.report.runs import NamedRun, data_names, on_data
from bev_perception.evaluation.results import Estimate, RunResult
from bev_perception.evaluation.robustness.drops import Drop, GroupMean

# A loss of this share of the clean value has the strongest colour.
_FULL_LOSS = 0.5


@dataclass(frozen=True)
class Cell:
    """A number in a table.

    Attributes:
        text: the number; 'n/a' where it is not defined, empty where it does not exist.
        value: with all digits; None without.
        unit: shown after it.
        figure: name of the figure; empty when it is none.
        run: letter of its run.
        note: 95 % interval, or empty.
        hint: shown when the pointer rests on it.
        shade: -1 (much worse) .. 1 (much better); 0 has no colour.
        share: 0..1, drawn as a bar in the cell; None without.
        best: whether it is the best of those that it is compared with.
    """

    text: str = ''
    value: float | None = None
    unit: str = ''
    figure: str = ''
    run: str = ''
    note: str = ''
    hint: str = ''
    shade: float = 0.0
    share: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Heading:
    """What stands over a column or before a row of figures.

    Attributes:
        title: short.
        name: of the figure; empty when it is none.
        better: which way is better; None when it is no figure.
        unit: of the figure.
    """

    title: str
    name: str = ''
    better: Better | None = None
    unit: str = ''


def figure_cell(
    estimate: Estimate | None, figure: str, run: str, best: bool = False, show_unit: bool = True
) -> Cell:
    """Returns the cell of a figure; empty when the run does not have it."""
    if estimate is None:
        return Cell()
    value = estimate.value if defined(estimate.value) else None
    note = interval_text(estimate.low, estimate.high, estimate.unit) if value is not None else ''
    text = number_text(value, estimate.unit)
    bar = value is not None and not estimate.unit and 0 <= value <= 1
    return Cell(
        text,
        value,
        estimate.unit if show_unit and value is not None else '',
        figure,
        run,
        note,
        f'{figure}: {with_unit(text, estimate.unit)} {note}'.rstrip(),
        share=value if bar else None,
        best=best,
    )


def drop_cell(drop: Drop | None, condition: str) -> Cell:
    """Returns how much a figure has moved, red where it has become worse."""
    moved = change(drop) if drop is not None else None
    if drop is None or moved is None:
        return Cell(number_text(None), hint=f'{condition}: not defined, or n/a in the clean run')
    before, after = (number_text(v, drop.unit) for v in (drop.clean, drop.perturbed))
    return Cell(
        change_text(moved, drop.unit),
        moved,
        hint=f'{drop.figure}, {condition}: {with_unit(after, drop.unit)}, clean {before}',
        shade=_shade(drop.relative),
    )


def mean_cell(mean: GroupMean | None, clean: RunResult | None) -> Cell:
    """Returns the mean change of a figure over the conditions of a kind."""
    if mean is None or mean.absolute is None or clean is None:
        return Cell(number_text(None))
    higher = clean.figures[mean.figure].better == 'higher'
    moved = -mean.absolute if higher else mean.absolute
    share = '' if mean.relative is None else f', {share_text(abs(mean.relative))} of clean'
    return Cell(
        change_text(moved, mean.unit),
        moved,
        hint=f'{mean.figure}: mean over {plural(mean.count, "condition")}{share}',
        shade=_shade(mean.relative),
    )


def _shade(relative_loss: float | None) -> float:
    strength = -(relative_loss or 0.0) / _FULL_LOSS
    return round(min(max(strength, -1.0), 1.0), 2)


def heading(name: str, runs: Iterable[NamedRun], title: str = '') -> Heading:
    """Returns the heading of a figure, with what the first run that has it says about it."""
    found = next((run.run.figures[name] for run in runs if name in run.run.figures), None)
    shown = title or figure_title(name)
    return Heading(shown, name, found.better, found.unit) if found else Heading(shown, name)


def best_runs(name: str, runs: Sequence[NamedRun]) -> frozenset[str]:
    """Returns the letters of the runs with the best value of a figure over each data set.

    Values that are written alike are equally good. Where only one run has a value, or all are
    alike, none is best.
    """
    best: set[str] = set()
    for data in data_names(runs):
        known: dict[str, tuple[float, str]] = {}
        for run in on_data(runs, data):
            estimate = run.run.figures.get(name)
            if estimate is not None and estimate.value is not None and defined(estimate.value):
                sign = 1.0 if estimate.better == 'higher' else -1.0
                text = number_text(estimate.value, estimate.unit)
                known[run.key] = sign * estimate.value, text
        if len({text for _, text in known.values()}) > 1:
            _, most = max(known.values())
            best |= {key for key, (_, text) in known.items() if text == most}
    return frozenset(best)
