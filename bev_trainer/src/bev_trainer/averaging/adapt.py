"""Fine-tuning that does not go far from the model it began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from bev_perception.errors import ModelError
from bev_trainer.averaging.tensors import State, copied, unwrapped


@torch.no_grad()
def pull_towards(model: nn.Module, base: State, share: float) -> None:
    """Moves parameters by a share of the way to the base: w <- (1 - share) w + share w_base.

    That is the proximal step of the penalty lambda / 2 |w - w_base|^2 (Li, Grandvalet and Davoine
    2018, L2-SP), share = lambda / (1 + lambda), and a step on the line between a
    fine-tuned model and its base (Wortsman et al. 2022, WiSE-FT). Statistics of batch
    normalisation are those of the new data and stay. So do parameters that the base does not
    have, as of a new head, and frozen ones.

    Args:
        model: plain or wrapped for several processes.
        base: weights by name, in float32.
        share: from 0 (nothing happens) to 1 (the base again).
    """
    for name, parameter in _held(model, base):
        parameter.lerp_(base[name].to(parameter.device, parameter.dtype), share)


class PullToBase:
    """Pulls the weights towards those of the base from time to time in a training.

    What the optimiser remembers is left alone. Weights are a function of step and history only:
    a training that is resumed needs nothing but the same base.

    Args:
        base: weights by name, of the model that is adapted.
        share: of the way back, in [0, 1]; see `pull_towards`.
        every: steps of the optimiser between pulls.
    """

    def __init__(self, base: State, share: float, every: int = 1) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f'share must be in [0, 1], got {share}')
        if every < 1:
            raise ValueError(f'every must be at least 1, got {every}')
        self._base = {name: copied(tensor) for name, tensor in base.items()}
        self._share, self._every = share, every
        self._step = 0

    def check(self, model: nn.Module) -> None:
        """Refuses a base none of whose weights are in the model, or of other shapes.

        Raises:
            ModelError: one line.
        """
        if not _held(model, self._base):
            raise ModelError('the base has none of the parameters that are trained')

    def update(self, model: nn.Module, step: int) -> None:
        """Pulls, if it is time; a step that is not new changes nothing.

        Args:
            model: plain or wrapped for several processes.
            step: optimiser steps done so far.
        """
        if step <= self._step:
            return
        self._step = step
        if step % self._every == 0:
            pull_towards(model, self._base, self._share)

    def state_dict(self) -> dict[str, Any]:
        """Returns the last step; the base is loaded from its own folder."""
        return {'step': self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self._step = int(state['step'])


def _held(model: nn.Module, base: State) -> list[tuple[str, nn.Parameter]]:
    """Returns the trained parameters that the base has too.

    Raises:
        ModelError: one of them has another shape in the base.
    """
    held = []
    for name, parameter in unwrapped(model).named_parameters():
        if not parameter.requires_grad or name not in base:
            continue
        if base[name].shape != parameter.shape:
            raise ModelError(
                f'{name} has shape {list(parameter.shape)}, in the base it is '
                f'{list(base[name].shape)}'
            )
        held.append((name, parameter))
    return held
