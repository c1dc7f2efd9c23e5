"""`bev rig from-bag`: the rig file of a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from bev_perception.geometry.rig_file import save_rig_file
from bev_perception.replay.bag_reader import BagReader
from bev_perception.replay.rig_from_bag import CALIBRATION_CHOICES, rig_from_bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands of `bev rig`."""
    commands = parser.add_subparsers(dest='rig_command', required=True, metavar='COMMAND')
    from_bag = commands.add_parser('from-bag', help='write the rig file of a recording')
    from_bag.add_argument('bag', type=Path, help='rosbag2 folder or file')
    from_bag.add_argument('-o', '--out', type=Path, required=True, help='rig file to write')
    from_bag.add_argument('--base-frame', default='base_link', help='vehicle frame')
    from_bag.add_argument(
        '--calibration',
        default='full',
        choices=CALIBRATION_CHOICES,
        help='what to fix in the file: all of it, the placement only (CameraInfo gives the '
        'intrinsics at run time), or nothing (transforms give the placement too)',
    )


def main(args: argparse.Namespace) -> int:
    """Writes the rig file; returns the exit code."""
    with BagReader(args.bag) as reader:
        rig = rig_from_bag(reader, args.base_frame, args.calibration)
    save_rig_file(rig, args.out)
    print(f'{args.out}: {len(rig.cameras)} cameras of {args.bag}')
    for camera in rig.cameras:
        print(
            f'  {camera.name}: {camera.image_topic}, offset {camera.trigger_offset_s * 1e3:.1f} ms'
        )
    return 0
