"""The `bev` command."""

from __future__ import annotations

import argparse
import sys

from bev_perception import __version__
from bev_perception.bench import view_transform
from bev_perception.cli import parameters, replay, rig
from bev_perception.errors import BevError


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog='bev', description="Surround cameras to a bird's-eye view: tools beside the node."
    )
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, module, text in (
        ('replay', replay, 'run a recording through the pipeline, without ROS'),
        ('rig', rig, 'make rig files'),
        ('parameters', parameters, "print the node's parameters as a table"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        module.add_arguments(command)
        command.set_defaults(run=module.main)
    bench = commands.add_parser('bench', help='measure, side by side with restated peers')
    benches = bench.add_subparsers(dest='bench_command', required=True, metavar='BENCH')
    transform = benches.add_parser('view-transform', help='lift-splat as a sparse matrix')
    view_transform.add_arguments(transform)
    transform.set_defaults(run=view_transform.main)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code (2 for bad input, with one line on stderr)."""
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except BevError as error:
        print(f'bev: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
