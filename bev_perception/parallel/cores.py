"""How many processes fit this computer."""

from __future__ import annotations

import os


def core_count() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0))
