"""One small drive in all formats, and models that it is long enough for."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from bev_trainer.data.clip import Clip
from bev_trainer.dataset.bag.writer import write_bag
from bev_trainer.dataset.nuscenes.writer import write_nuscenes
from bev_trainer.dataset.reader import Drive

from bev_perception.evaluation.scenes.discover import discover
from bev_perception.evaluation.scenes.options import SceneOptions
from bev_perception.evaluation.scenes.scene import Scene
from bev_perception.model.config import ModelConfig
from support.drives import ACTORS, Actor, Path3, SmallDrive
from support.tiny_model import tiny_config

# Channels of nuScenes and names of a recording's topics, by name in the rig.
CHANNELS = {'front': 'CAM_FRONT', 'left': 'CAM_LEFT', 'rear_fisheye': 'CAM_REAR_FISHEYE'}
TOPICS = {'front': 'front', 'left': 'left', 'rear_fisheye': 'rear'}


def short_config(steps: int = 1, **changes: Any) -> ModelConfig:
    """Returns the tiny model with heads on cells of half a metre, inside a drive's label grid.

    Args:
        steps: of half a second that its motion head looks ahead; 0: it has none.
        changes: of the description, section by section.
    """
    data = tiny_config().model_dump()
    for head in ('occupancy', 'objects', 'motion'):
        grid = {'x_m': (-12.0, 20.0), 'y_m': (-10.0, 10.0), 'resolution_m': 0.5}
        data['heads'][head]['grid'] = grid
    data['heads']['motion']['steps'] = max(steps, 1)
    if not steps:
        data['heads'].update(motion=None, trajectories=None)
    for section, values in changes.items():
        data[section] = None if values is None else data[section] | values
    return ModelConfig.model_validate(data)


@dataclass(frozen=True)
class Formats:
    """The same drive thrice."""

    drive: Path
    bag: Path
    nuscenes: Path


def off_the_borders() -> tuple[Actor, ...]:
    """Returns the usual actors a little aside: none has its centre on the border of a cell."""
    return tuple(replace(actor, path=_aside(actor.path)) for actor in ACTORS)


def _aside(path: Path3) -> Path3:
    def moved(time_s: float) -> tuple[float, float, float]:
        x, y, yaw = path(time_s)
        return x + 0.13, y + 0.07, yaw

    return moved


def written(folder: Path, **changes: Any) -> Formats:
    """Writes a small drive as a drive, a recording and nuScenes tables."""
    made = SmallDrive(**{'actors': off_the_borders(), **changes})
    drive = made.write(folder / 'drives')
    with Drive(drive) as opened:
        write_bag(opened, folder / made.name)
    write_nuscenes([drive], folder / 'nuscenes')
    return Formats(drive, folder / made.name, folder / 'nuscenes')


def scenes_at(path: Path, **options: Any) -> list[Scene]:
    """Returns all scenes at a path."""
    scenes, refusals = discover(path, SceneOptions(**options))
    assert not refusals
    return scenes


def arrays(value: Any, name: str = '') -> dict[str, np.ndarray]:
    """Returns all tensors in nested dataclasses and tuples, by name."""
    if hasattr(value, 'numpy'):
        return {name: value.numpy()}
    parts: Sequence[tuple[str, Any]] = ()
    if dataclasses.is_dataclass(value):
        parts = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    elif isinstance(value, tuple):
        parts = [(str(index), item) for index, item in enumerate(value)]
    found: dict[str, np.ndarray] = {}
    for part, item in parts:
        found |= arrays(item, f'{name}.{part}'.lstrip('.'))
    return found


def assert_same_clip(found: Clip, expected: Clip) -> None:
    """Checks that two clips are equal, bit for bit."""
    ours, theirs = arrays(found), arrays(expected)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def data_set(root: Path, drives: Sequence[SmallDrive]) -> Path:
    """Writes drives as a synthetic data set whose manifest says what is needed; returns it."""
    entries = []
    for made in drives:
        path = made.write(root / 'drives')
        counts = {'frames': 1, 'images': 1, 'objects': 1, 'bytes': path.stat().st_size}
        kind = {'rig': 'car', 'weather': 'clear', 'gl_version': '', 'sha256': '0' * 64}
        about = {'name': made.name, 'split': made.split, 'network': made.network}
        entries.append(about | counts | kind)
    spec = {
        'scenes': len(drives), 'seconds': 1.0, 'rigs': [], 'size': None, 'supersample': 1,
        'seed': 0, 'weather': 'clear', 'image_hz': 10, 'label_hz': 2, 'scenes_per_network': 1,
    }  # fmt: skip
    manifest = {'format': 1, 'spec': spec, 'versions': {}, 'drives': entries, 'maps': []}
    (root / 'manifest.json').write_text(json.dumps(manifest))
    (root / 'dataset.json').write_text('{}')
    return root
