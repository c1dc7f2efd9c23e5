"""Recordings through the real node, over DDS: a result bag for each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bev_perception.errors import BevError

DEMO = 'bev_perception.ros.demo'


def record_live(
    bags: Sequence[tuple[str, Path]],
    folder: Path,
    model: str,
    rate: float,
    say: Callable[[str], None],
) -> tuple[tuple[str, Path], ...]:
    """Plays bags through the node and records what it publishes.

    Runs in processes of their own, so that the caller needs no ROS in its own.

    Args:
        bags: (name of the scene, recording).
        folder: for result bags and logs.
        model: folder or name.
        rate: bag seconds per second.
        say: what is being done.

    Returns:
        (name of the scene, result bag).

    Raises:
        BevError: a node or player failed; names the log.
    """
    found = []
    for number, (name, bag) in enumerate(bags, 1):
        say(f'live {number}/{len(bags)}: {name}')
        out = folder / name
        out.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, '-m', DEMO, str(bag), '--out', str(out), '--model', model,
            '--rate', str(rate),
        ]  # fmt: skip
        log = out / 'demo.log'
        with log.open('w') as output:
            code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
        if code != 0:
            last = (log.read_text().strip().splitlines() or ['no output'])[-1]
            raise BevError(f'{bag}: the node could not be run on it ({last}); see {log}')
        found.append((name, out / 'result_bag'))
    return tuple(found)
