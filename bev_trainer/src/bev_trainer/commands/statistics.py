"""What a data set holds: objects, distances, speeds, visibility, weather, rigs, splits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bev_perception.files import write_atomically
from bev_trainer.errors import DatasetError
from bev_trainer.look.drives import drive_files, on_all_cores, pick
from bev_trainer.look.statistics import Statistics, drive_statistics, total
from bev_trainer.look.statistics_report import as_json, as_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer statistics`."""
    parser.add_argument('dataset', type=Path, help='folder of a data set, or one drive file')
    parser.add_argument(
        '-o', '--out', type=Path, metavar='FIGURE.png', help='draw the figure (needs matplotlib)'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers')


def main(args: argparse.Namespace) -> int:
    """Counts, prints, writes what is asked for; returns the exit code."""
    drives = pick(drive_files(args.dataset), None)
    if args.out is not None:
        _require_matplotlib()
    counted = total(on_all_cores(drive_statistics, drives, 'drive'))
    print(as_table(counted))
    try:
        if args.json is not None:
            path = args.json
            _write_json(path, counted)
        if args.out is not None:
            path = args.out
            _save_figure(path, counted, args.dataset.resolve().stem)
    except OSError as error:
        raise DatasetError(f'{path}: cannot be written: {error.strerror}') from error
    return 0


def _write_json(path: Path, counted: Statistics) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(as_json(counted), indent=1) + '\n').encode())


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise DatasetError(
            "the figure needs matplotlib: install it with pip install 'bev_trainer[look]', "
            'or leave out -o'
        ) from error


def _save_figure(path: Path, counted: Statistics, name: str) -> None:
    # Imports matplotlib, which takes a second and is not needed for anything else.
    from bev_trainer.look.statistics_figure import save_figure

    save_figure(path, counted, name)
