"""From a training file to the batches of a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader

from bev_perception.model.config import ModelConfig
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.clip_stream import DrawOrder, EvenSampler, StepSampler, loader
from bev_trainer.data.sources import open_sources
from bev_trainer.training.processes import Processes


def training_sources(config: TrainConfig, network: ModelConfig) -> list[ClipSource]:
    """Returns where the clips of a training come from, with all targets that it asks for."""
    return open_sources(
        config.data,
        network,
        config.clip,
        config.augment,
        config.run.seed,
        views=config.loss.perspective,
        max_bad_share=config.run.max_bad_share,
    )


def training_batches(
    config: TrainConfig, sources: Sequence[ClipSource], processes: Processes, step: int
) -> DataLoader[Any]:
    """Returns the batches of this process, from the passes after `step` steps on, without end.

    A training that has no step left gets no workers: ended while they start, they abort.
    """
    order = DrawOrder(
        [source.clips for source in sources],
        [section.weight for section in config.data],
        config.run.seed,
    )
    sampler = StepSampler(
        order,
        config.run.batch,
        config.clip.near_share,
        processes.rank,
        processes.world,
        step * processes.share(config.run.accumulate),
    )
    return loader(sources, sampler, config.run.workers if step < config.run.steps else 0)


def validation_sources(config: TrainConfig, network: ModelConfig) -> list[ClipSource]:
    """Returns where the clips come from that the model is looked at on; may be none."""
    if not config.validation:
        return []
    share = config.run.max_bad_share
    return open_sources(config.validation, network, config.clip, max_bad_share=share)


def validation_batches(
    config: TrainConfig, sources: Sequence[ClipSource], processes: Processes
) -> DataLoader[Any] | tuple[()]:
    """Returns the share of this process in the validation clips; empty if there are none."""
    if not sources:
        return ()
    sampler = EvenSampler(
        [source.clips for source in sources],
        config.check.clips,
        config.run.batch,
        processes.rank,
        processes.world,
    )
    return loader(sources, sampler, config.run.workers)
