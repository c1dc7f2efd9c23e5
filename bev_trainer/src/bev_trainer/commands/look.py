"""Contact sheets of drives: cameras with boxes, labels from above, and how well both agree."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bev_perception.draw.png import save_png
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError
from bev_trainer.look.drives import drive_files, on_all_cores, pick
from bev_trainer.look.sheet import draw_sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer look`."""
    parser.add_argument('dataset', type=Path, help='folder of a data set, or one drive file')
    parser.add_argument('--drive', metavar='NAME', help='look at this drive (default: any)')
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        '--frame', type=_not_negative, metavar='K', help='at this frame (default: midway)'
    )
    which.add_argument(
        '--count', type=_positive, default=1, metavar='N', help='N sheets, spread over all drives'
    )
    parser.add_argument(
        '-o', '--out', type=Path, default=Path('look'), metavar='OUT',
        help='one sheet: OUT.png; or the folder for <drive>_<frame>.png (default: look)',
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Draws the sheets; returns the exit code."""
    drives = pick(drive_files(args.dataset), args.drive)
    places = spread(len(drives), args.count)
    if args.out.suffix == '.png' and len(places) > 1:
        raise DatasetError(f'-o {args.out}: {len(places)} sheets need a folder')
    sheets = [_Sheet(drives[index], args.frame, share, args.out) for index, share in places]
    for path in on_all_cores(_draw, sheets, 'sheet'):
        print(path)
    return 0


def spread(drives: int, count: int) -> list[tuple[int, float]]:
    """Returns `count` places: which drive, and how far through it from 0 to 1.

    Evenly spread; with no more places than drives, each is midway through another drive.
    """
    places = [(index + 0.5) / count * drives for index in range(count)]
    return [(int(place), 0.5 if count <= drives else place % 1.0) for place in places]


@dataclass(frozen=True)
class _Sheet:
    """One sheet to draw; without a frame the label frame after `share` of the drive."""

    drive: Path
    frame: int | None
    share: float
    out: Path


def _draw(sheet: _Sheet) -> Path:
    with Drive(sheet.drive) as drive:
        frame = sheet.frame
        if frame is None:
            frame = _at_share(drive.description.label_frames or range(drive.frame_count), sheet)
        picture = draw_sheet(drive, frame)
        path = sheet.out
        if path.suffix != '.png':
            path = path / f'{drive.description.name}_{frame:06d}.png'
    try:
        save_png(path, picture)
    except OSError as error:
        raise DatasetError(f'{path}: cannot be written: {error.strerror}') from error
    return path


def _at_share(frames: Sequence[int], sheet: _Sheet) -> int:
    if not frames:
        raise DatasetError(f'{sheet.drive}: has no frames')
    return frames[min(int(sheet.share * len(frames)), len(frames) - 1)]


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be 1 or more, got {value}')
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'must be 0 or more, got {value}')
    return value
