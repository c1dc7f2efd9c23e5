"""Numbers on command lines."""

from __future__ import annotations

import argparse


def at_least_one(text: str) -> int:
    """Returns a whole number, at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {value}')
    return value
