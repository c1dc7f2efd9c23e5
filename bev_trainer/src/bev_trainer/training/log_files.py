"""The log of a training: CSV files that go on where a checkpoint stands, and TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bev_perception.files import write_atomically

LOG = 'log'
_STEP = 'step'

_Row = dict[str, str]


@dataclass
class _File:
    """What is known of a file: its columns, and the step of its last line."""

    columns: list[str]
    last: int


class CsvLog(Logger):
    """One CSV file per kind of figure: 'train/total' is column 'total' of `train.csv`.

    Every line is handed to the operating system before `log_metrics` returns.

    Args:
        folder: for the files; is created when there is something to write.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[Path, _File] = {}

    @property
    def name(self) -> str:
        return LOG

    @property
    def version(self) -> str:
        return ''

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leaves them out: the training file lies beside the log."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds a line to the file of each kind; one of the same step is replaced."""
        kinds: dict[str, _Row] = {}
        for name, value in metrics.items():
            kind, _, column = name.partition('/')
            kinds.setdefault(kind, {_STEP: str(step or 0)})[column] = f'{value:.9g}'
        for kind, row in kinds.items():
            self._add(self._folder / f'{kind}.csv', row)

    @rank_zero_only
    def keep_up_to(self, step: int) -> None:
        """Drops all that was logged later than a step."""
        for path in sorted(self._folder.glob('*.csv')):
            self._write(path, [row for row in _rows(path) if int(row[_STEP]) <= step])

    def _add(self, path: Path, row: _Row) -> None:
        file, step = self._files.get(path), int(row[_STEP])
        if file is None or step <= file.last or not row.keys() <= set(file.columns):
            others = [other for other in _rows(path) if int(other[_STEP]) != step]
            self._write(path, [*others, row])
            return
        with path.open('a', newline='') as stream:
            csv.DictWriter(stream, file.columns, lineterminator='\n').writerow(row)
        file.last = step

    def _write(self, path: Path, rows: list[_Row]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row)) or [_STEP]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.getvalue().encode())
        self._files[path] = _File(columns, int(rows[-1][_STEP]) if rows else -1)


def _rows(path: Path) -> list[_Row]:
    """Returns the complete lines of a file; none if there is no such file."""
    if not path.is_file():
        return []
    text = path.read_text(encoding='utf-8')
    complete = text[: text.rfind('\n') + 1]
    return [
        {name: value for name, value in row.items() if value}
        for row in csv.DictReader(io.StringIO(complete))
    ]


def create_loggers(folder: Path, step: int) -> list[Logger]:
    """Returns the logs of a training that goes on after `step` steps.

    TensorBoard's is there when the package `tensorboard` is.
    """
    log = CsvLog(folder / LOG)
    log.keep_up_to(step)
    if find_spec('tensorboard') is None:
        return [log]
    # Steps that come a second time hide those that were drawn before the training was stopped.
    purge_step = step + 1 if step else None
    return [log, TensorBoardLogger(folder, name='', version=LOG, purge_step=purge_step)]
