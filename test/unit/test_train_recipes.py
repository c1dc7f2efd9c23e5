"""The training files that the model that ships was trained with."""

from __future__ import annotations

from os.path import normpath
from pathlib import Path

from bev_trainer.config.train_config import TrainConfig, load_train_config
from bev_trainer.training.adapting import adapting
from bev_trainer.training.run import create_model

REPO = Path(__file__).resolve().parents[2]
RECIPES = REPO / 'bev_trainer' / 'recipes'


def recipe(name: str) -> TrainConfig:
    config = load_train_config(RECIPES / f'{name}.yaml')
    for section, split in ((config.data, 'train'), (config.validation, 'val')):
        assert [(normpath(item.path), item.split) for item in section] == [
            (str(REPO / 'data' / 'world_200'), split)
        ]
    return config


def test_nano_is_trained_from_the_description_that_ships() -> None:
    config = recipe('nano')
    assert config.model.resolve() == REPO / 'models' / 'nano' / 'model.yaml'
    model = create_model(config)
    assert not model.config.training.trained and model.config.name == 'nano'


def test_the_trajectories_of_nano_are_trained_alone() -> None:
    config = recipe('nano_trajectories')
    model = create_model(config.model_copy(update={'model': REPO / 'models' / 'nano'}))
    assert len(adapting(config.adapt, model)) == 1
    learned = {name for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert learned and all(name.startswith('heads.trajectories.') for name in learned)
