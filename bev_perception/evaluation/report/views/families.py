"""All figures, family by family and data set by data set: plain lists and tables by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.figure_names import (
    SEPARATOR,
    FigureName,
    all_names,
    families,
    family_title,
    spaced,
)
from bev_perception.evaluation.report.runs import NamedRun, data_names, on_data
from bev_perception.evaluation.report.views.cells import (
    Cell,
    Heading,
    best_runs,
    figure_cell,
    heading,
)

_MOST_COLUMNS = 10
_NOTES_UP_TO_COLUMNS = 4


@dataclass(frozen=True)
class RunRow:
    """Cells of one run.

    Attributes:
        run: of the cells.
        cells: one per column.
    """

    run: NamedRun
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ClassRow:
    """One class, or whatever the figures of a table are of; a line for each run."""

    heading: Heading
    lines: tuple[RunRow, ...]


@dataclass(frozen=True)
class ClassTable:
    """A table by class.

    Attributes:
        columns: figures, without the class.
        rows: classes.
        notes: whether intervals are written under the numbers.
    """

    columns: tuple[Heading, ...]
    rows: tuple[ClassRow, ...]
    notes: bool


@dataclass(frozen=True)
class FigureRow:
    """One figure of all runs."""

    heading: Heading
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class DataFigures:
    """A family over one data set.

    Attributes:
        data: its name.
        runs: over it.
        plain: figures without classes.
        by_class: the others; None without.
    """

    data: str
    runs: tuple[NamedRun, ...]
    plain: tuple[FigureRow, ...]
    by_class: ClassTable | None


@dataclass(frozen=True)
class Family:
    """A family of figures."""

    title: str
    parts: tuple[DataFigures, ...]

    @property
    def narrow(self) -> bool:
        """Whether no part has a table by class."""
        return all(part.by_class is None for part in self.parts)


def figure_families(runs: Sequence[NamedRun]) -> tuple[Family, ...]:
    """Returns all families that some run has figures of."""
    names = all_names(run.run for run in runs)
    return tuple(Family(family_title(family), _parts(family, runs)) for family in families(names))


def _parts(family: str, runs: Sequence[NamedRun]) -> tuple[DataFigures, ...]:
    parts = []
    for data in data_names(runs):
        of_data = on_data(runs, data)
        names = [
            name
            for name in all_names(run.run for run in of_data)
            if FigureName.parse(name).family == family
        ]
        if names:
            plain, by_class = _split(names)
            rows = tuple(_figure_row(name, of_data) for name in plain)
            table = _class_table(by_class, of_data) if by_class else None
            parts.append(DataFigures(data, of_data, rows, table))
    return tuple(parts)


def _split(names: Sequence[str]) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Returns (names to list, (row, column) of the names that fill a table at least by half)."""
    known = frozenset(names)
    place = {name: cell for name in names if (cell := _cell(name, known))[1]}
    cells = len({row for row, _ in place.values()}) * len({column for _, column in place.values()})
    if len(place) < 2 or 2 * len(place) < cells:
        return list(names), {}
    return [name for name in names if name not in place], place


def _cell(name: str, known: frozenset[str]) -> tuple[str, str]:
    """Returns (row, column) of a figure in a table by class; no column: it is in none.

    'iou/long/car/observed' beside 'iou/long/car' is another column of the row 'car'.
    """
    parent, _, last = name.rpartition('/')
    if parent in known:
        row, column = _cell(parent, known)
        return row, f'{column}, {spaced(last)}' if column else ''
    parts = FigureName.parse(name)
    return parts.item, parts.group


def _figure_row(name: str, runs: Sequence[NamedRun]) -> FigureRow:
    best = best_runs(name, runs)
    cells = (figure_cell(r.run.figures.get(name), name, r.key, r.key in best) for r in runs)
    parts = FigureName.parse(name)
    title = SEPARATOR.join(spaced(part) for part in (parts.group, parts.item) if part)
    return FigureRow(heading(name, runs, title), tuple(cells))


def _class_table(cells: Mapping[str, tuple[str, str]], runs: Sequence[NamedRun]) -> ClassTable:
    place = {cell: name for name, cell in cells.items()}
    rows = tuple(dict.fromkeys(item for item, _ in place))
    columns = tuple(dict.fromkeys(group for _, group in place))
    if len(columns) > _MOST_COLUMNS and len(columns) > len(rows):
        rows, columns = columns, rows
        place = {(group, item): name for (item, group), name in place.items()}

    def column_heading(column: str) -> Heading:
        name = next(name for (_, other), name in place.items() if other == column)
        return heading(name, runs, spaced(column))

    table = []
    for row in rows:
        found = [place.get((row, column), '') for column in columns]
        best = {name: best_runs(name, runs) for name in found if name}
        lines = (
            RunRow(
                run,
                tuple(_cell_of(run, n, best.get(n, frozenset())) for n in found),
            )
            for run in runs
        )
        table.append(ClassRow(Heading(spaced(row)), tuple(lines)))
    headings = tuple(column_heading(column) for column in columns)
    return ClassTable(headings, tuple(table), len(columns) <= _NOTES_UP_TO_COLUMNS)


def _cell_of(run: NamedRun, name: str, best: frozenset[str]) -> Cell:
    """Returns the cell of a run in a column whose heading names the unit."""
    return figure_cell(run.run.figures.get(name), name, run.key, run.key in best, show_unit=False)
