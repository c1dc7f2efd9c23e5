"""All figures, family by family and data set by data set: plain lists and tables by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bev_perception.evaluation.report.figure_names import (
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
        rows: classes, or whatever the last parts of the names are.
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
    """Returns (names to list, (row, column) of the names that fill a table).

    Columns that fewer than half of the rows have are listed instead.
    """
    known = frozenset(names)
    place = {name: cell for name in names if (cell := _cell(name, known))[1]}
    while place:
        heights = Counter(column for _, column in place.values())
        rows = len({row for row, _ in place.values()})
        sparse = [column for column, height in heights.items() if 2 * height < rows]
        if not sparse:
            break
        least = min(sparse, key=lambda column: heights[column])
        place = {name: cell for name, cell in place.items() if cell[1] != least}
    if len(place) < 2:
        place = {}
    return [name for name in names if name not in place], place


def _cell(name: str, known: frozenset[str]) -> tuple[str, str]:
    """Returns (row, column) of a figure in a table by class; no column: it is in none.

    'iou/long/car/observed' beside 'iou/long/car' is another column of the row 'car'.
    """
    parent, _, last = name.rpartition('/')
    if parent in known:
        row, column = _cell(parent, known)
        if column:
            return row, f'{column}, {spaced(last)}'
    parts = FigureName.parse(name)
    return parts.item, parts.group


def _figure_row(name: str, runs: Sequence[NamedRun]) -> FigureRow:
    best = best_runs(name, runs)
    cells = (figure_cell(r.run.figures.get(name), name, r.key, r.key in best) for r in runs)
    return FigureRow(heading(name, runs), tuple(cells))


def _class_table(cells: Mapping[str, tuple[str, str]], runs: Sequence[NamedRun]) -> ClassTable:
    place = {cell: name for name, cell in cells.items()}
    rows = tuple(dict.fromkeys(row for row, _ in place))
    columns = tuple(dict.fromkeys(column for _, column in place))
    if len(columns) > _MOST_COLUMNS and len(columns) > len(rows):
        rows, columns = columns, rows
        place = {(column, row): name for (row, column), name in place.items()}
    headings = tuple(
        _common([name for (_, other), name in place.items() if other == column], runs, column)
        for column in columns
    )
    alike = all(heading.better is not None for heading in headings)
    return ClassTable(
        headings,
        tuple(
            _class_row(row, [place.get((row, column), '') for column in columns], runs, alike)
            for row in rows
        ),
        len(columns) <= _NOTES_UP_TO_COLUMNS,
    )


def _class_row(row: str, names: Sequence[str], runs: Sequence[NamedRun], alike: bool) -> ClassRow:
    """Returns a row; its heading says what figures are like unless those of the columns do.

    Args:
        row: title.
        names: of its figures, by column; empty where there is none.
        runs: a line each.
        alike: whether the figures of each column are alike.
    """
    title = Heading(spaced(row)) if alike else _common([n for n in names if n], runs, row)
    best = {name: best_runs(name, runs) for name in names if name}
    show_unit = not alike and title.better is None
    lines = (
        RunRow(
            run,
            tuple(
                figure_cell(
                    run.run.figures.get(name),
                    name,
                    run.key,
                    run.key in best.get(name, ()),
                    show_unit,
                )
                for name in names
            ),
        )
        for run in runs
    )
    return ClassRow(title, tuple(lines))


def _common(names: Sequence[str], runs: Sequence[NamedRun], title: str) -> Heading:
    """Returns a heading that says what all the figures are like, if they are alike."""
    found = [heading(name, runs) for name in names]
    likes = {(one.better, one.unit) for one in found}
    if len(likes) != 1:
        return Heading(spaced(title))
    return Heading(spaced(title), names[0] if len(names) == 1 else '', *likes.pop())
