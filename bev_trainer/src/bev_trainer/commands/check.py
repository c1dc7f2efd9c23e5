"""Is a data set exact? Boxes, masks, depth and cells are held against each other."""

from __future__ import annotations

import argparse
from functools import reduce
from operator import add
from pathlib import Path

from bev_trainer.dataset.manifest import drive_path, load_dataset
from bev_trainer.look.agreement import Agreement
from bev_trainer.look.check import DriveCheck, DriveJob, check_drive, table_head, table_row
from bev_trainer.look.drives import drive_files, on_all_cores, pick


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer check`."""
    parser.add_argument('dataset', type=Path, help='folder of a data set, or one drive file')
    parser.add_argument(
        '--frames', type=_positive, default=4, metavar='N',
        help='label frames per drive, spread over it (default: 4)',
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Measures every drive and prints a table; returns 1 when one is below the limits, else 0."""
    jobs = _jobs(args.dataset, args.frames)
    print(table_head())
    checks = []
    for check in on_all_cores(check_drive, jobs, 'drive'):
        print(table_row(check), flush=True)
        checks.append(check)
    failed = [check.name for check in checks if not check.passed]
    if len(checks) > 1:
        measured = reduce(add, (check.measured for check in checks), Agreement())
        frames = sum(check.frames for check in checks)
        print(table_row(DriveCheck('all', frames, measured)))
    print(f'{len(failed)} of {len(checks)} drives fail' if failed else f'{len(checks)} drives fit')
    return 1 if failed else 0


def _jobs(source: Path, frames: int) -> list[DriveJob]:
    """Returns what to check; hashes are known for drives of a data set."""
    if source.suffix == '.zip':
        return [DriveJob(path, None, frames) for path in drive_files(source)]
    dataset = load_dataset(source)
    pick(dataset.drives(), None)
    return [
        DriveJob(drive_path(dataset.root, entry.name), entry.sha256, frames)
        for entry in dataset.manifest.drives
    ]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {value}')
    return value
