"""Trains a model as a training file says."""

from __future__ import annotations

import argparse
from pathlib import Path

from bev_trainer.config.train_config import load_train_config
from bev_trainer.training.processes import Processes
from bev_trainer.training.run import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer train`."""
    parser.add_argument('config', type=Path, help='training file (YAML)')
    parser.add_argument(
        '-o', '--out', type=Path, required=True, help='folder for checkpoint, log and pictures'
    )
    parser.add_argument('--resume', action='store_true', help='go on where it stopped')


def main(args: argparse.Namespace) -> int:
    """Trains; returns the exit code, that of a shell where a signal ended it early."""
    outcome = train(load_train_config(args.config), args.out, args.resume)
    if Processes.here().rank == 0:
        print(outcome.summary(args.out))
    return 0 if outcome.signal is None else 128 + outcome.signal
