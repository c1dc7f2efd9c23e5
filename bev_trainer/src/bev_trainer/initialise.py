"""Fresh models: seeded weights in a complete model folder."""

from __future__ import annotations

from pathlib import Path

import torch

from bev_perception.model.config import AnyModelConfig
from bev_perception.model.folder import LoadedModel, load_model, save_model
from bev_perception.model.network import create_network


def untrained(config: AnyModelConfig, seed: int) -> AnyModelConfig:
    """Returns the description of the same network with seeded weights."""
    training = config.training.model_copy(
        update={
            'trained': False,
            'description': f'untrained: weights drawn from seed {seed}, outputs carry no meaning',
            'seed': seed,
            'steps': 0,
            'code': '',
            'data': (),
        }
    )
    return config.model_copy(update={'training': training})


def initialise(
    config: AnyModelConfig, seed: int, folder: Path, *, half: bool = False, overwrite: bool = False
) -> LoadedModel:
    """Writes a model folder with seeded weights and returns it as a user would load it.

    The same config and seed give the same bytes. The global random state is left as it was.

    Raises:
        ModelError: the folder exists without `overwrite`, or cannot be written.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_network(config)
    save_model(folder, untrained(config, seed), model, half=half, overwrite=overwrite)
    return load_model(folder)
