"""The description of `nano` as it is without weights, to be changed in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

MODEL = Path(__file__).resolve().parents[2] / 'models' / 'nano' / 'model.yaml'


def nano_description() -> dict[str, Any]:
    """Returns plain values: untrained, and without the thresholds that suit trained weights."""
    data: dict[str, Any] = yaml.safe_load(MODEL.read_text())
    data['training'] = {'trained': False, 'description': 'untrained, for tests'}
    del data['heads']['semantics']['thresholds']
    motion = data['heads']['motion']
    motion['threshold'] = 0.12
    for name in ('instance_threshold', 'vote_radius_m'):
        motion.pop(name, None)
    return data
