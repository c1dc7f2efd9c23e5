"""The `bev` command; a subcommand is imported only when asked for, as torch takes seconds."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from importlib import import_module

from bev_perception import __version__
from bev_perception.errors import BevError


@dataclass(frozen=True)
class Command:
    """A subcommand: a module with `add_arguments(parser)` and `main(args) -> exit code`."""

    module: str
    help: str


COMMANDS = {
    'replay': Command('bev_perception.cli.replay', 'run a recording through the pipeline'),
    'evaluate': Command('bev_perception.cli.evaluate', 'score models on recordings and data sets'),
    'rig': Command('bev_perception.cli.rig', 'make rig files'),
    'export': Command('bev_perception.cli.export', 'write a model as an ONNX file'),
    'import': Command('bev_perception.cli.import_weights', "take over others' published weights"),
    'bench': Command('bev_perception.cli.bench', 'measure, side by side with restated peers'),
    'parameters': Command('bev_perception.cli.parameters', "print the node's parameters"),
}


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser that chooses the subcommand."""
    listing = '\n'.join(f'  {name:12}{command.help}' for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='bev',
        description="Surround cameras to a bird's-eye view: tools beside the node.",
        epilog=f'commands:\n{listing}\n\n`bev COMMAND --help` says more.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand; returns the exit code (2 for bad input, with one line on stderr)."""
    chosen = build_parser().parse_args(argv)
    command = COMMANDS[chosen.command]
    module = import_module(command.module)
    parser = argparse.ArgumentParser(prog=f'bev {chosen.command}', description=module.__doc__)
    module.add_arguments(parser)
    try:
        return module.main(parser.parse_args(chosen.arguments))
    except BevError as error:
        print(f'bev: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
