"""The tensors of models by name, and whether those of several models fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from bev_perception.errors import ModelError

State = Mapping[str, Tensor]

_NAMES_SHOWN = 3


def unwrapped(model: nn.Module) -> nn.Module:
    """Returns the model inside a wrapper for several processes; itself without one."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        inner = model.module
        assert isinstance(inner, nn.Module)
        return inner
    return model


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Returns parameters and buffers by name, as they lie in the model.

    Buffers that do not belong to the weights (those that a state dict leaves out) are left out.
    """
    model = unwrapped(model)
    return {
        name: tensor.detach() for name, tensor in (*model.named_parameters(), *_buffers(model))
    }


def statistics_of(model: nn.Module) -> frozenset[str]:
    """Returns the names of what is not learned by gradients: the buffers."""
    return frozenset(name for name, _ in _buffers(unwrapped(model)))


def copied(tensor: Tensor) -> Tensor:
    """Returns a copy with the same strides, floating point in float32 at least."""
    if not tensor.is_floating_point():
        return tensor.detach().clone()
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32), copy=True)


def check_alike(states: Sequence[State], names: Sequence[str]) -> None:
    """Refuses states that are not of one network.

    Args:
        states: of models; all are compared with the first.
        names: of the models, for the error.

    Raises:
        ModelError: names or shapes differ; one line.
    """
    for state, name in zip(states[1:], names[1:], strict=True):
        problem = misfit(state, states[0], names[0])
        if problem:
            raise ModelError(f'{name}: {problem}')


def misfit(found: State, expected: State, source: str) -> str | None:
    """Returns what differs between two states in names or shapes, None if nothing does."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f'has no {_listed(missing)}, which {source} has'
    foreign = [name for name in found if name not in expected]
    if foreign:
        return f'has {_listed(foreign)}, which {source} has not'
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            shape, other = list(found[name].shape), list(tensor.shape)
            return f'{name} has shape {shape}, in {source} it is {other}'
    return None


def _buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    # Not by way of `state_dict`: where weights are sharded that gathers all of them.
    for place, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name not in module._non_persistent_buffers_set:
                yield f'{place}.{name}' if place else name, buffer


def _listed(names: Sequence[str]) -> str:
    more = f' and {len(names) - _NAMES_SHOWN} more' if len(names) > _NAMES_SHOWN else ''
    return ', '.join(names[:_NAMES_SHOWN]) + more
