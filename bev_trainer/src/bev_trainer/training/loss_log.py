"""Losses on their way into the log: means over steps, passes and processes."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, distributed

from bev_perception.errors import BevError
from bev_trainer.training.step_callback import StepCallback

TOTAL = 'total'


class LossLog(StepCallback):
    """Logs the means of the losses since the last line ('train/...'), and ends on NaN.

    The means are over all forward passes of all processes, so they are the same for two
    processes and for one with twice the accumulation, and for a training that was stopped.

    Args:
        names: of the losses.
        every: steps between lines.
    """

    def __init__(self, names: tuple[str, ...], every: int) -> None:
        self._names, self._every = (*names, TOTAL), every
        self._sums = torch.zeros(len(self._names), 2, dtype=torch.float64)
        self._since, self._steps_since, self._rate = time.monotonic(), 0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Goes on; what a checkpoint holds is that of all processes."""
        super().on_train_start(trainer, pl_module)
        self._sums = self._sums.to(pl_module.device)
        if not trainer.is_global_zero:
            self._sums.zero_()
        self._since, self._steps_since = time.monotonic(), trainer.global_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes note of the learning rate; after the pass it is that of the next step."""
        self._rate = float(trainer.optimizers[0].param_groups[0]['lr'])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes in a pass."""
        losses: dict[str, Tensor] = outputs['losses']
        for row, name in enumerate(self._names):
            if name in losses:
                self._sums[row, 0] += losses[name].detach()
                self._sums[row, 1] += 1.0
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Logs when it is time."""
        if step % self._every and step != trainer.max_steps:
            return
        means = self._means()
        self._sums.zero_()
        now = time.monotonic()
        figures = {f'train/{name}': mean for name, mean in means.items()}
        figures['train/rate'] = self._rate
        figures['train/step_s'] = (now - self._since) / max(step - self._steps_since, 1)
        self._since, self._steps_since = now, step
        for logger in trainer.loggers:
            logger.log_metrics(figures, step)

    def state_dict(self) -> dict[str, Any]:
        """Returns what has not been logged yet; all processes have to call it.

        Raises:
            BevError: a loss is not finite: such a training is not to be kept.
        """
        total = self._total()
        self._require_finite(total)
        return {'sums': total.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with what a checkpoint holds."""
        self._sums = torch.tensor(state_dict['sums'], dtype=torch.float64)

    def _means(self) -> dict[str, float]:
        """Returns the mean of every loss that there was."""
        total = self._total()
        self._require_finite(total)
        return {
            name: loss / count
            for name, (loss, count) in zip(self._names, total.tolist(), strict=True)
            if count > 0
        }

    def _require_finite(self, total: Tensor) -> None:
        wrong = (~torch.isfinite(total[:, 0])).nonzero().flatten().tolist()
        if wrong:
            raise BevError(
                f"loss '{self._names[wrong[0]]}' is not a finite number in step {self._step} or "
                'shortly before; go on from the last checkpoint with a lower optimiser.rate or '
                'with run.precision 32-true'
            )

    def _total(self) -> Tensor:
        """Returns the sums over all processes."""
        sums = self._sums.clone()
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        return sums
