"""What tests that render, or simulate traffic, need of the computer."""

from __future__ import annotations

import importlib.util

import pytest
from bev_trainer.errors import SimulationError


def need_graphics() -> None:
    """Skips the test where nothing can be rendered."""
    from bev_trainer.render.context import open_context

    try:
        open_context().release()
    except SimulationError as error:
        pytest.skip(str(error))


def need_simulator() -> None:
    """Skips the test where SUMO is missing or nothing can be rendered."""
    if importlib.util.find_spec('sumo') is None:
        pytest.skip('SUMO is not installed: pip install eclipse-sumo')
    need_graphics()
