"""A training from its file to a checkpoint, resumable at any step."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy, Strategy

from bev_perception.errors import ConfigError
from bev_perception.files import make_folder, write_atomically
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import load_model_config, own_family
from bev_perception.model.folder import load_model
from bev_trainer.config.sections import AdaptSection
from bev_trainer.config.train_config import TrainConfig
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.clip_stream import Batch
from bev_trainer.initialise import untrained
from bev_trainer.training.adapting import adapting
from bev_trainer.training.averages import Averaging
from bev_trainer.training.batches import (
    training_batches,
    training_sources,
    validation_batches,
    validation_sources,
)
from bev_trainer.training.calibrate import reset_calibration, without_fits
from bev_trainer.training.checkpoint import LAST, Saving, WholeFiles, read_checkpoint
from bev_trainer.training.left_out import LeftOut
from bev_trainer.training.log_files import create_loggers
from bev_trainer.training.loss_log import LossLog
from bev_trainer.training.module import ClipTraining
from bev_trainer.training.norm_sync import NormSync
from bev_trainer.training.outcome import Outcome
from bev_trainer.training.processes import Processes
from bev_trainer.training.progress import Progress
from bev_trainer.training.record import RunRecord, record_of
from bev_trainer.training.stopping import Stopped, Stopping
from bev_trainer.training.validation import Validation

PICTURES = 'pictures'
CONFIG_FILE = 'train.yaml'


def train(config: TrainConfig, folder: Path, resume: bool) -> Outcome:
    """Trains, or goes on where a training in the folder stopped.

    Args:
        config: what is asked for.
        folder: for checkpoints, logs and pictures.
        resume: go on from `last.ckpt`.

    Raises:
        BevError: model or data cannot be used.
    """
    _quiet()
    checkpoint, processes = folder / LAST, Processes.here()
    begun, step = _begun(checkpoint, resume)
    pl.seed_everything(config.run.seed, workers=True, verbose=False)
    model = create_model(config)
    sources = training_sources(config, model.config)
    held_out = validation_sources(config, model.config)
    record = record_of(config, model.config, sources)
    if begun is not None:
        record = record.going_on(begun, str(checkpoint))
    left_out = LeftOut(config.run.batch, config.run.max_bad_share)
    training = ClipTraining(model, config, record.dump())
    looked_at = validation_batches(config, held_out, processes)
    watching = _watching(config, training, looked_at, folder)
    trainer = make_trainer(
        config,
        processes,
        default_root_dir=folder,
        logger=create_loggers(folder, step),
        callbacks=[left_out, NormSync(), *adapting(config.adapt, model), *watching],
    )
    if processes.rank == 0:
        _write_config(folder, record)
    ended_by = None
    try:
        trainer.fit(
            training,
            training_batches(config, sources, processes, step),
            ckpt_path=str(checkpoint) if resume else None,
            weights_only=True,
        )
    except Stopped as stopped:
        ended_by = stopped.number
    validation = next(item for item in watching if isinstance(item, Validation))
    outcome = Outcome(
        trainer.global_step,
        ended_by,
        _problems(config, sources, held_out),
        left_out.reasons,
        left_out.parts,
        validation.problems,
        validation.lost,
    )
    if processes.rank == 0:
        outcome.write(folder)
    return outcome


def _problems(
    config: TrainConfig, sources: Sequence[ClipSource], held_out: Sequence[ClipSource]
) -> tuple[str, ...]:
    """Returns what of the recordings no clip is made of, one line each."""
    sections = zip((*config.data, *config.validation), (*sources, *held_out), strict=True)
    lines = (f'{section.path}: {p}' for section, source in sections for p in source.problems)
    return tuple(dict.fromkeys(lines))


def _watching(
    config: TrainConfig, training: ClipTraining, looked_at: Iterable[Batch], folder: Path
) -> list[Callback]:
    """Returns what comes after each step, in this order."""
    saving = Saving(folder, _saving_steps(config))
    stopping = Stopping(saving)
    averaging = None if config.average.kind == 'none' else Averaging(config.average)
    validation = Validation(
        looked_at,
        _validation_steps(config),
        averaging,
        saving,
        stopping,
        folder / PICTURES,
    )
    log = LossLog(training.losses, config.check.log_every_steps)
    others: list[Callback] = [log, saving, validation, stopping, Progress()]
    return others if averaging is None else [averaging, *others]


def create_model(config: TrainConfig) -> BevModel:
    """Returns the network: that of a model folder, or a fresh one that the seed decides."""
    path = config.model
    if path.is_dir() and (path / 'weights.safetensors').is_file():
        loaded = load_model(path)
        own_family(loaded.config)
        model = loaded.model.requires_grad_(True).train()
        assert isinstance(model, BevModel)
        reset_calibration(model)
        model.config = without_fits(model.config)
        return model
    if config.adapt != AdaptSection():
        raise ConfigError(f"{path}: 'adapt' needs a model folder with weights to begin with")
    file = path / 'model.yaml' if path.is_dir() else path
    seed = config.run.seed
    description = without_fits(own_family(untrained(load_model_config(file), seed)))
    torch.manual_seed(seed)
    return BevModel(description)


def make_trainer(config: TrainConfig, processes: Processes, **options: Any) -> pl.Trainer:
    """Returns lightning's trainer: one process, or as many as torchrun has started."""
    run = config.run
    return pl.Trainer(
        accelerator='auto',
        devices=processes.local_world,
        num_nodes=processes.world // processes.local_world,
        strategy=_strategy(processes),
        precision=run.precision,
        max_steps=run.steps,
        max_epochs=-1,
        accumulate_grad_batches=processes.share(run.accumulate),
        gradient_clip_val=config.optimiser.clip_norm,
        use_distributed_sampler=False,
        plugins=[WholeFiles()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def _strategy(processes: Processes) -> Strategy | str:
    if processes.world == 1:
        return 'auto'
    # A clip without road users, or a frame without a past, leaves parameters without gradients.
    return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)


def _begun(checkpoint: Path, resume: bool) -> tuple[RunRecord | None, int]:
    """Returns what a checkpoint says of its training, and the steps that are done.

    Raises:
        ConfigError: there is one and it is not to be resumed, or the other way round.
    """
    if checkpoint.exists() != resume:
        raise ConfigError(
            f'{checkpoint.parent}: holds a training already; add --resume or choose another folder'
            if checkpoint.exists()
            else f'{checkpoint.parent}: holds no {LAST} to go on from; leave out --resume'
        )
    if not resume:
        return None, 0
    content = read_checkpoint(checkpoint)
    return RunRecord.load(content['bev_run'], str(checkpoint)), int(content['global_step'])


def _validation_steps(config: TrainConfig) -> Callable[[int], bool]:
    every, last = config.check.every_steps, config.run.steps
    there = bool(config.validation)
    return lambda step: there and (step % every == 0 or step == last)


def _saving_steps(config: TrainConfig) -> Callable[[int], bool]:
    """Also before every validation, which takes its time."""
    every, last, looked_at = (
        config.check.save_every_steps,
        config.run.steps,
        _validation_steps(config),
    )
    return lambda step: step % every == 0 or step == last or looked_at(step)


def _write_config(folder: Path, record: RunRecord) -> None:
    make_folder(folder)
    text = yaml.safe_dump(record.dump()['config'], sort_keys=False)
    write_atomically(folder / CONFIG_FILE, text.encode())


def _quiet() -> None:
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    warnings.filterwarnings('ignore', module='lightning')
