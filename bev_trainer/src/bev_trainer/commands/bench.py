"""Measures how fast drives are made, with labels on every frame.

Wall-clock figures hold for a computer that does nothing else. CPU milliseconds per image are of
all worker processes, all threads; cores that share caches or power slow each other down.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from bev_perception.files import write_atomically
from bev_perception.parallel.cores import core_count
from bev_trainer.commands.sizes import image_size
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.benchmark import Speed, as_table, measure
from bev_trainer.simulate.generate import package_versions
from bev_trainer.simulate.plan import DatasetSpec

IMAGE_HZ = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer bench`."""
    parser.add_argument(
        '--size', type=image_size, default=(352, 128), metavar='WxH',
        help="of the images; 'rig': as in the rig file (default: 352x128)",
    )  # fmt: skip
    parser.add_argument(
        '--seconds', type=float, default=20.0, help='length of each drive (default: 20)'
    )
    parser.add_argument('--rig', default='car_6', metavar='NAME', help='(default: car_6)')
    parser.add_argument(
        '--weather', default='clear', metavar='KIND', help='of all drives (default: clear)'
    )
    parser.add_argument('--supersample', type=int, default=1, metavar='N', help='(default: 1)')
    parser.add_argument('--workers', type=int, help='processes (default: one per core)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers')


def main(args: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    workers, cores = args.workers, core_count()
    if workers is not None and workers < 1:
        raise SimulationError(f'--workers: must be 1 or more, got {workers}')
    spec = DatasetSpec(
        scenes=1,
        seconds=args.seconds,
        rigs=(args.rig,),
        size=args.size,
        supersample=args.supersample,
        weather=args.weather,
        image_hz=IMAGE_HZ,
        label_hz=IMAGE_HZ,
    )
    spec.check()
    from bev_trainer.simulate.makers import REAL

    with tempfile.TemporaryDirectory(prefix='bev_bench_') as folder:
        speed = measure(spec, REAL, workers or cores, cores, Path(folder))
    versions = package_versions(REAL.packages)
    print(as_table(speed))
    print(', '.join(f'{name} {text}' for name, text in versions.items()))
    if speed.disturbed:
        print(
            'warning: other processes use the cores, so images/s by the clock says little',
            file=sys.stderr,
        )
    if args.json is not None:
        _write_json(args.json, speed, versions)
    return 0


def _write_json(path: Path, speed: Speed, versions: dict[str, str]) -> None:
    content = {**dataclasses.asdict(speed), 'versions': versions}
    try:
        write_atomically(path, (json.dumps(content, indent=1) + '\n').encode())
    except OSError as error:
        raise SimulationError(f'{path}: cannot be written: {error.strerror}') from error
