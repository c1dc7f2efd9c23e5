"""A training from its file to checkpoints, resumable at any step."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Sampler

from bev_perception.errors import ConfigError
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import load_model_config, own_family
from bev_perception.model.folder import load_model
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip_stream import Draw, DrawOrder, StepSampler, loader
from bev_trainer.training.averages import Averaging
from bev_trainer.training.module import ClipTraining
from bev_trainer.training.sources import open_sources

LAST = 'last.ckpt'


def train(config: TrainConfig, folder: Path, resume: bool) -> ClipTraining:
    """Trains, or goes on where a training in the folder stopped; returns what it came to.

    Args:
        config: what is asked for.
        folder: for checkpoints and logs.
        resume: go on from `last.ckpt`.

    Raises:
        BevError: model or data cannot be used.
    """
    _quiet()
    checkpoint = folder / LAST
    if checkpoint.exists() != resume:
        raise ConfigError(
            f'{folder}: holds a training already; add --resume or choose another folder'
            if checkpoint.exists()
            else f'{folder}: holds no {LAST} to go on from; leave out --resume'
        )
    pl.seed_everything(config.run.seed, workers=True, verbose=False)
    training = ClipTraining(create_model(config), config)
    trainer = make_trainer(config, folder)
    passes = _passes_done(checkpoint, trainer) if resume else 0
    trainer.fit(
        training,
        _training_data(config, training.model, trainer, passes),
        _validation_data(config, training.model),
        ckpt_path=str(checkpoint) if resume else None,
        weights_only=False,
    )
    trainer.save_checkpoint(checkpoint)
    return training


def create_model(config: TrainConfig) -> BevModel:
    """Returns the network: that of a model folder, or a fresh one that the seed decides."""
    path = config.model
    if path.is_dir() and (path / 'weights.safetensors').is_file():
        loaded = load_model(path)
        own_family(loaded.config)
        model = loaded.model.requires_grad_(True).train()
        assert isinstance(model, BevModel)
        return model
    file = path / 'model.yaml' if path.is_dir() else path
    description = own_family(load_model_config(file))
    torch.manual_seed(config.run.seed)
    return BevModel(description)


def make_trainer(config: TrainConfig, folder: Path, **options: Any) -> pl.Trainer:
    """Returns lightning's trainer: one process, or as many as torchrun has started."""
    run, check = config.run, config.check
    world = int(_environment('WORLD_SIZE', '1'))
    accumulate, rest = divmod(run.accumulate, world)
    if rest:
        raise ConfigError(
            f'run.accumulate = {run.accumulate} is not a multiple of the {world} processes'
        )
    callbacks: list[Callback] = [
        ModelCheckpoint(
            dirpath=folder,
            filename='last',
            every_n_train_steps=check.save_every_steps,
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        ),
        TQDMProgressBar(refresh_rate=10),
    ]
    if config.average.kind != 'none':
        callbacks.append(Averaging(config.average))
    return pl.Trainer(
        **{
            'default_root_dir': folder,
            'accelerator': 'auto',
            'devices': int(_environment('LOCAL_WORLD_SIZE', '1')),
            'num_nodes': max(1, world // int(_environment('LOCAL_WORLD_SIZE', '1'))),
            'strategy': 'auto' if world == 1 else 'ddp',
            'precision': run.precision,
            'max_steps': run.steps,
            'max_epochs': -1,
            'accumulate_grad_batches': accumulate,
            'gradient_clip_val': config.optimiser.clip_norm,
            'val_check_interval': check.every_steps * accumulate,
            'check_val_every_n_epoch': None,
            'num_sanity_val_steps': 0,
            'use_distributed_sampler': False,
            'log_every_n_steps': 10,
            'logger': CSVLogger(folder, name='', version='log', flush_logs_every_n_steps=10),
            'callbacks': callbacks,
            'enable_model_summary': False,
            **options,
        }
    )


def _passes_done(checkpoint: Path, trainer: pl.Trainer) -> int:
    content = torch.load(checkpoint, map_location='cpu', weights_only=False)
    return int(content['global_step']) * trainer.accumulate_grad_batches


def _training_data(
    config: TrainConfig, model: BevModel, trainer: pl.Trainer, passes: int
) -> DataLoader[Any]:
    sources = open_sources(config.data, model.config, config.clip, config.augment, config.run.seed)
    order = DrawOrder(
        [source.clips for source in sources],
        [section.weight for section in config.data],
        config.run.seed,
    )
    sampler = StepSampler(
        order,
        config.run.batch,
        config.clip.near_share,
        trainer.global_rank,
        trainer.world_size,
        passes,
    )
    return loader(sources, sampler, config.run.workers)


class _Spread(Sampler[list[Draw]]):
    """The same clips of all sources every time, in batches."""

    def __init__(self, clips: list[int], wanted: int, batch: int) -> None:
        places = [(s, c) for s, count in enumerate(clips) for c in range(count)]
        rows = np.unique(np.linspace(0, len(places) - 1, min(wanted, len(places))).round())
        draws = [Draw(n, *places[int(row)], None) for n, row in enumerate(rows)]
        self._batches = [draws[at : at + batch] for at in range(0, len(draws), batch)]

    def __iter__(self) -> Any:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def _validation_data(config: TrainConfig, model: BevModel) -> DataLoader[Any] | None:
    if not config.validation:
        return None
    sources = open_sources(config.validation, model.config, config.clip)
    sampler = _Spread([s.clips for s in sources], config.check.clips, config.run.batch)
    return loader(sources, sampler, config.run.workers)


def _environment(name: str, otherwise: str) -> str:
    import os

    return os.environ.get(name, otherwise)


def _quiet() -> None:
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    warnings.filterwarnings('ignore', module='lightning')
