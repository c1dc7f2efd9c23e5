"""The table of drops for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bev_perception.evaluation.robustness.drops import Drop, DropTable

_NOTHING = 'n/a'


def drop_text(table: DropTable) -> str:
    """Returns one row per perturbation and mean: value, drop and relative drop of each figure.

    A drop above zero is a loss, whichever way the figure is better.
    """
    rows = [_row('', [(name, 'drop', '') for name in table.figures])]
    first = {d.figure: d for d in reversed(table.drops)}
    rows.append(
        _row(
            'clean',
            [(_value(d.clean, d.unit), '', '') for d in map(first.get, table.figures) if d],
        )
    )
    for group in dict.fromkeys(mean.group for mean in table.means):
        rows += [[f'[{group}]'], *_group_rows(table, group)]
    return '\n'.join(_aligned(rows))


def _group_rows(table: DropTable, group: str) -> Iterator[list[str]]:
    """Yields the rows of one group, its mean last."""
    found: dict[str, list[Drop]] = {}
    for one in table.drops:
        if one.group == group:
            found.setdefault(one.perturbation, []).append(one)
    for name, drops in found.items():
        cells = [
            (_value(d.perturbed, d.unit), _change(d.absolute), _share(d.relative)) for d in drops
        ]
        yield _row(f'  {name}', cells)
    means = [m for m in table.means if m.group == group]
    yield _row('  mean', [('', _change(m.absolute), _share(m.relative)) for m in means])


def _row(title: str, cells: Sequence[tuple[str, str, str]]) -> list[str]:
    return [title, *(cell for three in cells for cell in three)]


def _value(value: float | None, unit: str) -> str:
    return _NOTHING if value is None else f'{value:.4f} {unit}'.rstrip()


def _change(value: float | None) -> str:
    return _NOTHING if value is None else f'{value:+.4f}'


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f'{100.0 * value:+.1f} %'


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines with columns of even width, the first to the left, others to the right."""
    columns = max(len(row) for row in rows)
    full = [[*row, *[''] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in full) for column in range(columns)]
    return [
        '  '.join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in full
    ]
