"""Bias-corrected exponential moving average of weights (BEMA)."""

from __future__ import annotations

import torch
from torch import nn

from bev_trainer.averaging.running import RunningAverage
from bev_trainer.averaging.tensors import State, copied


class BiasCorrectedAverage(RunningAverage):
    """BEMA (Block and Zhang 2025, EMA Without the Lag, arXiv 2508.00180, algorithm 1).

    After a burn-in that ends at the weights w_0, at every `every`-th step t after it:

        beta_t = (lag + multiplier * t) ** -ema_power
        alpha_t = (lag + multiplier * t) ** -bias_power
        ema <- (1 - beta_t) * ema + beta_t * w_t
        result = ema + alpha_t * (w_t - w_0)

    The second term makes up for the lag of the first: on a quadratic bowl of curvature A around m
    the mean of t weights plus A^-1 (w_t - w_0) / t is m itself, whatever w_0 (the
    maximum-likelihood estimate of an Ornstein-Uhlenbeck process); alpha_t stands for A^-1 / t.
    It extrapolates away from w_0, so w_0 should be a decent model: the weights that are
    fine-tuned, or, in a training from scratch, those well after the warm-up.

    Only parameters are corrected: an extrapolated variance of batch normalisation may be
    negative. Buffers are averaged like `ema`.

    Args:
        model: see `RunningAverage`.
        decay: 1 - beta_t never exceeds it; 1: no such bound, as in the paper.
        ema_power: kappa in the paper; in [0, 1].
        bias_power: eta in the paper; large values switch the correction off.
        multiplier: gamma in the paper.
        lag: rho in the paper; at least 1, so that weights stay shares.
        start: tau in the paper, the burn-in.
        every: phi in the paper, steps between updates.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        decay: float = 1.0,
        ema_power: float = 0.5,
        bias_power: float = 0.2,
        multiplier: float = 1.0,
        lag: float = 10.0,
        start: int = 0,
        every: int = 1,
    ) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f'decay must be in [0, 1], got {decay}')
        if ema_power < 0.0 or bias_power < 0.0 or multiplier < 0.0:
            raise ValueError('ema_power, bias_power and multiplier must not be negative')
        if lag < 1.0 or every < 1:
            raise ValueError(f'lag and every must be at least 1, got {lag} and {every}')
        super().__init__(model, start)
        self._decay, self._multiplier, self._lag, self._every = decay, multiplier, lag, every
        self._ema_power, self._bias_power = ema_power, bias_power
        self._first = {
            name: copied(tensor)
            for name, tensor in self._average.items()
            if name not in self._statistics
        }
        self._corrected = {name: copied(tensor) for name, tensor in self._first.items()}
        self._stores |= {'first': self._first, 'corrected': self._corrected}

    def ema_weight(self, steps: int) -> float:
        """Returns beta_t, so many steps after the burn-in."""
        return max(self._age(steps) ** -self._ema_power, 1.0 - self._decay)

    def bias_weight(self, steps: int) -> float:
        """Returns alpha_t, so many steps after the burn-in."""
        return self._age(steps) ** -self._bias_power

    def _age(self, steps: int) -> float:
        return self._lag + self._multiplier * steps

    def _restart(self, current: State) -> None:
        super()._restart(current)
        for name, first in self._first.items():
            first.copy_(current[name])
            self._corrected[name].copy_(current[name])

    def _follow(self, current: State, steps: int) -> None:
        if steps % self._every:
            return
        self._blend(current, self.ema_weight(steps))
        alpha = self.bias_weight(steps)
        for name, first in self._first.items():
            value = current[name].to(first.device, first.dtype)
            torch.add(self._average[name], value - first, alpha=alpha, out=self._corrected[name])

    def _result(self) -> State:
        return self._average | self._corrected
