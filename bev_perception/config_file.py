"""Configuration files: from a path to text, to plain values, to a validated schema.

Whatever is wrong is one line that names the file, the field and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bev_perception.config_errors import Location, Wording, first_problem
from bev_perception.config_yaml import YamlError, from_yaml
from bev_perception.errors import ConfigError

Schema = TypeVar('Schema', bound=BaseModel)


def read_config(path: Path, what: str) -> str:
    """Returns the text of a file; `what` is said of it in errors, as in 'the training file'.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or 'not UTF-8 text'
        raise ConfigError(f'{path}: cannot read {what}: {reason}') from None


def mapping_of(text: str, source: str, of_what: str = '') -> dict[str, Any]:
    """Returns the plain values of YAML `text`.

    Args:
        text: the document.
        source: names it in errors.
        of_what: said of the mapping that was expected, as in 'of model fields'.

    Raises:
        ConfigError: not YAML, a key is given twice, or no mapping.
    """
    try:
        content = from_yaml(text, before_place=': ')
    except YamlError as error:
        raise ConfigError(f'{source}: {error}') from None
    if not isinstance(content, dict):
        expected = f'a mapping {of_what}'.rstrip()
        raise ConfigError(f'{source}: expected {expected} at the top level')
    return content


def validated(
    schema: type[Schema], content: dict[str, Any], source: str, wording: Wording
) -> Schema:
    """Returns plain values as what the schema makes of them; `source` names them in errors.

    Raises:
        ConfigError: a key is missing, unknown or impossible.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        problem = first_problem(error, content, schema, wording)
        raise ConfigError(f'{source}: {problem}') from None


def dotted_wording(whole: str, messages: Mapping[str, str] | None = None) -> Wording:
    """Returns how errors are put where fields are named as in 'heads.objects.classes.0'.

    Args:
        whole: what the problem of no field in particular is said of, as in 'the model'.
        messages: see `Wording`, beside that of a missing field.
    """

    def place(location: Location, content: Any) -> str:
        return f"'{'.'.join(map(str, location))}'" if location else whole

    return Wording(place, 'is unknown', 'valid are', {'missing': 'is missing', **(messages or {})})
