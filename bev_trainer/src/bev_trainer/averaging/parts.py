"""Parts of a model by name: freezing them, and taking their weights from another model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import nn

from bev_perception.config_errors import nearest
from bev_perception.errors import ConfigError, ModelError
from bev_trainer.averaging.tensors import State, misfit, tensors_of, unwrapped

_HEADS = 'heads'


def part_names(model: nn.Module) -> tuple[str, ...]:
    """Returns the parts that have weights: 'backbone', 'neck', ..., 'heads.occupancy', ..."""
    names = []
    for name, module in unwrapped(model).named_children():
        inner = [f'{name}.{child}' for child, _ in module.named_children()]
        names += inner if name == _HEADS else [name]
    return tuple(name for name in names if _has_weights(unwrapped(model).get_submodule(name)))


def trunk_names(model: nn.Module) -> tuple[str, ...]:
    """Returns all parts but the heads."""
    return tuple(name for name in part_names(model) if not name.startswith(f'{_HEADS}.'))


class FrozenParts:
    """Parts of a model that are not trained.

    Their parameters have no gradients, and their batch normalisation and the like stay in
    evaluation mode: their statistics do not move either. `nn.Module.train` knows nothing of
    that, so `hold` is called after it.

    Args:
        model: whose parts are frozen at once.
        parts: see `part_names`; 'heads' stands for all heads, 'trunk' for everything else.

    Raises:
        ConfigError: there is no such part, or nothing would be left to train; one line.
    """

    def __init__(self, model: nn.Module, parts: Iterable[str]) -> None:
        self.names = _resolved(model, parts)
        self._modules = [unwrapped(model).get_submodule(name) for name in self.names]
        self._were_trained = [
            parameter
            for module in self._modules
            for parameter in module.parameters()
            if parameter.requires_grad
        ]
        for parameter in self._were_trained:
            parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in unwrapped(model).parameters()):
            self.release()
            raise ConfigError(f'nothing is left to train with {", ".join(self.names)} frozen')
        self.hold()

    def hold(self) -> None:
        """Puts the parts into evaluation mode; to be called after every `model.train()`."""
        for module in self._modules:
            module.eval()

    def release(self) -> None:
        """Lets the parts be trained again, as before."""
        for parameter in self._were_trained:
            parameter.requires_grad_(True)


def take_parts(
    model: nn.Module, source: State, parts: Iterable[str], source_name: str = 'the base'
) -> tuple[str, ...]:
    """Copies parameters and statistics of parts out of another model, as for new heads on a trunk.

    Args:
        model: that gets them.
        source: tensors of the other model by name.
        parts: see `FrozenParts`.
        source_name: for errors.

    Returns:
        The parts that were not taken and keep their own weights.

    Raises:
        ConfigError: there is no such part; one line.
        ModelError: a part of the other model has other tensors; one line.
    """
    names = _resolved(model, parts)
    own = _of_parts(tensors_of(model), names)
    found = {name: tensor for name, tensor in _of_parts(source, names).items() if name in own}
    problem = misfit(found, own, 'the model')
    if problem:
        raise ModelError(f'{source_name}: {problem}')
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])
    return tuple(name for name in part_names(model) if name not in names)


def _of_parts(tensors: State, parts: Collection[str]) -> dict[str, torch.Tensor]:
    prefixes = tuple(f'{part}.' for part in parts)
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}


def _resolved(model: nn.Module, parts: Iterable[str]) -> tuple[str, ...]:
    """Returns the names that are meant, in the order of the model."""
    known, trunk = part_names(model), trunk_names(model)
    groups = {'trunk': trunk, _HEADS: tuple(name for name in known if name not in trunk)}
    wanted: set[str] = set()
    for part in parts:
        if part not in known and part not in groups:
            choices: Sequence[str] = (*groups, *known)
            proposal = nearest(part, choices, 'choose from')
            raise ConfigError(f"the model has no part '{part}'{proposal}")
        wanted |= set(groups.get(part, (part,)))
    return tuple(name for name in known if name in wanted)


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())
