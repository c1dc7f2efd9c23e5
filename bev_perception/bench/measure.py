"""Timing of alternatives side by side, and the memory that one call needs."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Call = Callable[[], object]

ROUND_S = 0.05
MAX_CALLS = 25


@dataclass(frozen=True)
class Samples:
    """Seconds of single calls: CPU time of the whole process (all threads) and wall time."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def add(self, call: Call) -> float:
        """Returns the wall seconds of one timed call."""
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        self.cpu_s.append(time.process_time() - cpu)
        self.wall_s.append(time.perf_counter() - wall)
        return self.wall_s[-1]


def interleave(calls: Mapping[str, Call], repeats: int) -> dict[str, Samples]:
    """Returns samples of every call, taken in `repeats` rounds over all of them.

    A round takes each in turn, so that a slow minute of the machine falls on all alike: one
    untimed call, then timed ones for 50 ms, at least one and at most 25.
    """
    samples = {name: Samples() for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            call()
            spent_s = 0.0
            for _ in range(MAX_CALLS):
                spent_s += samples[name].add(call)
                if spent_s > ROUND_S:
                    break
    return samples


def peak_extra_bytes(call: Call) -> int | None:
    """Returns by how much one call raises the resident memory at its peak, its result included.

    The kernel keeps the peak (VmHWM), which is reset before the call; memory that the allocator
    held back from earlier calls is returned first. None where the system offers neither
    (anything but Linux with glibc).
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path('/proc/self/clear_refs').write_text('5')
        before = _status_bytes('VmRSS')
        result = call()
        peak = _status_bytes('VmHWM')
        del result
    except (OSError, AttributeError, KeyError):
        return None
    return max(0, peak - before)


def _status_bytes(name: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    fields = dict(line.split(':', 1) for line in lines)
    return int(fields[name].split()[0]) * 1024


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest absolute difference as a share of the largest expected magnitude."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())
