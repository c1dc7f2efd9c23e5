"""What is wrong in a rig file, in one line that names the field and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]
Sections = Mapping[str, type[BaseModel]]

_MESSAGES = {
    'missing': 'is missing; add it',
    'model_type': 'must be a mapping of keys to values',
    'tuple_type': 'must be a list',
    'string_type': 'must be text; put it in quotes',
    'too_short': 'must have {min_length} entries or more, has {actual_length}',
    'too_long': 'must have {max_length} entries or fewer, has {actual_length}',
}


def first_problem(error: ValidationError, content: dict[str, Any], sections: Sections) -> str:
    """Returns one line on the most telling error of a rig file.

    An unknown key comes first: it is most often the misspelling of one that is missing.

    Args:
        error: all that is wrong.
        content: the file's values, for the names of cameras.
        sections: the model of each section by its key; '' is the whole file.
    """
    details = sorted(error.errors(), key=lambda item: item['type'] != 'extra_forbidden')
    more = f' (and {len(details) - 1} more)' if len(details) > 1 else ''
    return f'{_describe(details[0], content, sections)}{more}'


def _describe(detail: ErrorDetails, content: dict[str, Any], sections: Sections) -> str:
    where = _place(detail['loc'], content)
    if detail['type'] == 'extra_forbidden':
        return f'{where} is not a known key; {_suggestion(detail["loc"], sections)}'
    if detail['type'] in _MESSAGES:
        return f'{where} {_MESSAGES[detail["type"]].format(**detail.get("ctx", {}))}'
    message = detail['msg'].removeprefix('Value error, ')
    message = message[:1].lower() + message[1:]
    given = detail['input']
    scalar = given is None or isinstance(given, (str, int, float))
    return f'{where}: {message}, got {given!r}' if scalar else f'{where}: {message}'


def _suggestion(location: Location, sections: Sections) -> str:
    parents = [part for part in location[:-1] if isinstance(part, str)]
    keys = list(sections[parents[-1] if parents else ''].model_fields)
    close = difflib.get_close_matches(str(location[-1]), keys, n=1)
    return f"did you mean '{close[0]}'?" if close else f'use {", ".join(keys)}'


def _place(location: Location, content: dict[str, Any]) -> str:
    """Returns for example: cameras[1] 'rear' intrinsics.k[8]."""
    text = ''
    for depth, part in enumerate(location):
        if isinstance(part, str):
            text += f'{"" if not text or text.endswith(" ") else "."}{part}'
            continue
        text += f'[{part}]'
        if location[:depth] == ('cameras',):
            name = _camera_name(content, part)
            text += f" '{name}' " if name else ' '
    return text.strip()


def _camera_name(content: dict[str, Any], index: int) -> str:
    camera = content['cameras'][index]
    name = camera.get('name') if isinstance(camera, dict) else None
    return name if isinstance(name, str) else ''
