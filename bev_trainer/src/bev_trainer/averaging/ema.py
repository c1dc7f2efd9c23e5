"""Exponential moving average of weights."""

from __future__ import annotations

from torch import nn

from bev_trainer.averaging.running import RunningAverage
from bev_trainer.averaging.tensors import State


class ExponentialAverage(RunningAverage):
    """average <- d * average + (1 - d) * weights after every step (Tarvainen and
    Valpola 2017, Mean Teacher, section 2).

    The decay warms up, d = min(decay, (1 + t) / (10 + t)) at the t-th step, as in
    `tf.train.ExponentialMovingAverage` (`num_updates`): early on, weights of a moment ago are no
    better than none.

    Args:
        model: see `RunningAverage`.
        decay: in the long run, in [0, 1).
        start: see `RunningAverage`.
    """

    def __init__(self, model: nn.Module, decay: float = 0.998, start: int = 0) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f'decay must be in [0, 1), got {decay}')
        super().__init__(model, start)
        self._decay = decay

    def decay(self, steps: int) -> float:
        """Returns the decay of an update so many steps after the burn-in."""
        return min(self._decay, (1.0 + steps) / (10.0 + steps))

    def _follow(self, current: State, steps: int) -> None:
        self._blend(current, 1.0 - self.decay(steps))
