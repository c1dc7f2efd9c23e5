"""Ctrl-C and SIGTERM: the step is finished, a checkpoint is written, and it ends."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from bev_trainer.training.checkpoint import Saving
from bev_trainer.training.step_callback import StepCallback

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ECHO_S = 2.0  # torchrun passes on what the terminal has sent to all processes already


class Stopped(Exception):
    """A training was asked to end, and its checkpoint is written.

    Args:
        number: of the signal; 0 where another process got it.
        step: steps that are done.
    """

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f'stopped after step {step}')
        self.number, self.step = number, step


class Stopping(StepCallback):
    """Ends a training between two steps when it is asked to.

    All processes end after the same step, whichever of them got the signal. Who presses Ctrl-C
    once more does not wait for that.

    Args:
        saving: writes the checkpoint.
    """

    def __init__(self, saving: Saving) -> None:
        self._saving, self._number, self._at_s = saving, 0, 0.0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether this process has been asked to end."""
        return self._number != 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Takes over the signals; lightning has set its own handlers by now."""
        super().on_train_start(trainer, pl_module)
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)

    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Ends the training if any process has been asked to.

        Raises:
            Stopped: it has.
        """
        self.end_if_asked(trainer)

    def end_if_asked(self, trainer: pl.Trainer) -> None:
        """Is to be called by all processes at the same place, between steps.

        Raises:
            Stopped: one of them has been asked to end.
        """
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            if self._saving.saved != trainer.global_step:
                self._saving.save(trainer)
            raise Stopped(self._number, trainer.global_step)

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Gives the signals back."""
        self._give_back()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Gives the signals back."""
        self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if self._number == 0:
            self._number, self._at_s = number, now_s
        elif number == signal.SIGINT and now_s > self._at_s + _ECHO_S:
            raise KeyboardInterrupt

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
