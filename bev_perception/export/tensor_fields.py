"""The tensors inside nested dataclasses, by name, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar('T')


def tensors_of(item: Any, prefix: str = '') -> dict[str, Tensor]:
    """Returns every tensor inside a dataclass: name of the fields on the way, joined by dots."""
    found: dict[str, Tensor] = {}
    for field in dataclasses.fields(item):
        value, name = getattr(item, field.name), f'{prefix}{field.name}'
        if isinstance(value, Tensor):
            found[name] = value
        elif dataclasses.is_dataclass(value):
            found |= tensors_of(value, f'{name}.')
    return found


def with_tensors(item: T, tensors: Mapping[str, Tensor], prefix: str = '') -> T:
    """Returns the same dataclass with the tensors of these names (`tensors_of`) instead."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(item):  # type: ignore[arg-type]
        value, name = getattr(item, field.name), f'{prefix}{field.name}'
        if isinstance(value, Tensor) and name in tensors:
            changes[field.name] = tensors[name]
        elif dataclasses.is_dataclass(value):
            changes[field.name] = with_tensors(value, tensors, f'{name}.')
    return dataclasses.replace(item, **changes)  # type: ignore[type-var]
