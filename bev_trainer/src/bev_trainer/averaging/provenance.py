"""What averaged models have in common, and what their average says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bev_perception.errors import ModelError
from bev_perception.model.config import AnyModelConfig
from bev_perception.model.folder import LoadedModel

_OWN = {'name', 'version', 'licence', 'training'}  # of each model, not of its network


def check_same_network(models: Sequence[tuple[str, AnyModelConfig]]) -> None:
    """Refuses descriptions that differ in more than name, version, licence and training.

    Args:
        models: what each is called in errors, and its description.

    Raises:
        ModelError: names the first field that differs; one line.
    """
    first_name, first = models[0]
    for name, config in models[1:]:
        difference = _difference(first.model_dump(exclude=_OWN), config.model_dump(exclude=_OWN))
        if difference is not None:
            field, ours, theirs = difference
            raise ModelError(
                f"{name}: '{field}' is {theirs!r}, in {first_name} it is {ours!r}; only models of "
                f'one network can be averaged'
            )


def described_soup(
    method: str,
    members: Sequence[LoadedModel],
    base: LoadedModel | None = None,
    recalibrated: str | None = None,
) -> AnyModelConfig:
    """Returns the description of the average of models of one network.

    It is that of the first member, with all ids of the members in place of its history. The
    licence is that of all that went into it, together (SPDX 'AND').

    Args:
        method: of averaging.
        members: what is in it.
        base: that took part as anchor.
        recalibrated: on what batch normalisation was recalibrated; None: it was not.
    """
    parts = [*members, *([] if base is None else [base])]
    text = f'{method} soup of {", ".join(member.model_id for member in members)}'
    if base is not None:
        text += f', anchored to {base.model_id}'
    if recalibrated is not None:
        text += f'; batch norm of {recalibrated}'
    first = members[0].config
    training = first.training.model_copy(
        update={
            'trained': all(part.config.training.trained for part in parts),
            'description': text,
            'data': tuple(dict.fromkeys(d for part in parts for d in part.config.training.data)),
        }
    )
    licences = dict.fromkeys(part.config.licence for part in parts)
    return first.model_copy(
        update={
            'training': training,
            'version': f'{first.version.removesuffix(_SUFFIX)}{_SUFFIX}',
            'licence': ' AND '.join(licences),
        }
    )


_SUFFIX = '+soup'


def _difference(one: Any, other: Any, place: str = '') -> tuple[str, Any, Any] | None:
    """Returns the first field that differs between two dumps, with both values."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return None if one == other else (place, one, other)
    for key in dict.fromkeys((*one, *other)):
        inner = f'{place}.{key}' if place else str(key)
        found = _difference(one.get(key), other.get(key), inner)
        if found is not None:
            return found
    return None
