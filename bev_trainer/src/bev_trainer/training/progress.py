"""How far a training is, on a terminal."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from tqdm import tqdm

from bev_trainer.training.step_callback import StepCallback


class Progress(StepCallback):
    """A bar of steps with the loss; nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins the bar where the training stands."""
        super().on_train_start(trainer, pl_module)
        self._bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            unit='step',
            dynamic_ncols=True,
            smoothing=0.05,
            disable=None if trainer.is_global_zero else True,
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Shows the loss of a step's last pass."""
        assert self._bar is not None
        if not self._bar.disable and trainer.global_step > self._step:
            self._bar.set_postfix_str(f'loss {float(outputs["losses"]["total"]):.3g}', False)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Moves the bar."""
        assert self._bar is not None
        self._bar.update()

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.close()
