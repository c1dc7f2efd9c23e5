"""`bev bench`: benchmarks, side by side with restated peers in one run."""

from __future__ import annotations

import argparse

from bev_perception.bench import model_size, view_transform


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands of `bev bench`."""
    benches = parser.add_subparsers(dest='bench_command', required=True, metavar='BENCH')
    transform = benches.add_parser('view-transform', help='lift-splat as a sparse matrix')
    view_transform.add_arguments(transform)
    transform.set_defaults(run=view_transform.main)
    size = benches.add_parser('model', help='parameters and operations of models, part by part')
    model_size.add_arguments(size)
    size.set_defaults(run=model_size.main)


def main(args: argparse.Namespace) -> int:
    """Runs one benchmark; returns the exit code."""
    return args.run(args)
