"""Tables on disk, filled row by row."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

TABLES = (
    'category',
    'attribute',
    'visibility',
    'instance',
    'sensor',
    'calibrated_sensor',
    'ego_pose',
    'log',
    'scene',
    'sample',
    'sample_data',
    'sample_annotation',
    'map',
)


class Tables:
    """The 13 tables of nuScenes as JSON lists, one row a line; use as a context manager.

    Rows go to disk at once, so that the size of a data set does not matter.

    Args:
        folder: existing folder for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        self._rows = dict.fromkeys(TABLES, 0)
        self._stack = ExitStack()

    def __enter__(self) -> Tables:
        for name in TABLES:
            path = self._folder / f'{name}.json'
            self._files[name] = self._stack.enter_context(path.open('w', encoding='utf-8'))
            self._files[name].write('[')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if error is None:
                for file in self._files.values():
                    file.write('\n]\n')

    def add(self, table: str, **row: Any) -> None:
        """Adds a row."""
        separator = ',\n' if self._rows[table] else '\n'
        self._files[table].write(separator + json.dumps(row))
        self._rows[table] += 1
