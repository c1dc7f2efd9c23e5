"""Makes one model of several of one network by averaging their weights."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from bev_perception.errors import ConfigError
from bev_perception.model.bev_model import BevModel
from bev_perception.model.config import own_family
from bev_perception.model.folder import LoadedModel, check_target, load_model, save_model
from bev_trainer.averaging.provenance import check_same_network, described_soup
from bev_trainer.averaging.soup import greedy_soup, uniform_soup
from bev_trainer.averaging.soup_clips import SoupClips
from bev_trainer.averaging.stock import model_stock
from bev_trainer.averaging.tensors import State, statistics_of
from bev_trainer.commands.numbers import at_least_one
from bev_trainer.training.soup_card import METHODS, soup_card


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer soup`."""
    parser.add_argument('models', type=Path, nargs='+', metavar='MODEL', help='model folder')
    parser.add_argument('-o', '--output', type=Path, required=True, help='model folder to write')
    parser.add_argument(
        '--method', choices=METHODS, default='uniform',
        help='uniform: mean of all; greedy: of those that help on validation clips; stock: '
        'between base and mean, layer by layer (Model Stock) (default: uniform)',
    )  # fmt: skip
    parser.add_argument(
        '--base', type=Path, metavar='MODEL', help='stock: what the models were fine-tuned from'
    )
    parser.add_argument(
        '--data', type=Path, metavar='DATASET',
        help='data set or drive file: batch normalisation is recalibrated on its training clips; '
        'greedy compares on its validation clips',
    )  # fmt: skip
    parser.add_argument(
        '--clips', type=at_least_one, default=32, metavar='N',
        help='clips for each of the two, evenly spread (default: 32)',
    )  # fmt: skip
    parser.add_argument(
        '--half', action='store_true', help='store convolution weights in float16 (half the size)'
    )
    parser.add_argument('--force', action='store_true', help='replace an existing model folder')


def main(args: argparse.Namespace) -> int:
    """Averages, writes the folder; returns the exit code."""
    _check(args)
    models = [load_model(path) for path in args.models]
    base = None if args.base is None else load_model(args.base)
    everybody = list(zip(map(str, args.models), (model.config for model in models), strict=True))
    if base is not None:
        everybody.append((str(args.base), base.config))
    check_same_network(everybody)
    clips = None
    if args.data is not None:
        clips = SoupClips(args.data, own_family(models[0].config), args.clips)
    members, state = _cooked(args, models, base, clips)
    network = models[0].model
    network.load_state_dict(state)
    if clips is not None:
        assert isinstance(network, BevModel)
        clips.recalibrate(network)
    data, used = (None, None) if clips is None else (clips.name, str(clips))
    config = described_soup(args.method, members, base, used)
    save_model(
        args.output,
        config,
        network,
        half=args.half,
        overwrite=args.force,
        card=lambda name: soup_card(config, name, args.method, members, base, data, used),
    )
    print(f'{args.output}: {load_model(args.output).model_id}, {config.training.description}')
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuses what cannot go together before anything takes time."""
    check_target(args.output, args.force)
    if (args.method == 'stock') != (args.base is not None):
        raise ConfigError('--method stock and --base MODEL go together: the base is its anchor')
    if args.method == 'greedy' and args.data is None:
        raise ConfigError('--method greedy needs --data DATASET to compare models on')
    if args.method != 'uniform' and len(args.models) < 2:
        raise ConfigError(f'--method {args.method} needs at least two models')


def _cooked(
    args: argparse.Namespace,
    models: Sequence[LoadedModel],
    base: LoadedModel | None,
    clips: SoupClips | None,
) -> tuple[list[LoadedModel], dict[str, Tensor]]:
    """Returns the models that are in the soup, and its tensors."""
    names = [str(path) for path in args.models]
    states = [_copy_of(model) for model in models]
    if base is not None:
        statistics = statistics_of(base.model)
        stock = model_stock(states, base.model.state_dict(), statistics, [str(args.base), *names])
        ratios = sorted(stock.ratios.values())
        print(f'share of the mean by layer: {ratios[0]:.2f} to {ratios[-1]:.2f}', flush=True)
        return list(models), stock.state
    if args.method == 'uniform':
        return list(models), uniform_soup(states, names)
    network = models[0].model
    assert clips is not None and isinstance(network, BevModel)
    bar = tqdm(total=2 * len(models) - 1, unit='soup', leave=False, disable=None)

    def score(state: State) -> float:
        found = clips.score(network, state)
        bar.update()
        return found

    with bar:
        greedy = greedy_soup(states, score, names)
    for name, alone in zip(names, greedy.scores, strict=True):
        print(f'{name}: total loss {-alone:.4f}')
    print(f'soup of {len(greedy.members)}: total loss {-greedy.score:.4f}', flush=True)
    return [models[index] for index in greedy.members], greedy.state


def _copy_of(model: LoadedModel) -> dict[str, Tensor]:
    """Returns tensors that stay as they are when the network gets others."""
    return {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
