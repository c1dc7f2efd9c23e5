"""From the arms of a study to training files and model folders that commands can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bev_perception.config_file import mapping_of, read_config
from bev_perception.errors import ConfigError
from bev_perception.model.config import own_family, parse_model_config
from bev_trainer.config.train_config import TrainConfig, load_train_config, train_config_of
from bev_trainer.study.plan import ArmSection, StudyConfig, slug
from bev_trainer.training.record import plain

TRAINING_FILE = 'train.yaml'
MODEL_FILE = 'model.yaml'


@dataclass(frozen=True)
class Training:
    """A training of a study.

    Attributes:
        folder: that holds all of it.
        config: content of its training file, with absolute paths.
        model: text of its `model.yaml`; None: the model of the shared training file as it is.
    """

    folder: Path
    config: dict[str, Any]
    model: str | None

    @property
    def run(self) -> Path:
        """Returns the folder that `bev-trainer train` writes to."""
        return self.folder / 'run'

    @property
    def exported(self) -> Path:
        """Returns the model folder."""
        return self.folder / 'model'

    def parsed(self) -> TrainConfig:
        """Returns the training; its model must be written before it can be made.

        Raises:
            ConfigError: it is impossible.
        """
        return train_config_of(self.config, str(self.folder / TRAINING_FILE))

    def files(self) -> dict[Path, str]:
        """Returns the content of the files that the training needs."""
        found = {self.folder / TRAINING_FILE: yaml.safe_dump(self.config, sort_keys=False)}
        if self.model is not None:
            found[self.folder / MODEL_FILE] = self.model
        return found


def trainings_of(study: StudyConfig, out: Path) -> dict[tuple[str, int], Training]:
    """Returns the trainings of a study by arm and seed, all of them checked.

    Raises:
        ConfigError: the shared training file or what an arm makes of it cannot be used.
    """
    base = load_train_config(study.training)
    description = _description(base.model)
    return {
        (name, seed): _training(name, arm, seed, base, description, out)
        for name, arm in study.arms.items()
        if arm.of is None
        for seed in study.seeds
    }


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns plain values with changes: sections key by key, all else put in its place."""
    found = dict(content)
    for key, value in changes.items():
        before = found.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = merged(before, value)
        found[key] = value
    return found


def _description(model: Path) -> dict[str, Any] | None:
    """Returns `model.yaml` as plain values; None for a folder with weights to begin with."""
    if (model / 'weights.safetensors').is_file():
        return None
    file = model / MODEL_FILE if model.is_dir() else model
    text = read_config(file, 'the model description')
    own_family(parse_model_config(text, str(file)))
    return mapping_of(text, str(file))


def _training(
    name: str,
    arm: ArmSection,
    seed: int,
    base: TrainConfig,
    description: dict[str, Any] | None,
    out: Path,
) -> Training:
    folder = out / 'arms' / slug(name) / f'seed_{seed}'
    content = merged(plain(base), arm.training)
    content['run'] = {**content['run'], 'seed': seed}
    model = None
    if description is not None:
        changed = {**merged(description, arm.model), 'name': f'{slug(name)}_{seed}'}
        model = yaml.safe_dump(changed, sort_keys=False)
        own_family(parse_model_config(model, f"arm '{name}'"))
        content['model'] = str(folder / MODEL_FILE)
    elif arm.model:
        raise ConfigError(
            f"arm '{name}': 'model' changes a network that has weights already; let the training "
            f'file name a model.yaml'
        )
    train_config_of(content, f"arm '{name}'")
    return Training(folder, content, model)
