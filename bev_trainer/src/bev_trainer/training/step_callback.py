"""Callbacks that act after steps of the optimiser, of which some take several passes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback


class StepCallback(Callback, ABC):
    """Calls `after_step` once per step of the optimiser.

    Lightning's hooks come after every forward pass, and after a resumed one the same step would
    be met again.
    """

    _step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Takes note of where the training stands."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Acts when the pass was the last one of a step."""
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            self.after_step(trainer, pl_module, self._step)

    @abstractmethod
    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Is called when `step` steps are done."""
