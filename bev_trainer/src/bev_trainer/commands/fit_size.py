"""Finds the largest batch that fits into memory, and how to split a step into passes.

On a GPU batches are tried out. On a CPU, where too much memory takes the whole computer down,
what a clip takes is measured with small batches.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bev_perception.errors import ConfigError
from bev_trainer.commands.numbers import at_least_one
from bev_trainer.config.train_config import TrainConfig, load_train_config
from bev_trainer.training.memory import (
    available_bytes,
    clips_of,
    fits_on_gpu,
    largest,
    measure_cpu,
    split_up,
)

_MOST = 1024  # clips
_KEPT_FREE = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer fit-size`."""
    parser.add_argument('config', type=Path, help='training file (YAML)')
    parser.add_argument(
        '--processes', type=at_least_one, default=1, metavar='N',
        help='that torchrun will start, over all machines (default: 1)',
    )  # fmt: skip
    parser.add_argument(
        '--device', choices=('auto', 'cpu', 'cuda'), default='auto',
        help='where the training will run (default: CUDA when there is one)',
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    config = load_train_config(args.config)
    run, there = config.run, torch.cuda.is_available()
    clips = run.batch * run.accumulate
    split_up(clips, clips, args.processes)
    if args.device == 'cuda' and not there:
        raise ConfigError("device 'cuda' was asked for, but torch finds no CUDA device")
    most = _on_gpu(config) if there and args.device != 'cpu' else _on_cpu(config)
    if not most:
        raise ConfigError(
            'not even one clip fits into memory; take a smaller network, fewer clip.frames or '
            'fewer run.workers'
        )
    batch, passes = split_up(clips, most, args.processes)
    print(f'largest batch that fits: {most} clips')
    print(f'for {clips} clips per step as in {args.config}:')
    print(f'run: {{batch: {batch}, accumulate: {passes}}}')
    return 0


def _on_gpu(config: TrainConfig) -> int:
    name, total = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
    print(f'{name}, {_gib(total)}: trying batches', flush=True)
    torch.cuda.set_per_process_memory_fraction(1.0 - _KEPT_FREE)
    return largest(fits_on_gpu(config, clips_of(config)), _MOST)


def _on_cpu(config: TrainConfig) -> int:
    needs, free = measure_cpu(config), available_bytes()
    # Validation has workers of its own, which stay.
    workers = config.run.workers * (2 if config.validation else 1)
    print(
        f'a clip takes {_gib(needs.per_clip)}, the rest of the training {_gib(needs.base)}, each '
        f'of {workers} workers {_gib(needs.worker)}; {_gib(free)} are free'
    )
    return min(_MOST, needs.batch(round(free * (1.0 - _KEPT_FREE)), workers))


def _gib(count: int) -> str:
    return f'{count / 2**30:.2f} GiB'
