"""Average weights along a training: kept, validated and exported in place of the last ones."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import nn

from bev_trainer.averaging.bema import BiasCorrectedAverage
from bev_trainer.averaging.ema import ExponentialAverage
from bev_trainer.averaging.running import RunningAverage
from bev_trainer.config.sections import AverageSection


def create_average(section: AverageSection, model: nn.Module) -> RunningAverage:
    """Returns the average that a section asks for, beginning at the weights as they are."""
    if section.kind == 'bema':
        return BiasCorrectedAverage(model, decay=section.decay, start=section.start)
    return ExponentialAverage(model, section.decay, section.start)


class Averaging(Callback):
    """Updates the average after every step, and lends it for validation.

    Args:
        section: which average.
    """

    def __init__(self, section: AverageSection) -> None:
        self._section = section
        self._average: RunningAverage | None = None
        self._loaded: dict[str, Any] | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins, or goes on with what a checkpoint holds."""
        self._average = create_average(self._section, pl_module.model)
        if self._loaded is not None:
            self._average.load_state_dict(self._loaded)
        self._average.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes in the weights of a finished step."""
        assert self._average is not None
        self._average.update(pl_module.model, trainer.global_step)

    def applied(self, model: nn.Module) -> AbstractContextManager[nn.Module]:
        """Returns a context in which the model has the average for weights."""
        return nullcontext(model) if self._average is None else self._average.applied(model)

    def state_dict(self) -> dict[str, Any]:
        """Returns the average, for checkpoints."""
        return {} if self._average is None else self._average.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps what a checkpoint holds until the training begins."""
        self._loaded = state_dict or None
