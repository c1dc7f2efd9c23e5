"""Image sizes on command lines."""

from __future__ import annotations

import argparse
import re


def image_size(text: str) -> tuple[int, int] | None:
    """Returns (width, height) of '352x128'; None for 'rig'."""
    if text == 'rig':
        return None
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(f"must be like 352x128, or 'rig', got {text!r}")
    return int(match.group(1)), int(match.group(2))
