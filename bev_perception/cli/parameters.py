"""`bev parameters`: the node's parameters, from the table they are declared from."""

from __future__ import annotations

import argparse

from bev_perception.ros.parameter_table import markdown_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`bev parameters` takes no arguments."""


def main(args: argparse.Namespace) -> int:
    """Prints the table of docs/parameters.md; returns the exit code."""
    print(markdown_table(), end='')
    return 0
