"""The OpenGL context of a test run, or a reason to skip."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from bev_trainer.errors import SimulationError
from bev_trainer.render.context import open_context


@cache
def _opened() -> Any:
    try:
        return open_context()
    except SimulationError as error:
        return str(error)


def context() -> Any:
    """Returns the context that all tests of this process draw with."""
    made = _opened()
    if isinstance(made, str):
        pytest.skip(made)
    return made
