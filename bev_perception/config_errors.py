"""What is wrong in a configuration file, in one line that names the field and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class Wording:
    """How the messages about one kind of file are put.

    Attributes:
        place: returns the name of a field, of its location and the content of the file.
        unknown: said of a key that does not exist.
        choices: said before the list of the keys that do.
        messages: by pydantic's type of error, what is said in place of pydantic's own words.
    """

    place: Callable[[Location, Any], str]
    unknown: str
    choices: str
    messages: Mapping[str, str]


def first_problem(
    error: ValidationError, content: Any, schema: type[BaseModel], wording: Wording
) -> str:
    """Returns one line on the most telling problem, and how many more there are.

    An unknown key comes first: it is most often the misspelling of one that is missing.

    Args:
        error: all that is wrong.
        content: plain values of the file.
        schema: what they should have been.
        wording: of this kind of file.
    """
    problems = sorted(error.errors(), key=lambda item: item['type'] != 'extra_forbidden')
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    return _problem(problems[0], content, schema, wording) + more


def nearest(word: str, choices: Sequence[str], otherwise: str) -> str:
    """Returns a half-sentence that proposes the likeliest choice, or lists all of them."""
    close = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean '{close[0]}'?" if close else f'; {otherwise} {", ".join(choices)}'


def _problem(item: ErrorDetails, content: Any, schema: type[BaseModel], wording: Wording) -> str:
    location, section = _resolved(item['loc'], schema)
    where = wording.place(location, content)
    if item['type'] == 'extra_forbidden':
        keys = list(section.model_fields)
        return f'{where} {wording.unknown}{nearest(str(location[-1]), keys, wording.choices)}'
    if item['type'] in wording.messages:
        return f'{where} {wording.messages[item["type"]].format(**item.get("ctx", {}))}'
    reason = item['msg'].removeprefix('Value error, ')
    return f'{where}: {reason[:1].lower()}{reason[1:]}{_found(item["input"], reason)}'


def _found(value: Any, reason: str) -> str:
    if 'got' in reason or isinstance(value, dict | list | tuple):
        return ''
    return f', got {value!r}'


def _resolved(location: Location, schema: type[BaseModel]) -> tuple[Location, type[BaseModel]]:
    """Returns the location without the tags of unions, and the section that holds its last key."""
    place: list[int | str] = []
    parts = list(location)
    while len(parts) > 1:
        part = parts.pop(0)
        place.append(part)
        if part not in schema.model_fields:  # of a list, or a name in a mapping
            continue
        sections = _sections_in(schema.model_fields[part].annotation)
        if len(sections) > 1:
            tag = parts.pop(0)
            sections = [each for each in sections if tag in _tags(each)]
        if sections:
            schema = sections[0]
    return (*place, *parts), schema


def _tags(section: type[BaseModel]) -> tuple[Any, ...]:
    """Returns the values of `kind` that choose a section out of a union."""
    return get_args(section.model_fields['kind'].annotation)


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Returns the models inside an annotation: `Section | None`, `tuple[Section, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]
