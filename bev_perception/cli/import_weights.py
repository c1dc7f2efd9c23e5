"""`bev import`: a model folder out of weights that others published."""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable
from pathlib import Path

from bev_perception.errors import ConfigError
from bev_perception.importers.checkpoint import read_checkpoint
from bev_perception.importers.lift_splat_shoot import import_lift_splat_shoot
from bev_perception.importers.power_bev import import_power_bev, read_power_bev
from bev_perception.importers.report import ImportReport
from bev_perception.importers.simple_bev import import_simple_bev
from bev_perception.model.config_published import PublishedConfig, describe_published
from bev_perception.model.config_sections import TrainingSection
from bev_perception.model.folder import load_model, save_model
from bev_perception.model.published.lift_splat_shoot import LiftSplatShoot
from bev_perception.model.published.simple_bev import SimpleBevSetup
from bev_perception.model.published_network import Published, PublishedNetwork

VERSION = '1'
LICENCE = 'see the source of the weights'
SIMPLE_BEV = 'simple-bev'
_PIECE = 1 << 20
_MILLIMETRE_DIGITS = 3

Import = Callable[[argparse.Namespace], tuple[Published, ImportReport]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev import`."""
    parser.add_argument('architecture', choices=IMPORTS, help='whose weights')
    parser.add_argument('checkpoint', type=Path, help='.pt, .pth or .ckpt file of its authors')
    parser.add_argument('-o', '--out', type=Path, required=True, help='model folder to write')
    parser.add_argument(
        '--reference',
        type=float,
        nargs=3,
        metavar=('X', 'Y', 'Z'),
        help=f'{SIMPLE_BEV} only: where its reference, the front camera, stands in the base '
        f'frame, metres; default: as in nuScenes',
    )
    parser.add_argument('--force', action='store_true', help='replace an existing model folder')


def main(args: argparse.Namespace) -> int:
    """Writes the model folder and says what became of the weights; returns the exit code."""
    if args.reference and args.architecture != SIMPLE_BEV:
        raise ConfigError(f'--reference is for {SIMPLE_BEV} only')
    if args.reference and not all(map(math.isfinite, args.reference)):
        raise ConfigError(f'--reference must be finite, got {args.reference}')
    try:
        network, report = IMPORTS[args.architecture](args)
        config = _described(network, args)
    except ConfigError as error:
        named = str(error).startswith(str(args.checkpoint))
        raise ConfigError(str(error) if named else f'{args.checkpoint}: {error}') from None
    model = PublishedNetwork(config, network)
    save_model(args.out, config, model, overwrite=args.force)
    print(report.table())
    print(f'{args.out}: {load_model(args.out).model_id}, {LICENCE}')
    return 0


def _lift_splat_shoot(args: argparse.Namespace) -> tuple[Published, ImportReport]:
    state, report = import_lift_splat_shoot(read_checkpoint(args.checkpoint))
    network = LiftSplatShoot()
    network.load_state_dict(state)
    return network, report


def _simple_bev(args: argparse.Namespace) -> tuple[Published, ImportReport]:
    setup = None
    if args.reference:
        x_m, y_m, z_m = (round(value, _MILLIMETRE_DIGITS) for value in args.reference)
        setup = SimpleBevSetup(reference_m=(x_m, y_m, z_m))
    return import_simple_bev(read_checkpoint(args.checkpoint), setup)


def _power_bev(args: argparse.Namespace) -> tuple[Published, ImportReport]:
    return import_power_bev(read_power_bev(args.checkpoint))


IMPORTS: dict[str, Import] = {
    'lift-splat-shoot': _lift_splat_shoot,
    SIMPLE_BEV: _simple_bev,
    'power-bev': _power_bev,
}


def _described(network: Published, args: argparse.Namespace) -> PublishedConfig:
    training = TrainingSection(
        trained=True,
        description=f'imported from {" ".join(args.checkpoint.name.split())}, '
        f'SHA-256 {_sha256(args.checkpoint)}',
    )
    name = args.architecture.replace('-', '_')
    return describe_published(network.setup, name, VERSION, LICENCE, training)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
