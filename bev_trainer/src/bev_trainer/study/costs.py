"""What the arms of a study cost: training steps, frames on the vehicle, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch.optim import Optimizer

from bev_perception.model.bev_model import BevModel
from bev_trainer.averaging.modes import evaluating
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_stream import Batch
from bev_trainer.training.batches import training_sources
from bev_trainer.training.memory import a_large_clip, peak_bytes, precision_of
from bev_trainer.training.module import ClipTraining
from bev_trainer.training.run import create_model

_CPU = torch.device('cpu')
_ROUNDS = 5


@dataclass(frozen=True)
class Cost:
    """What an arm costs on this computer.

    Attributes:
        step_s: of a training step, without the making of its clips.
        frame_s: of the network for one frame of the largest rig, batch 1, as a vehicle runs it.
        peak_bytes: memory of the training process at most.
    """

    step_s: float
    frame_s: float
    peak_bytes: int


def measure_costs(configs: Mapping[str, TrainConfig], rounds: int = _ROUNDS) -> dict[str, Cost]:
    """Returns the costs by arm: the least of rounds in which each arm has its turn.

    What else the computer does can only add to a time, and meets all arms alike.

    Args:
        configs: trainings, whose models are made anew.
        rounds: after a first one that does not count.
    """
    tried = {name: _Tried(config) for name, config in configs.items()}
    steps = _in_turns({name: item.step for name, item in tried.items()}, rounds)
    frames = _in_turns({name: item.frame for name, item in tried.items()}, rounds)
    del tried
    return {
        name: Cost(steps[name], frames[name], peak_bytes(config, config.run.batch)[1])
        for name, config in configs.items()
    }


def _in_turns(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Returns the least seconds of each piece of work."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, do in work.items():
            begin = time.perf_counter()
            do()
            if turn:
                times[name].append(time.perf_counter() - begin)
    return {name: min(found) for name, found in times.items()}


class _Tried:
    """A training of which single steps and single frames can be done."""

    def __init__(self, config: TrainConfig) -> None:
        self._config, model = config, create_model(config)
        self._clip = a_large_clip(training_sources(config, model.config))
        self._batch = Batch(Clip.collate([self._clip] * config.run.batch))
        self._training = ClipTraining(model, config, {})
        self._optimiser: Optimizer = self._training.configure_optimizers()['optimizer']

    def step(self) -> None:
        self._optimiser.zero_grad()
        for _ in range(self._config.run.accumulate):
            with precision_of(self._config, _CPU):
                loss = self._training.training_step(self._batch, 0)['loss']
            loss.backward()
        self._optimiser.step()

    @torch.no_grad()
    def frame(self) -> None:
        seen = len(self._clip.frames) if self._config.loss.frames == 'last' else 1
        with evaluating(self._training.model):
            predict(self._training.model, self._clip, seen)


def predict(model: BevModel, clip: Clip, seen: int) -> None:
    """Predicts for the last frame of a clip.

    Args:
        model: network.
        clip: of which the last frames are seen.
        seen: how many of them: 1 for a network that remembers, more for one that sees the past
            again with every frame. What is remembered of earlier frames has the size of one that
            is empty.
    """
    state = None
    for frame in clip.frames[-seen:]:
        features = model.encode(frame.images, frame.camera_mask)
        lifted = model.lift(features, frame.camera_mask, clip.matrices)
        bev, state = model.remember(lifted, state, frame.motion)
    model.decode(model.bev_encoder(bev), model.heads.names)
