"""The table of drops for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from bev_perception.evaluation.robustness.drops import DropTable

_NOTHING = 'n/a'


def drop_text(table: DropTable) -> str:
    """Returns one row per perturbation and mean: value, drop and relative drop of each figure."""
    rows = [['', *(cell for name in table.figures for cell in (name, 'drop', ''))]]
    rows.append(['clean', *(c for v in _clean(table) for c in (_value(v), '', ''))])
    groups = dict.fromkeys(mean.group for mean in table.means)
    for group in groups:
        rows.append([f'[{group}]'])
        for name in dict.fromkeys(d.perturbation for d in table.drops if d.group == group):
            found = [d for d in table.drops if (d.group, d.perturbation) == (group, name)]
            cells = [(_value(d.perturbed), _change(d.absolute), _share(d.relative)) for d in found]
            rows.append([f'  {name}', *(c for triple in cells for c in triple)])
        means = [m for m in table.means if m.group == group]
        cells = [('', _change(m.absolute), _share(m.relative)) for m in means]
        rows.append(['  mean', *(c for triple in cells for c in triple)])
    return '\n'.join(_aligned(rows))


def _clean(table: DropTable) -> list[float | None]:
    values = {d.figure: d.clean for d in table.drops}
    return [values.get(name) for name in table.figures]


def _value(value: float | None) -> str:
    return _NOTHING if value is None else f'{value:.4f}'


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
