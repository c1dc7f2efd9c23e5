"""Trains a model as a training file says."""

from __future__ import annotations

import argparse
from pathlib import Path

from bev_trainer.config.train_config import load_train_config
from bev_trainer.training.run import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer train`."""
    parser.add_argument('config', type=Path, help='training file (YAML)')
    parser.add_argument(
        '-o', '--out', type=Path, required=True, help='folder for checkpoints and logs'
    )
    parser.add_argument('--resume', action='store_true', help='go on where it stopped')


def main(args: argparse.Namespace) -> int:
    """Trains; returns the exit code."""
    training = train(load_train_config(args.config), args.out, args.resume)
    for problem in dict.fromkeys(training.problems):
        print(f'left out: {problem}')
    print(f'{args.out}: {training.global_step} steps, {len(training.problems)} clips left out')
    return 0
