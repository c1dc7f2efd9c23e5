"""A model small enough to run many times a second on one core, saved as a real model folder."""

from __future__ import annotations

from pathlib import Path

import torch

from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import ModelConfig
from bev_perception.model.folder import save_model
from support.nano import nano_description


def tiny_config() -> ModelConfig:
    """Returns a narrow network on a grid that is neither square nor centred."""
    data = nano_description()
    data['name'] = 'tiny'
    data['input'].update(width=64, height=48)
    data['grid'].update(x_m=[-12.0, 20.0], y_m=[-12.0, 12.0], resolution_m=2.0)
    data['neck']['channels'] = 16
    data['depth'].update(min_m=1.0, max_m=25.0, bins=16)
    data['view_transform']['channels'] = 8
    data['memory']['channels'] = 8
    data['bev_encoder'].update(widths=[8, 12], channels=8)
    for head in ('occupancy', 'objects', 'motion', 'trajectories'):
        data['heads'][head]['channels'] = 8
    for head in ('occupancy', 'objects', 'motion'):
        data['heads'][head]['grid'] = data['grid'] | {'resolution_m': 1.0}
    data['heads']['objects'].update(score_threshold=0.05, max_objects=20)
    return ModelConfig.model_validate(data)


def save_tiny_model(folder: Path, seed: int = 3) -> Path:
    """Writes the tiny model with seeded weights; returns its folder."""
    config = tiny_config()
    torch.manual_seed(seed)
    save_model(folder, config, BevModel(config).eval())
    return folder
