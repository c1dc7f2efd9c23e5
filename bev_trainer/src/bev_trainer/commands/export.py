"""Makes a model folder of a training: weights, description and card."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from bev_perception.errors import ConfigError
from bev_perception.evaluation.report import read_results
from bev_perception.model.folder import check_target, load_model, save_model
from bev_trainer.averaging.batch_norm import recalibrate
from bev_trainer.commands.numbers import at_least_one
from bev_trainer.config.sections import DataSection
from bev_trainer.data.clip import Clip
from bev_trainer.training.calibrate import calibrate, with_thresholds
from bev_trainer.training.card import card_of
from bev_trainer.training.even_batches import even_batches
from bev_trainer.training.finished import Finished, load_finished


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer export`."""
    parser.add_argument('training', type=Path, metavar='RUN', help='folder of a training')
    parser.add_argument('-o', '--output', type=Path, required=True, help='model folder to write')
    parser.add_argument(
        '--weights', choices=('average', 'last'),
        help='average along the training, or the last ones (default: the average, if there is '
        'one)',
    )  # fmt: skip
    parser.add_argument(
        '--calibrate', type=at_least_one, metavar='N',
        help='fit probabilities on N validation clips of the training, evenly spread',
    )  # fmt: skip
    parser.add_argument(
        '--batch-norm', type=at_least_one, metavar='N',
        help='compute the statistics of batch normalisation anew on N training clips',
    )  # fmt: skip
    parser.add_argument(
        '--results', type=Path, metavar='results.json',
        help='of `bev evaluate` of this model as exported before: figures for the card',
    )  # fmt: skip
    parser.add_argument(
        '--half', action='store_true', help='store convolution weights in float16 (half the size)'
    )
    parser.add_argument('--force', action='store_true', help='replace an existing model folder')


def main(args: argparse.Namespace) -> int:
    """Writes the folder; returns the exit code."""
    check_target(args.output, args.force)
    evaluation = None if args.results is None else read_results(args.results)
    finished = load_finished(args.training, args.weights)
    config = finished.record.config
    if args.batch_norm is not None:
        recalibrate(finished.model, _clips(finished, config.data, args.batch_norm))
    calibrated = []
    if args.calibrate is not None:
        if not config.validation:
            raise ConfigError(f'{args.training}: has no validation clips to calibrate on')
        calibrated = calibrate(finished.model, _clips(finished, config.validation, args.calibrate))
    description = with_thresholds(finished.description(), calibrated)
    save_model(
        args.output,
        description,
        finished.model,
        half=args.half,
        overwrite=args.force,
        card=lambda name: card_of(finished, description, name, calibrated, evaluation),
    )
    for item in calibrated:
        print(item)
    if calibrated and finished.learned_too:
        print(f'calibrated on what it has learned from, too: {finished.learned_too}')
    model_id = load_model(args.output).model_id
    print(f'{args.output}: {model_id}, {description.training.description}')
    return 0


def _clips(finished: Finished, sections: Sequence[DataSection], count: int) -> Iterator[Clip]:
    """Returns clips of the data of a training, in batches of its size."""
    config = finished.record.config
    return even_batches(
        sections,
        finished.model.config,
        config.clip,
        count,
        config.run.batch,
        config.run.max_bad_share,
    )
