"""Rows of a nuScenes table, streamed: tables of gigabytes never are in memory as a whole."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError, CalibrationError
from bev_perception.geometry.pose import Matrix, make_pose

_CHUNK = 1 << 20
_LONGEST_ROW = 1 << 23
_BETWEEN = ' \t\r\n,'


@dataclass(frozen=True)
class Row:
    """One row; its methods say which table, row and column are wrong.

    Attributes:
        table: file.
        number: of the row, from 0.
        values: by column.
    """

    table: Path
    number: int
    values: dict[str, Any]

    def text(self, column: str) -> str:
        """Returns a text; raises BevError."""
        value = self._value(column)
        return value if isinstance(value, str) else self._refuse(column, 'must be text')

    def integer(self, column: str) -> int:
        """Returns a whole number; raises BevError."""
        value = self._value(column)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return self._refuse(column, 'must be a whole number')

    def flag(self, column: str) -> bool:
        """Returns true or false; raises BevError."""
        value = self._value(column)
        return value if isinstance(value, bool) else self._refuse(column, 'must be true or false')

    def numbers(self, column: str, *shape: int) -> NDArray[np.float64]:
        """Returns finite numbers of a shape; raises BevError."""
        try:
            array = np.array(self._value(column), np.float64)
        except (TypeError, ValueError):
            array = np.array(math.nan)
        if array.shape != shape or not np.isfinite(array).all():
            size = ' x '.join(map(str, shape))
            self._refuse(column, f'must be {size} finite numbers')
        return array

    def pose(self) -> Matrix:
        """Returns translation and rotation (w, x, y, z) as [4, 4]; raises BevError."""
        translation, (w, x, y, z) = self.numbers('translation', 3), self.numbers('rotation', 4)
        try:
            return make_pose(translation, (x, y, z, w))
        except CalibrationError as error:
            return self._refuse('rotation', str(error))

    def _value(self, column: str) -> Any:
        try:
            return self.values[column]
        except KeyError:
            return self._refuse(column, 'is missing')

    def _refuse(self, column: str, problem: str) -> Any:
        raise BevError(f"{self.table}: row {self.number}: column '{column}' {problem}")


def rows(path: Path) -> Iterator[Row]:
    """Yields the rows of a table in order.

    Raises:
        BevError: the table is missing, cannot be read, or is no list of rows.
    """
    for number, values in enumerate(_values(path)):
        if not isinstance(values, dict):
            raise BevError(f'{path}: row {number} must be an object with named columns')
        yield Row(path, number, values)


def _values(path: Path) -> Iterator[Any]:
    decoder, count = json.JSONDecoder(), 0
    try:
        with path.open(encoding='utf-8') as file:
            text = file.read(_CHUNK).lstrip()
            if not text.startswith('['):
                raise BevError(f'{path}: is no table: it must be a JSON list of rows')
            position = 1
            while True:
                position = _skipped(text, position)
                try:
                    if text.startswith(']', position):
                        return
                    value, position = decoder.raw_decode(text, position)
                except ValueError as error:
                    more = file.read(_CHUNK)
                    if not more or len(text) - position > _LONGEST_ROW:
                        raise BevError(
                            f'{path}: is cut off or is no JSON after row {count - 1}'
                        ) from error
                    text, position = text[position:] + more, 0
                    continue
                count += 1
                yield value
    except FileNotFoundError as error:
        raise BevError(f'{path}: no such table; it belongs to a nuScenes data set') from error
    except OSError as error:
        raise BevError(f'{path}: cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise BevError(f'{path}: is not UTF-8 text') from error


def _skipped(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BETWEEN:
        position += 1
    return position
