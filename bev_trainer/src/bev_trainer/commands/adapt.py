"""Trains a model further on other data, and says what that does to the old and to the new.

The training is kept near the model by pulling its weights back a little (`--pull`), by leaving
parts as they are (`--freeze`), and by a low rate. OUT is its folder, as of `bev-trainer train`;
the model folder is OUT/model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bev_perception.files import write_atomically
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import own_family
from bev_perception.model.folder import check_target, load_model, save_model
from bev_trainer.commands.numbers import at_least_one
from bev_trainer.config.sections import DataSection
from bev_trainer.config.train_config import TrainConfig, train_config_of
from bev_trainer.data.sources import open_sources
from bev_trainer.data.splits import has_splits, learned_too
from bev_trainer.training.calibrate import calibrate, with_thresholds
from bev_trainer.training.card import card_of
from bev_trainer.training.compare import Comparison, as_csv, as_text, compare
from bev_trainer.training.even_batches import even_batches
from bev_trainer.training.finished import load_finished
from bev_trainer.training.processes import Processes
from bev_trainer.training.run import train

MODEL = 'model'
COMPARISON = 'comparison.csv'
_DATA = 'data set, recording or folder of them'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer adapt`."""
    parser.add_argument('model', type=Path, help='model folder to begin with')
    parser.add_argument(
        '--data', type=Path, nargs='+', required=True, help=f'what to adapt to: {_DATA}'
    )
    parser.add_argument(
        '--validation', type=Path, nargs='+',
        help="new data to calibrate and to compare on (default: the split 'val' of --data; "
        'recordings have none, of them it is what is learned from)',
    )  # fmt: skip
    parser.add_argument(
        '--old-data', type=Path, nargs='+', default=(),
        help="what must not be forgotten: its split 'val' is compared on",
    )  # fmt: skip
    parser.add_argument('-o', '--output', type=Path, required=True, help='folder for all of it')
    parser.add_argument('--resume', action='store_true', help='go on where it stopped')
    _add_training_arguments(parser.add_argument_group('training'))


def _add_training_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--freeze', nargs='+', default=[], metavar='PART',
        help="parts that stay as they are: 'trunk' (all but the heads), 'heads', or by name",
    )  # fmt: skip
    group.add_argument(
        '--pull', type=float, default=0.1, metavar='SHARE',
        help='share of the way back to the old weights, every 10 steps (default: 0.1)',
    )  # fmt: skip
    group.add_argument('--steps', type=at_least_one, default=500, help='(default: 500)')
    group.add_argument('--batch', type=at_least_one, default=4, help='clips (default: 4)')
    group.add_argument(
        '--accumulate', type=at_least_one, default=1, help='passes per step (default: 1)'
    )
    group.add_argument('--rate', type=float, default=3e-4, help='(default: 0.0003)')
    group.add_argument('--seed', type=int, default=0, help='of the order of clips (default: 0)')
    group.add_argument('--workers', type=int, default=1, help='that make clips (default: 1)')
    group.add_argument(
        '--precision', choices=('bf16-mixed', '32-true', '16-mixed'), default='bf16-mixed',
        help='of the matrix products (default: bf16-mixed)',
    )  # fmt: skip
    group.add_argument(
        '--clips', type=at_least_one, default=64, metavar='N',
        help='to calibrate and to compare on (default: 64)',
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Adapts and compares; returns the exit code."""
    check_target(args.output / MODEL, overwrite=True)
    old, config = load_model(args.model), training_of(args)
    old_sections = tuple(DataSection(**_held_out(path)) for path in args.old_data)
    if old_sections:
        # Before the training, rather than after it.
        share = config.run.max_bad_share
        open_sources(old_sections, own_family(old.config), config.clip, max_bad_share=share)
    rank = Processes.here().rank
    learned = learned_too(config.validation, config.data)
    if learned and rank == 0:
        names = ', '.join(str(section.path) for section in learned)
        print(
            f'nothing is held out of {names}: the model is calibrated and compared on what it '
            'learns from; name other data with --validation'
        )
    outcome = train(config, args.output, args.resume)
    if rank != 0:
        return 0
    print(outcome.summary(args.output))
    if outcome.signal is not None:
        return 128 + outcome.signal
    _save(args.output, config)
    new = load_model(args.output / MODEL)
    assert isinstance(old.model, BevModel) and isinstance(new.model, BevModel)
    comparisons = _compared(old.model, new.model, config, old_sections)
    write_atomically(args.output / COMPARISON, as_csv(comparisons).encode())
    print(f'\n{as_text(comparisons)}\n')
    print(f'{args.output / MODEL}: {new.model_id}, adapted from {old.model_id}')
    return 0


def training_of(args: argparse.Namespace) -> TrainConfig:
    """Returns the training that the arguments describe."""
    validation = args.validation or args.data
    content = {
        'model': args.model.resolve(),
        'data': [{'path': path.resolve()} for path in args.data],
        'validation': [_held_out(path) for path in validation],
        'run': {
            'seed': args.seed, 'steps': args.steps, 'batch': args.batch,
            'accumulate': args.accumulate, 'precision': args.precision, 'workers': args.workers,
        },
        'optimiser': {'rate': args.rate, 'warmup_steps': min(50, args.steps // 10)},
        'adapt': {'freeze': args.freeze, 'pull': args.pull},
        'check': {'every_steps': args.steps, 'clips': args.clips, 'save_every_steps': 100},
    }  # fmt: skip
    return train_config_of(content, 'adapt')


def _held_out(path: Path) -> dict[str, Any]:
    """Returns the data section of what is compared on; recordings have no splits."""
    return {'path': path.resolve(), 'split': 'val' if has_splits(path) else None}


def _save(output: Path, config: TrainConfig) -> None:
    """Writes the model folder of a finished training, calibrated on what was held out."""
    finished = load_finished(output)
    network = finished.model.config
    clips = even_batches(
        config.validation,
        network,
        config.clip,
        config.check.clips,
        config.run.batch,
        config.run.max_bad_share,
    )
    calibrated = calibrate(finished.model, clips)
    description = with_thresholds(finished.description(), calibrated)
    save_model(
        output / MODEL,
        description,
        finished.model,
        overwrite=True,
        card=lambda name: card_of(finished, description, name, calibrated, None),
    )


def _compared(
    old: BevModel, new: BevModel, config: TrainConfig, old_sections: tuple[DataSection, ...]
) -> list[Comparison]:
    learned = learned_too(config.validation, config.data)
    name = 'new data'
    if learned:
        name += ', learned' if learned == config.validation else ', part learned'
    sets = {name: config.validation}
    if old_sections:
        sets = {'old data': old_sections, **sets}
    count, run = config.check.clips, config.run
    return [
        compare(
            old,
            new,
            name,
            even_batches(sections, new.config, config.clip, count, run.batch, run.max_bad_share),
            config.loss.pos_weight,
        )
        for name, sections in sets.items()
    ]
