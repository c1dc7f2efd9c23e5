"""Makes a data set of synthetic drives, or goes on with one that was interrupted."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from bev_perception.parallel.cores import core_count
from bev_perception.parallel.pool import LocalPool, Pool
from bev_trainer.commands.sizes import image_size
from bev_trainer.dataset.manifest import Manifest
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.disk import as_size, estimated_bytes
from bev_trainer.simulate.generate import Progress, generate
from bev_trainer.simulate.plan import MIXED, DatasetSpec, Plan, plan
from bev_trainer.world.weather import WEATHER_NAMES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer simulate`."""
    parser.add_argument('--out', type=Path, required=True, help='folder of the data set')
    parser.add_argument('--scenes', type=int, default=8, help='drives to make (default: 8)')
    parser.add_argument(
        '--seconds', type=float, default=20.0, help='length of each drive (default: 20)'
    )
    parser.add_argument(
        '--rig', action='append', metavar='NAME',
        help='rig of config/rigs or path of a rig file; give several to let road networks take '
        'turns (default: car_6)',
    )  # fmt: skip
    parser.add_argument(
        '--size', type=image_size, default=(352, 128), metavar='WxH',
        help="of the images, scaled and cropped around the horizon; 'rig': as in the rig file "
        '(default: 352x128)',
    )  # fmt: skip
    parser.add_argument('--seed', type=int, default=0, help='of everything (default: 0)')
    parser.add_argument(
        '--weather', default=MIXED, metavar='KIND',
        help=f'{MIXED} (default), {", ".join(WEATHER_NAMES)}',
    )  # fmt: skip
    parser.add_argument(
        '--supersample', type=int, default=1, metavar='N',
        help='samples per pixel along each side: smoother edges, slower (default: 1)',
    )  # fmt: skip
    parser.add_argument('--image-hz', type=int, default=10, help='frames per second (default: 10)')
    parser.add_argument(
        '--label-hz', type=int, default=2, help='frames with dense labels per second (default: 2)'
    )
    parser.add_argument(
        '--scenes-per-network', type=int, default=4, metavar='N',
        help='drives that share a road network (default: 4)',
    )  # fmt: skip
    parser.add_argument('--workers', type=int, help='processes (default: one per core)')
    parser.add_argument(
        '--ray', nargs='?', const='', metavar='ADDRESS',
        help='use the machines of a Ray cluster (default address: the one Ray finds); --out must '
        'be a folder that all of them share',
    )  # fmt: skip
    parser.add_argument(
        '--plan', action='store_true', help='print what would be made, and make nothing'
    )


def main(args: argparse.Namespace) -> int:
    """Makes the data set; returns the exit code."""
    made = plan(
        DatasetSpec(
            scenes=args.scenes,
            seconds=args.seconds,
            rigs=tuple(args.rig or ('car_6',)),
            size=args.size,
            supersample=args.supersample,
            seed=args.seed,
            weather=args.weather,
            image_hz=args.image_hz,
            label_hz=args.label_hz,
            scenes_per_network=args.scenes_per_network,
        )
    )
    if args.plan:
        print(_outline(made))
        return 0
    from bev_trainer.simulate.makers import REAL

    start_s = time.monotonic()
    with _Reporter() as reporter:
        manifest = generate(made, REAL, args.out, _pool(args), reporter)
    print(_summary(manifest, args.out, reporter.made_images, time.monotonic() - start_s))
    return 0


def _pool(args: argparse.Namespace) -> Pool:
    if args.workers is not None and args.workers < 1:
        raise SimulationError(f'--workers: must be 1 or more, got {args.workers}')
    if args.ray is None:
        return LocalPool(args.workers or core_count())
    from bev_perception.parallel.ray_pool import RayPool

    return RayPool(args.ray or None, args.workers)


class _Reporter:
    """Shows progress: a bar on a terminal, else a line per drive."""

    def __init__(self) -> None:
        self.made_images = 0
        self._bar: tqdm | None = None
        self._start_s = time.monotonic()

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, progress: Progress) -> None:
        new = progress.made_images - self.made_images
        self.made_images = progress.made_images
        if sys.stderr.isatty():
            self._advance(progress, new)
        elif progress.last:
            rate = self.made_images / (time.monotonic() - self._start_s)
            count = f'{len(progress.records)}/{progress.drives}'
            print(f'{progress.last} {count} drives, {rate:.0f} images/s', file=sys.stderr)
        elif progress.kept:
            print(f'{progress.kept} of {progress.drives} drives are there', file=sys.stderr)

    def _advance(self, progress: Progress, new: int) -> None:
        if self._bar is None:
            kept = sum(record.images for record in progress.records.values())
            self._bar = tqdm(total=progress.images, initial=kept, unit='image', smoothing=0.05)
        self._bar.update(new)
        self._bar.set_postfix_str(f'{len(progress.records)}/{progress.drives} drives')


def _outline(made: Plan) -> str:
    drives = made.drives
    lines = [
        f'{len(drives)} drives of {made.spec.seconds:g} s in {len(made.networks)} road networks',
        f'{sum(drive.images for drive in drives)} images, about '
        f'{as_size(estimated_bytes(drives))}',
    ]
    for drive in drives:
        lines.append(
            f'{drive.name}  {drive.network}  {drive.split:5}  {drive.rig_name}  {drive.weather}'
        )
    return '\n'.join(lines)


def _summary(manifest: Manifest, root: Path, made_images: int, seconds: float) -> str:
    drives = manifest.drives
    splits = {
        split: sum(drive.split == split for drive in drives) for split in ('train', 'val', 'test')
    }
    counts = ', '.join(f'{count} {split}' for split, count in splits.items())
    images = sum(drive.images for drive in drives)
    size = as_size(sum(drive.bytes for drive in drives))
    lines = [f'{len(drives)} drives ({counts}), {images} images, {size}: {root}']
    if made_images:
        lines.append(f'{made_images} images in {seconds:.0f} s: {made_images / seconds:.0f}/s')
    return '\n'.join(lines)
