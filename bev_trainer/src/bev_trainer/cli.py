"""The `bev-trainer` program: every command is a module of `bev_trainer.commands`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from importlib import import_module
from io import StringIO
from types import ModuleType

from bev_perception.errors import BevError

COMMANDS = {
    'simulate': 'make a data set of synthetic drives',
    'look': 'draw contact sheets of a data set',
    'statistics': 'count what a data set holds, with a figure',
    'check': 'measure how exactly images and labels agree',
    'convert': 'write drives as rosbag2 recordings or nuScenes tables',
    'bench': 'measure how fast drives are made',
    'init': 'write a model folder with seeded weights',
    'fit-size': 'find the largest batch that fits into memory',
    'train': 'train a model',
    'export': 'make a model folder of a training',
    'adapt': 'train a model further on other data',
    'soup': 'average the weights of several models of one network',
    'study': 'train and test models that differ in one thing, side by side',
}

_PATIENCE_S = 10.0  # processes begin some seconds apart where many share a core

# Which extra brings a package that only some commands need.
EXTRAS = {'lightning': 'train'}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 on success, 2 on a user error (one line on stderr)."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parsed(words)
        return int(arguments.run(arguments))
    except BevError as error:
        _let_the_first_speak()
        print(f'bev-trainer: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('bev-trainer: stopped', file=sys.stderr)
        return 130


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Returns the arguments; of the processes of a machine the first says what is wrong."""
    parser = _parser(words[0] if words else '')
    if _is_first():
        return parser.parse_args(words)
    with redirect_stderr(StringIO()):
        return parser.parse_args(words)


def _is_first() -> bool:
    return os.environ.get('LOCAL_RANK', '0') == '0'


def _let_the_first_speak() -> None:
    """Waits in all but the first of the processes that torchrun has started on a machine.

    What is wrong for all of them is said once: the first one's end makes torchrun end the others.
    Who is still there afterwards has an error of its own, which nobody else would say.
    """
    if _is_first():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(2))
    time.sleep(_PATIENCE_S)


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Returns the parser; only the chosen command is imported, since some take a second."""
    parser = argparse.ArgumentParser(
        prog='bev-trainer', description='Makes data and models for bev_perception.'
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == chosen:
            module = _command(name)
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.main)
    return parser


def _command(name: str) -> ModuleType:
    """Returns the module of a command.

    Raises:
        BevError: it needs a package that is not there; says which extra brings it.
    """
    try:
        return import_module(f'bev_trainer.commands.{name.replace("-", "_")}')
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(error.name or '')
        if extra is None:
            raise
        raise BevError(
            f"'{name}' needs {error.name}; install it with pip install 'bev_trainer[{extra}]'"
        ) from None
