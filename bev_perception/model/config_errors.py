"""What is wrong in a model description, in one line that names the field and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def first_problem(error: ValidationError, schema: type[BaseModel]) -> str:
    """Returns one line for the first problem, and how many more there are.

    An unknown key comes first: it is usually a typing mistake that also explains a missing one.
    """
    problems = sorted(error.errors(), key=lambda item: item['type'] != 'extra_forbidden')
    more = f' (and {len(problems) - 1} more)' if len(problems) > 1 else ''
    return _problem(problems[0], schema) + more


def _problem(item: ErrorDetails, schema: type[BaseModel]) -> str:
    path = [str(part) for part in item['loc']]
    field = '.'.join(path)
    if item['type'] == 'extra_forbidden':
        return f"'{field}' is unknown{nearest(path[-1], _keys_beside(path, schema))}"
    if item['type'] == 'missing':
        return f"'{field}' is missing"
    reason = item['msg'].removeprefix('Value error, ')
    return f"'{field}': {reason[:1].lower()}{reason[1:]}{_found(item, reason)}"


def _found(item: ErrorDetails, reason: str) -> str:
    if 'got' in reason or isinstance(item['input'], dict | list):
        return ''
    return f', got {item["input"]!r}'


def nearest(word: str, choices: Sequence[str]) -> str:
    """Returns a half-sentence that proposes the likeliest choice, or lists all of them."""
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f'; valid are {", ".join(choices)}'


def _keys_beside(path: Sequence[str], section: type[BaseModel]) -> list[str]:
    """Returns the valid keys of the section that holds the key at `path`."""
    for part in path[:-1]:
        annotation = section.model_fields[part].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        section = annotation
    return list(section.model_fields)
