"""Trains models that differ in one thing each, tests all of them alike, and prints the tables.

A study that was stopped goes on when it is started again. Trainings, models, the reports of the
tests and the tables stay in OUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bev_trainer.commands.numbers import at_least_one
from bev_trainer.study.carry_out import carry_out
from bev_trainer.study.plan import load_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `bev-trainer study`."""
    parser.add_argument('study', type=Path, help='study file (YAML)')
    parser.add_argument('-o', '--out', type=Path, required=True, help='folder for all of it')
    parser.add_argument(
        '--workers', type=at_least_one, help='processes of the tests (default: one for each core)'
    )


def main(args: argparse.Namespace) -> int:
    """Carries out the study; returns the exit code."""
    carry_out(load_study(args.study), args.out.resolve(), args.workers, say)
    return 0


def say(line: str) -> None:
    """Prints a line at once, also into a file or a pipe."""
    print(line, flush=True)
