"""Perturbed runs as the change from the clean one, by kind of perturbation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.changes import Perturbed, by_kind, perturbed_by_model
from bev_perception.evaluation.report.figure_names import headline_names
from bev_perception.evaluation.report.runs import NamedRun
from bev_perception.evaluation.report.views.cells import (
    Cell,
    Heading,
    drop_cell,
    figure_cell,
    heading,
    mean_cell,
)
from bev_perception.evaluation.results import Evaluation, RunResult
from bev_perception.evaluation.robustness.drops import Drop, GroupMean

_MOST_COLUMNS = 10
_FEWEST_FIGURES = 3
_OPEN_UP_TO = 30


class Subject:
    """One model over one data set, clean and perturbed.

    Attributes:
        title: 'MODEL on DATA'.
        named: its clean run; None without.
        clean: likewise.
        runs: by condition.
        drops: by condition and figure.
        means: by kind and figure.
    """

    def __init__(self, group: Perturbed, runs: Sequence[NamedRun], names: Sequence[str]) -> None:
        self.title = f'{group.model} on {group.data}'
        self.clean = group.clean
        self.named = next((run for run in runs if run.run is group.clean), None)
        self.runs: dict[str, RunResult] = {run.condition: run for run in group.runs}
        table = group.drops(names)
        self.drops: dict[tuple[str, str], Drop] = {}
        self.means: dict[tuple[str, str], GroupMean] = {}
        if table is not None:
            self.drops = {(d.perturbation, d.figure): d for d in table.drops}
            self.means = {(m.group, m.figure): m for m in table.means}

    def other_scenes(self, condition: str) -> bool:
        """Returns whether a condition was run over other scenes than the clean run."""
        run = self.runs.get(condition)
        if run is None or self.clean is None:
            return False
        return [s.info.name for s in run.scenes] != [s.info.name for s in self.clean.scenes]


@dataclass(frozen=True)
class ConditionRow:
    """One condition: a cell per figure and subject, in this order."""

    condition: str
    cells: tuple[Cell, ...]
    other_scenes: bool


@dataclass(frozen=True)
class ConditionGroup:
    """Conditions of one kind.

    Attributes:
        title: of the kind.
        means: cells: mean changes.
        rows: the conditions, the most harmful first.
        worst: the most harmful condition; empty when nothing is known.
    """

    title: str
    means: tuple[Cell, ...]
    rows: tuple[ConditionRow, ...]
    worst: str


@dataclass(frozen=True)
class RobustnessTable:
    """Everything about one data set.

    Attributes:
        data: name.
        subjects: models beside each other.
        figures: columns, each for all subjects.
        clean: cells of the first row: values themselves.
        groups: the rows below: changes.
        open: whether there are few enough conditions to show all at once.
    """

    data: str
    subjects: tuple[Subject, ...]
    figures: tuple[Heading, ...]
    clean: tuple[Cell, ...]
    groups: tuple[ConditionGroup, ...]
    open: bool


def robustness_tables(
    evaluation: Evaluation, runs: Sequence[NamedRun]
) -> tuple[RobustnessTable, ...]:
    """Returns one table per data set with as many figures as fit, or one per model."""
    found = perturbed_by_model(evaluation)
    tables = []
    for data in dict.fromkeys(group.data for group in found):
        of_data = [group for group in found if group.data == data]
        names = headline_names([group.clean for group in of_data if group.clean is not None])
        subjects = [Subject(group, runs, names) for group in of_data]
        shown = _MOST_COLUMNS // len(subjects)
        if shown >= _FEWEST_FIGURES or len(subjects) == 1:
            tables.append(_table(data, subjects, names[:shown], runs))
        else:
            tables += [_table(data, [s], names[:_MOST_COLUMNS], runs) for s in subjects]
    return tuple(tables)


def _table(
    data: str, subjects: Sequence[Subject], names: Sequence[str], runs: Sequence[NamedRun]
) -> RobustnessTable:
    conditions = list(dict.fromkeys(c for subject in subjects for c in subject.runs))
    clean = tuple(
        figure_cell(s.clean.figures.get(name), name, s.named.key if s.named else '')
        if s.clean
        else Cell()
        for name in names
        for s in subjects
    )
    return RobustnessTable(
        data,
        tuple(subjects),
        tuple(heading(name, runs) for name in names),
        clean,
        tuple(
            _group(title, members, subjects, names)
            for title, members in by_kind(conditions).items()
        ),
        len(conditions) <= _OPEN_UP_TO,
    )


def _group(
    title: str, conditions: Sequence[str], subjects: Sequence[Subject], names: Sequence[str]
) -> ConditionGroup:
    first = names[0] if names else ''
    losses = {condition: _loss(condition, subjects, first) for condition in conditions}
    known = {c: loss for c, loss in losses.items() if loss is not None}
    order = sorted(known, key=lambda c: (-known[c], c))
    order += sorted(c for c in conditions if c not in known)
    means = tuple(
        mean_cell(s.means.get((title, name)), s.clean) for name in names for s in subjects
    )
    rows = tuple(_row(condition, subjects, names) for condition in order)
    return ConditionGroup(title, means, rows, order[0] if known else '')


def _row(condition: str, subjects: Sequence[Subject], names: Sequence[str]) -> ConditionRow:
    cells = [
        drop_cell(s.drops.get((condition, name)), condition) if condition in s.runs else Cell()
        for name in names
        for s in subjects
    ]
    return ConditionRow(condition, tuple(cells), any(s.other_scenes(condition) for s in subjects))


def _loss(condition: str, subjects: Sequence[Subject], name: str) -> float | None:
    """Returns how much a figure loses, as the mean over the subjects that have it."""
    drops = [s.drops.get((condition, name)) for s in subjects]
    losses = [d.absolute for d in drops if d is not None and d.absolute is not None]
    return sum(losses) / len(losses) if losses else None
