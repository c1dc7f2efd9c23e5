"""A training file: model, data, and how the one is made from the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from bev_perception.config_file import dotted_wording, mapping_of, read_config, validated
from bev_perception.model.config_sections import Section
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import (
    AdaptSection,
    AverageSection,
    CheckSection,
    ClipSection,
    DataSection,
    LossSection,
    OptimiserSection,
    RunSection,
    decay_steps,
)


class TrainConfig(Section):
    """Content of a training file; paths are relative to it.

    Attributes:
        model: `model.yaml` of the network to make, or a model folder to begin with.
        data: what is trained on, mixed by weight.
        validation: what the model is looked at on.
    """

    model: Path
    data: tuple[DataSection, ...] = Field(min_length=1)
    validation: tuple[DataSection, ...] = ()
    run: RunSection
    clip: ClipSection = ClipSection()
    optimiser: OptimiserSection = OptimiserSection()
    augment: AugmentSection = AugmentSection()
    loss: LossSection = LossSection()
    average: AverageSection = AverageSection()
    adapt: AdaptSection = AdaptSection()
    check: CheckSection = CheckSection()

    @model_validator(mode='after')
    def _rate_is_reached(self) -> TrainConfig:
        optimiser, steps = self.optimiser, self.run.steps
        decay = decay_steps(optimiser, steps) if optimiser.schedule == 'wsd' else 1
        if optimiser.warmup_steps + decay > steps:
            raise ValueError(
                f'optimiser.warmup_steps = {optimiser.warmup_steps} and {decay} steps of decay '
                f'do not go into run.steps = {steps}'
            )
        return self


def load_train_config(path: Path) -> TrainConfig:
    """Returns a training file with its paths made absolute.

    Raises:
        ConfigError: unreadable, not YAML, or a key is missing, unknown or impossible; one line.
    """
    config = parse_train_config(read_config(path, 'the training file'), str(path))
    base = path.resolve().parent
    return config.model_copy(
        update={
            'model': base / config.model,
            'data': tuple(_absolute(item, base) for item in config.data),
            'validation': tuple(_absolute(item, base) for item in config.validation),
        }
    )


def parse_train_config(text: str, source: str) -> TrainConfig:
    """Returns the training that YAML `text` describes; `source` names it in errors.

    Raises:
        ConfigError: see `load_train_config`.
    """
    return train_config_of(mapping_of(text, source), source)


def train_config_of(content: dict[str, Any], source: str) -> TrainConfig:
    """Returns the training that plain values describe; `source` names them in errors.

    Raises:
        ConfigError: a key is missing, unknown or impossible; one line.
    """
    return validated(TrainConfig, content, source, dotted_wording('the training'))


def _absolute(item: DataSection, base: Path) -> DataSection:
    return item.model_copy(update={'path': base / item.path})
