"""Writes a model folder with seeded weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from bev_perception.model.config import load_model_config
from bev_trainer.initialise import initialise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer init`."""
    parser.add_argument('--config', type=Path, required=True, help='model.yaml to build')
    parser.add_argument('-o', '--output', type=Path, required=True, help='model folder to write')
    parser.add_argument(
        '--seed', type=seed, help='of the weights (default: training.seed of the config)'
    )
    parser.add_argument(
        '--half', action='store_true', help='store convolution weights in float16 (half the size)'
    )
    parser.add_argument('--force', action='store_true', help='replace an existing model folder')


def seed(text: str) -> int:
    """Returns a seed that torch accepts."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f'must be 0 to 2**63 - 1, got {value}')
    return value


def main(args: argparse.Namespace) -> int:
    """Writes the folder; returns the exit code."""
    config = load_model_config(args.config)
    seed = config.training.seed if args.seed is None else args.seed
    loaded = initialise(config, seed, args.output, half=args.half, overwrite=args.force)
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    print(f'{args.output}: {loaded.model_id}, {parameters} parameters, untrained')
    return 0
