"""Model folders as evaluations load them."""

from __future__ import annotations

from pathlib import Path

import torch
from support.tiny_model import save_tiny_model, tiny_config

from bev_perception.evaluation import predictor as predictor_module
from bev_perception.evaluation.predictor import ModelPredictor
from bev_perception.model.bev_model import BevModel
from bev_perception.model.folder import load_model, save_model


def test_a_folder_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / 'tiny')
    predictor = ModelPredictor(folder)
    first = predictor.info().title
    assert first == load_model(folder).model_id
    assert predictor_module._loaded(folder) is predictor_module._loaded(folder)
    torch.manual_seed(4)
    config = tiny_config()
    save_model(folder, config, BevModel(config).eval(), overwrite=True)
    assert predictor.info().title == load_model(folder).model_id != first
