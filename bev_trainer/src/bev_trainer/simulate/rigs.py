"""Rigs by name or path, ready to be simulated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from bev_perception.config_errors import nearest
from bev_perception.geometry.rig_file import RigFile, load_rig_file
from bev_perception.paths import share_dir
from bev_trainer.errors import SimulationError
from bev_trainer.simulate.rig_size import sized_rig


def load_rigs(names: Sequence[str], size: tuple[int, int] | None) -> dict[str, RigFile]:
    """Returns the rigs, by the stems of their files, with images of `size` (width, height).

    Args:
        names: of files in config/rigs, or paths of rig files.
        size: None leaves the images as large as the rig files say.

    Raises:
        SimulationError: a rig is unknown, given twice, or lacks what a simulation needs.
        ConfigError: a rig file cannot be read or is wrong.
    """
    rigs: dict[str, RigFile] = {}
    for name in names:
        path = rig_path(name)
        if path.stem in rigs:
            raise SimulationError(f"rig '{path.stem}' is given twice; rename one of the files")
        rigs[path.stem] = _simulated(load_rig_file(path), path, size)
    if not rigs:
        raise SimulationError('no rig is given; name one with --rig')
    return rigs


def rig_path(name: str) -> Path:
    """Returns the file of a rig; raises SimulationError for an unknown one."""
    if Path(name).is_file():
        return Path(name)
    known = {path.stem: path for path in sorted((share_dir() / 'config' / 'rigs').glob('*.yaml'))}
    if name in known:
        return known[name]
    raise SimulationError(
        f"rig '{name}' is neither a file nor one of the rigs in config/rigs"
        f'{nearest(Path(name).stem, list(known), "there are")}'
    )


def rig_sha256(rig: RigFile) -> str:
    """Returns a hash of all that a rig says."""
    content = json.dumps(rig.model_dump(mode='json'), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _simulated(rig: RigFile, path: Path, size: tuple[int, int] | None) -> RigFile:
    if rig.vehicle is None:
        raise SimulationError(
            f'rig file {path}: vehicle is missing; add length_m, width_m, height_m, '
            'rear_overhang_m and max_speed_mps of the vehicle, which drives among others'
        )
    try:
        return sized_rig(rig, size)
    except SimulationError as error:
        raise SimulationError(f'rig file {path}: {error}') from error
