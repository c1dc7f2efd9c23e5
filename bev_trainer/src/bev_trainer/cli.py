"""The `bev-trainer` program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bev_perception.errors import BevError
from bev_perception.model.config import load_model_config
from bev_trainer.initialise import initialise


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 on success, 2 on a user error (one line on stderr)."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except BevError as error:
        print(f'bev-trainer: error: {error}', file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='bev-trainer', description='Makes and trains models for bev_perception.'
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    init = commands.add_parser('init', help='write a model folder with seeded weights')
    init.add_argument('--config', type=Path, required=True, help='model.yaml to build')
    init.add_argument('-o', '--output', type=Path, required=True, help='model folder to write')
    init.add_argument(
        '--seed', type=seed, help='of the weights (default: training.seed of the config)'
    )
    init.add_argument(
        '--half', action='store_true', help='store convolution weights in float16 (half the size)'
    )
    init.add_argument('--force', action='store_true', help='replace an existing model folder')
    init.set_defaults(run=_init)
    return parser


def seed(text: str) -> int:
    """Returns a seed that torch accepts."""
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f'must be 0 to 2**63 - 1, got {value}')
    return value


def _init(arguments: argparse.Namespace) -> int:
    config = load_model_config(arguments.config)
    seed = config.training.seed if arguments.seed is None else arguments.seed
    loaded = initialise(
        config, seed, arguments.output, half=arguments.half, overwrite=arguments.force
    )
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    print(f'{arguments.output}: {loaded.model_id}, {parameters} parameters, untrained')
    return 0
