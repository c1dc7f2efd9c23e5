"""Results of the view-transform benchmark, as JSON and as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One way to compute the same view transform.

    Attributes:
        name: which way.
        note: what a call includes, and where its error comes from.
        cpu_ms: median CPU time of a call, all threads together.
        cpu_ms_p95: 95th percentile likewise.
        wall_ms: median wall time of a call.
        wall_ms_p95: 95th percentile likewise.
        ratio_to_lss: how many times faster than LSS, median CPU times.
        wall_ratio_to_lss: likewise, median wall times.
        error: largest difference from the float64 reference, as a share of the largest magnitude
            in the reference.
        peak_extra_mib: growth of resident memory at the peak of a call, its result included;
            None where it cannot be measured.
    """

    name: str
    note: str
    cpu_ms: float
    cpu_ms_p95: float
    wall_ms: float
    wall_ms_p95: float
    ratio_to_lss: float
    wall_ratio_to_lss: float
    error: float
    peak_extra_mib: float | None


@dataclass(frozen=True)
class Table:
    """All rows of one workload.

    Attributes:
        name: of the workload.
        cameras: number of cameras.
        points: lifted points per frame.
        entries: of these, points inside the grid.
        inputs_sha256: of features, depth and entries.
        rows: LSS first.
    """

    name: str
    cameras: int
    points: int
    entries: int
    inputs_sha256: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Result:
    """What one run measured, and with what.

    Attributes:
        benchmark: its name on the command line.
        threads: CPU threads of torch.
        repeats: rounds over all rows.
        omp_wait_policy: 'passive': threads that wait cost no CPU time.
        cpu_capability: vector instructions that torch uses.
        versions: of Python and the libraries.
        tables: one per workload.
    """

    benchmark: str
    threads: int
    repeats: int
    omp_wait_policy: str
    cpu_capability: str
    versions: dict[str, str]
    tables: tuple[Table, ...]

    def to_json(self) -> str:
        """Returns indented JSON with the fields of this class, `Table` and `Row`."""
        return json.dumps(asdict(self), indent=2)

    def to_markdown(self) -> str:
        """Returns a line with the conditions and one Markdown table per workload."""
        versions = ', '.join(f'{name} {version}' for name, version in self.versions.items())
        lines = [
            f'{self.threads} CPU threads ({self.cpu_capability}, OpenMP wait policy '
            f'{self.omp_wait_policy}), {self.repeats} rounds, {versions}.',
            'Times are medians of a call (95th percentile in brackets); CPU time is that of all '
            'threads together.',
        ]
        for table in self.tables:
            lines += ['', *_table_lines(table)]
        return '\n'.join(lines)


def _table_lines(table: Table) -> list[str]:
    return [
        f'**{table.cameras} x {table.name}** ({table.entries} of {table.points} points fall in '
        'the grid)',
        '',
        '| view transform | x LSS, CPU | x LSS, wall | CPU ms | wall ms | extra MiB | error | |',
        '|---|--:|--:|--:|--:|--:|--:|---|',
        *(_row_line(row) for row in table.rows),
    ]


def _row_line(row: Row) -> str:
    memory = '-' if row.peak_extra_mib is None else f'{row.peak_extra_mib:.0f}'
    cells = (
        row.name,
        f'{row.ratio_to_lss:.3g}',
        f'{row.wall_ratio_to_lss:.3g}',
        f'{row.cpu_ms:.2f} ({row.cpu_ms_p95:.2f})',
        f'{row.wall_ms:.2f} ({row.wall_ms_p95:.2f})',
        memory,
        f'{row.error:.1e}',
        row.note,
    )
    return f'| {" | ".join(cells)} |'
