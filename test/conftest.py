"""Shared fixtures: real recordings, deterministic seeds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.tiny_model import save_tiny_model

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Returns the folder of real recordings, or skips where it is not present."""
    folder = Path(os.environ.get('BEV_REAL_DATA', REPO.parent / 'shared' / 'real'))
    if not (folder / 'dgp_scene_02').is_dir():
        pytest.skip(f'no real recordings in {folder}; set BEV_REAL_DATA')
    return folder


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a very small untrained model."""
    return save_tiny_model(tmp_path_factory.mktemp('models') / 'tiny')
