"""What the averages that go along with a training have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from bev_perception.errors import ModelError
from bev_trainer.averaging.tensors import State, copied, misfit, statistics_of, tensors_of


class RunningAverage(ABC):
    """An average of the weights along a training.

    Parameters and floating-point buffers (batch-norm statistics among them) are averaged, in
    float32 at least; whole numbers (batches seen) are those of the last update. With several
    processes all must call `update` at the same steps: statistics of normalisation differ between
    them and are averaged over them first, so that every process has the same average.

    Args:
        model: at the beginning; the average lies on the same device.
        start: up to this step the average is the weights themselves (burn-in).

    Attributes:
        step: of the last update.
    """

    def __init__(self, model: nn.Module, start: int = 0) -> None:
        if start < 0:
            raise ValueError(f'start must not be negative, got {start}')
        self.step = 0
        self._start = start
        self._statistics = statistics_of(model)
        self._average = {name: copied(tensor) for name, tensor in tensors_of(model).items()}
        self._stores = {'average': self._average}  # all that changes, by name

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after a step of the optimiser.

        Args:
            model: plain or wrapped for several processes.
            step: optimiser steps done so far. One that is not new changes nothing, so the call
                may come after every batch of an accumulated step.
        """
        if step <= self.step:
            return
        self.step = step
        current = self._current(model)
        if step <= self._start:
            self._restart(current)
        else:
            self._follow(current, step - self._start)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[nn.Module]:
        """Yields the model with the average in it; afterwards it is as before, bit by bit.

        What happens to the weights in the meantime is lost. The tensors stay where they are:
        optimisers and wrappers that hold them see the same ones.
        """
        live = tensors_of(model)
        kept = {name: tensor.clone() for name, tensor in live.items()}
        _copy(self._result(), live)
        try:
            yield model
        finally:
            _copy(kept, live)

    def state_dict(self) -> dict[str, Any]:
        """Returns all that a training needs to go on as if it had not stopped."""
        return {'step': self.step} | {name: dict(store) for name, store in self._stores.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned.

        Raises:
            ModelError: it is of another network, or of another kind of average.
        """
        for name, store in self._stores.items():
            if name not in state:
                raise ModelError('the checkpoint holds another kind of average of weights')
            problem = misfit(state[name], store, 'the model')
            if problem:
                raise ModelError(f'average of weights in the checkpoint: {problem}')
        for name, store in self._stores.items():
            _copy(state[name], store)
        self.step = int(state['step'])

    def to(self, device: torch.device | str) -> None:
        """Moves the average, best to where the model is."""
        for store in self._stores.values():
            store.update({name: tensor.to(device) for name, tensor in store.items()})

    @abstractmethod
    def _follow(self, current: State, steps: int) -> None:
        """Takes in weights, `steps` after the burn-in."""

    def _restart(self, current: State) -> None:
        """Begins anew at these weights."""
        _copy(current, self._average)

    def _result(self) -> State:
        """Returns what goes into the model."""
        return self._average

    def _blend(self, current: State, weight: float) -> None:
        """Moves the average towards weights by a share of the difference."""
        for name, average in self._average.items():
            value = current[name].to(average.device, average.dtype)
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:
                average.copy_(value)

    def _current(self, model: nn.Module) -> dict[str, Tensor]:
        """Returns the tensors of the model, the statistics averaged over all processes."""
        tensors = tensors_of(model)
        names = [name for name in tensors if name in self._statistics]
        names = [name for name in names if tensors[name].is_floating_point()]
        if names and distributed.is_available() and distributed.is_initialized():
            tensors |= _mean_over_processes({name: tensors[name] for name in names})
        return tensors


@torch.no_grad()
def _copy(source: State, target: State) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])


def _mean_over_processes(tensors: State) -> dict[str, Tensor]:
    """Returns the mean of float tensors over all processes, in one exchange."""
    flat = torch.cat([tensor.flatten().float() for tensor in tensors.values()])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    parts = flat.split([tensor.numel() for tensor in tensors.values()])
    return {
        name: part.view(tensor.shape)
        for (name, tensor), part in zip(tensors.items(), parts, strict=True)
    }
