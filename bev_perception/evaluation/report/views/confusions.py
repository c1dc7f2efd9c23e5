"""What was taken for what, each row as shares of what was really there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev_perception.evaluation.metric import Confusion
from bev_perception.evaluation.report.figure_names import figure_title
from bev_perception.evaluation.report.runs import NamedRun

_WRITTEN_FROM = 0.005


@dataclass(frozen=True)
class ConfusionCell:
    """One cell.

    Attributes:
        text: per cent of the row; empty for less than half of one.
        share: of the row, 0..1.
        hint: with the count.
        right: whether row and column are the same.
    """

    text: str
    share: float
    hint: str
    right: bool


@dataclass(frozen=True)
class ConfusionRow:
    """One class as it is in the truth."""

    name: str
    total: int
    cells: tuple[ConfusionCell, ...]


@dataclass(frozen=True)
class ConfusionView:
    """One table of one run."""

    title: str
    run: NamedRun
    predicted: tuple[str, ...]
    rows: tuple[ConfusionRow, ...]


def confusion_views(runs: Sequence[NamedRun]) -> tuple[ConfusionView, ...]:
    """Returns all tables, those of the same name of all runs together."""
    names = dict.fromkeys(name for run in runs for name in run.run.confusions)
    return tuple(
        _view(name, run, run.run.confusions[name])
        for name in names
        for run in runs
        if name in run.run.confusions
    )


def _view(name: str, run: NamedRun, confusion: Confusion) -> ConfusionView:
    rows = []
    for truth, counts in zip(confusion.truth, np.asarray(confusion.counts).tolist(), strict=True):
        total = sum(counts)
        cells = (
            _cell(truth, predicted, count, total)
            for predicted, count in zip(confusion.predicted, counts, strict=True)
        )
        rows.append(ConfusionRow(truth, total, tuple(cells)))
    return ConfusionView(figure_title(name), run, confusion.predicted, tuple(rows))


def _cell(truth: str, predicted: str, count: int, total: int) -> ConfusionCell:
    share = count / total if total else 0.0
    text = f'{100 * share:.0f}' if share >= _WRITTEN_FROM else ''
    hint = f'{truth} taken for {predicted}: {count} of {total}'
    return ConfusionCell(text, round(share, 3), hint, truth == predicted)
