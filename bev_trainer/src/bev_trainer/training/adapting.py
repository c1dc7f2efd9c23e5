"""Trainings that stay near the model they began with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from bev_perception.model.bev_model import BevModel
from bev_trainer.averaging.adapt import PullToBase
from bev_trainer.averaging.parts import FrozenParts
from bev_trainer.averaging.tensors import State
from bev_trainer.config.sections import AdaptSection
from bev_trainer.training.step_callback import StepCallback


class Freezing(Callback):
    """Keeps parts of the model as they are, see `FrozenParts`.

    Args:
        model: whose parts are frozen.
        parts: by name.

    Raises:
        ConfigError: there is no such part, or nothing would be left to train.
    """

    def __init__(self, model: BevModel, parts: Iterable[str]) -> None:
        self._frozen = FrozenParts(model, parts)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Holds them in evaluation mode, whatever was done to the model in the meantime."""
        self._frozen.hold()


class Pulling(StepCallback):
    """Pulls the weights towards those of the beginning, see `PullToBase`.

    Args:
        base: weights by name.
        section: how far and how often.
    """

    def __init__(self, base: State, section: AdaptSection) -> None:
        self._pull = PullToBase(base, section.pull, section.pull_every)

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Refuses a base that is of another network."""
        super().on_train_start(trainer, pl_module)
        self._pull.check(pl_module.model)

    def after_step(self, trainer: pl.Trainer, pl_module: Any, step: int) -> None:
        """Pulls, if it is time."""
        self._pull.update(pl_module.model, step)

    def state_dict(self) -> dict[str, Any]:
        """Returns the last step."""
        return self._pull.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what `state_dict` returned."""
        self._pull.load_state_dict(state_dict)


def adapting(section: AdaptSection, model: BevModel) -> list[Callback]:
    """Returns what acts after each step, before averages are taken.

    Args:
        section: what is asked for.
        model: with the weights of the beginning.
    """
    found: list[Callback] = []
    if section.freeze:
        found.append(Freezing(model, section.freeze))
    if section.pull > 0:
        found.append(Pulling(model.state_dict(), section))
    return found
