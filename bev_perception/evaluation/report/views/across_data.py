"""Trained on one data set, tested on another: the table of BEVal (Gonçalves et al. 2024)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.figure_names import all_names, headline_names
from bev_perception.evaluation.report.runs import NamedRun, data_names
from bev_perception.evaluation.report.views.cells import Cell, Heading, figure_cell, heading

_BY_CLASS = r'iou/(long|model)/[^/]+'


@dataclass(frozen=True)
class AcrossRow:
    """One model.

    Attributes:
        model: name.
        trained_on: what it says about that.
        cells: one per data set; empty where the model was not run over it.
        at_home: for each, whether the model was trained on it.
    """

    model: str
    trained_on: str
    cells: tuple[Cell, ...]
    at_home: tuple[bool, ...]


@dataclass(frozen=True)
class AcrossFigure:
    """One figure over all models and data sets."""

    heading: Heading
    rows: tuple[AcrossRow, ...]


@dataclass(frozen=True)
class AcrossTable:
    """The whole table."""

    data: tuple[str, ...]
    figures: tuple[AcrossFigure, ...]


def across_table(runs: Sequence[NamedRun]) -> AcrossTable | None:
    """Returns the table; None when there is a single data set or nothing to compare."""
    data = data_names(runs)
    headlines = headline_names([run.run for run in runs])
    by_class = [n for n in all_names(run.run for run in runs) if re.fullmatch(_BY_CLASS, n)]
    names = tuple(dict.fromkeys([*headlines, *by_class]))
    if len(data) < 2 or not names:
        return None
    return AcrossTable(data, tuple(_figure(name, runs, data) for name in names))


def _figure(name: str, runs: Sequence[NamedRun], data: Sequence[str]) -> AcrossFigure:
    models = dict.fromkeys((run.run.model, run.run.trained_on) for run in runs)
    rows = []
    for model, trained_on in models:
        own = {r.run.data: r for r in reversed(runs) if _identity(r) == (model, trained_on)}
        cells = tuple(
            figure_cell(own[place].run.figures.get(name), name, own[place].key)
            if place in own
            else Cell()
            for place in data
        )
        at_home = tuple(_mentions(trained_on, place) for place in data)
        rows.append(AcrossRow(model, trained_on, cells, at_home))
    return AcrossFigure(heading(name, runs), tuple(rows))


def _identity(run: NamedRun) -> tuple[str, str]:
    return run.run.model, run.run.trained_on


def _mentions(trained_on: str, data: str) -> bool:
    """Returns whether the description of training data names a data set, as a whole word."""
    return bool(data) and bool(
        re.search(rf'(?<!\w){re.escape(data.lower())}(?!\w)', trained_on.lower())
    )
