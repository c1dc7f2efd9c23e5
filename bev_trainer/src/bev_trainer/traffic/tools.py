"""SUMO's programs, found beside its Python package and run as child processes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bev_trainer.errors import SimulationError


def sumo_home() -> Path:
    """Returns the folder of the `sumo` package; raises SimulationError when it is missing."""
    found = importlib.util.find_spec('sumo')
    if found is None or not found.submodule_search_locations:
        raise SimulationError(
            'SUMO is not installed, so no traffic can be made; run: pip install eclipse-sumo'
        )
    return Path(next(iter(found.submodule_search_locations)))


def run_tool(name: str, arguments: Sequence[str], folder: Path) -> None:
    """Runs a program of SUMO in a folder; its messages go to `<name>.log` there.

    Raises:
        SimulationError: the program is missing or fails; with its own last error line.
    """
    home = sumo_home()
    program = home / 'bin' / name
    log = folder / f'{name}.log'
    environment = {**os.environ, 'SUMO_HOME': str(home), 'PROJ_DATA': str(home / 'data/proj')}
    try:
        with log.open('wb') as stream:
            done = subprocess.run(
                [str(program), *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
    except OSError as error:
        raise SimulationError(f'{program}: cannot be run: {error.strerror}') from error
    if done.returncode:
        raise SimulationError(f'{name} failed: {_last_error(log)}; its messages are in {log}')


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors='replace').splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('Error')]
    last = (errors or lines or ['it said nothing'])[-1]
    return last.removeprefix('Error:').strip().rstrip('.')
