"""Which frames of a clip are learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bev_trainer.config.train_config import load_train_config
from bev_trainer.losses.clip_step import mean_losses, run_clip
from bev_trainer.training.batches import training_batches, training_sources
from bev_trainer.training.module import ClipTraining
from bev_trainer.training.processes import Processes
from bev_trainer.training.run import create_model
from support.train_set import write_data_set, write_training
from torch import Tensor


@pytest.mark.parametrize('frames', ['all', 'last'])
def test_the_losses_are_those_of_the_frames_asked_for(tmp_path: Path, frames: str) -> None:
    data = write_data_set(tmp_path / 'data')
    path = write_training(tmp_path, data, loss={'frames': frames}, clip={'frames': 3})
    config = load_train_config(path)
    model = create_model(config).eval()
    sources = training_sources(config, model.config)
    batch = next(iter(training_batches(config, sources, Processes.here(), 0)))
    step = ClipTraining(model, config, {}).training_step(batch, 0)
    results = run_clip(model, batch.clip, config.loss.pos_weight)
    assert len(results) == 3
    expected = mean_losses(results if frames == 'all' else results[2:])
    assert set(expected) == set(step['losses']) - {'total'}
    for name, loss in expected.items():
        torch.testing.assert_close(step['losses'][name], loss, rtol=1e-4, atol=1e-5)
    first = mean_losses(results[:1])
    assert not torch.isclose(first['semantics'], step['losses']['semantics'], rtol=1e-3)


def test_a_training_without_a_step_left_starts_no_workers(tmp_path: Path) -> None:
    path = write_training(tmp_path, write_data_set(tmp_path / 'data'), run={'workers': 2})
    config = load_train_config(path)
    sources = training_sources(config, create_model(config).config)
    steps, processes = config.run.steps, Processes.here()
    found = [training_batches(config, sources, processes, n).num_workers for n in range(steps + 1)]
    assert found == [2] * steps + [0]


def test_the_past_has_gradients_where_the_last_frame_alone_is_learned_from(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / 'data')
    path = write_training(tmp_path, data, loss={'frames': 'last'}, clip={'frames': 2})
    config = load_train_config(path)
    model = create_model(config)
    sources = training_sources(config, model.config)
    batch = next(iter(training_batches(config, sources, Processes.here(), 0)))
    seen: list[Tensor] = []
    model.neck.register_forward_hook(lambda module, inputs, output: seen.append(output))
    loss = ClipTraining(model, config, {}).training_step(batch, 0)['loss']
    gradients = torch.autograd.grad(loss, seen)
    assert len(gradients) == 2 and all(part.abs().max() > 0 for part in gradients)
