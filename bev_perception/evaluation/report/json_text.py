"""JSON that people can read and compare line by line: short lists stay on one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Returns a value of JSON's own types; numbers that JSON cannot hold become null.

    Floats keep all their digits: reading them gives the same numbers.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(content) for key, content in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(content) for content in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def json_text(value: Any) -> str:
    """Returns the text of a value, ending in a new line; keys keep their order."""
    return _lines(plain(value), 0) + '\n'


def _lines(value: Any, depth: int) -> str:
    if isinstance(value, dict) and value and not _is_flat(value):
        rows = [f'{_inline(key)}: {_lines(content, depth + 1)}' for key, content in value.items()]
        return _block('{', rows, '}', depth)
    if isinstance(value, list) and any(isinstance(content, dict) for content in value):
        return _block('[', [_lines(content, depth + 1) for content in value], ']', depth)
    return _inline(value)


def _block(opening: str, rows: list[str], closing: str, depth: int) -> str:
    space = ' ' * (depth + 1)
    body = ',\n'.join(space + row for row in rows)
    return f'{opening}\n{body}\n{" " * depth}{closing}'


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(content, (dict, list)) for content in value.values())


def _inline(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
