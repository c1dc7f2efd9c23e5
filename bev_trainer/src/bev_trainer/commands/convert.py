"""Drives in the formats of other tools: recordings (rosbag2) and nuScenes tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bev_trainer.dataset.bag.writer import write_bag
from bev_trainer.dataset.manifest import SPLITS, load_dataset
from bev_trainer.dataset.nuscenes.names import VERSION
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.look.drives import on_all_cores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer convert`."""
    parser.add_argument('dataset', type=Path, help='folder of a data set, or one drive file')
    parser.add_argument('--to', choices=('bag', 'nuscenes'), required=True, help='format')
    parser.add_argument('--drive', nargs='+', metavar='NAME', help='these drives (default: all)')
    parser.add_argument('--split', choices=SPLITS, help='drives of this split only')
    parser.add_argument(
        '--raw', action='store_true', help='bag: raw images (rgb8) instead of JPEG'
    )
    parser.add_argument(
        '-o', '--out', type=Path, required=True,
        help='nuscenes: folder to make; bag: bag to make when one drive is named, else the folder '
        'for one bag per drive',
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Converts the drives that are asked for; returns the exit code."""
    if args.raw and args.to != 'bag':
        raise DatasetError('--raw is for --to bag: nuScenes has JPEG images')
    drives = _wanted(args.dataset, args.drive, args.split)
    if args.to == 'bag':
        _write_bags(drives, args)
    else:
        root = None if args.dataset.suffix == '.zip' else args.dataset
        bar = tqdm(drives, unit='drive', leave=False, disable=not sys.stderr.isatty())
        write_nuscenes(bar, args.out, root=root)
        print(f'{args.out}: {len(drives)} scenes, version {VERSION}')
    return 0


@dataclass(frozen=True)
class _Bag:
    """One bag to write."""

    drive: Path
    output: Path
    raw: bool


def _write_bags(drives: Sequence[Path], args: argparse.Namespace) -> None:
    named = args.dataset.suffix == '.zip' or (args.drive is not None and len(args.drive) == 1)
    outputs = [args.out] if named else [args.out / path.stem for path in drives]
    bags = [
        _Bag(drive, output, args.raw)
        for drive, output in zip(drives, outputs, strict=True)
        if named or not output.exists()
    ]
    if len(bags) < len(drives):
        print(f'{args.out}: {len(drives) - len(bags)} bags are there already and are kept')
    for output in on_all_cores(_write_one, bags, 'bag'):
        print(output, flush=True)


def _write_one(bag: _Bag) -> Path:
    with Drive(bag.drive) as drive:
        write_bag(drive, bag.output, raw=bag.raw)
    return bag.output


def _wanted(source: Path, names: Sequence[str] | None, split: Any) -> list[Path]:
    """Returns the drives that are asked for, in the order of the data set."""
    if source.suffix == '.zip':
        if split is not None:
            raise DatasetError(f'{source}: --split is for a data set, this is one drive')
        drives = [source]
    else:
        drives = load_dataset(source).drives(split)
    where = f'{source}' if split is None else f"split '{split}' of {source}"
    if not drives:
        raise DatasetError(f'{where}: has no drives')
    known = [path.stem for path in drives]
    for name in names or ():
        if name not in known:
            raise DatasetError(f"{where}: has no drive '{name}'; it has {known[0]} to {known[-1]}")
    return [path for path in drives if names is None or path.stem in names]
