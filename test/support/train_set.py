"""A data set of small drives, a tiny model and a training file that go together."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from bev_trainer.dataset.description import Split
from bev_trainer.dataset.manifest import DriveEntry, Manifest, SpecSection, file_sha256
from bev_trainer.dataset.members import image, objects

from bev_perception.model.config import ModelConfig
from support.drives import SmallDrive, rig_of_lenses
from support.tiny_model import tiny_config

LABEL_FRAMES = (0, 2, 4, 6, 8, 10)


def short_config() -> ModelConfig:
    """Returns the tiny model with a horizon that fits into a drive of one second."""
    config = tiny_config()
    assert config.heads.motion is not None
    motion = config.heads.motion.model_copy(update={'steps': 1})
    return config.model_copy(update={'heads': config.heads.model_copy(update={'motion': motion})})


def write_data_set(
    root: Path, splits: Sequence[Split] = ('train', 'train', 'train', 'val'), **changes: Any
) -> Path:
    """Writes a data set of one drive per entry of `splits`; returns its folder.

    Args:
        root: is created.
        splits: of the drives.
        changes: of `SmallDrive`.
    """
    entries = []
    for index, split in enumerate(splits):
        drive = SmallDrive(
            name=f'drive_{index:06d}',
            split=split,
            rig=rig_of_lenses(64, 48),
            label_frames=LABEL_FRAMES,
            start=(120.0 + 7.0 * index, 45.0, 2.2 - 0.5 * index),
            seed=index,
        )
        path = dataclasses.replace(drive, **changes).write(root / 'drives')
        entries.append(
            DriveEntry(
                name=path.stem, split=split, network='net_000000', rig='three_lenses',
                weather='clear', frames=11, images=33, objects=7, gl_version='none',
                sha256=file_sha256(path), bytes=path.stat().st_size,
            )
        )  # fmt: skip
    spec = SpecSection(
        scenes=len(splits), seconds=1.0, rigs=(), size=None, supersample=1, seed=0,
        weather='clear', image_hz=10, label_hz=5, scenes_per_network=1,
    )  # fmt: skip
    manifest = Manifest(spec=spec, versions={}, drives=tuple(entries), maps=())
    (root / 'manifest.json').write_text(manifest.model_dump_json())
    return root


def write_training(folder: Path, data_set: Path, name: str = 'train.yaml', **changes: Any) -> Path:
    """Writes a training file of a few steps of the tiny model; returns its path.

    Args:
        folder: exists.
        data_set: for training and validation.
        name: of the file.
        changes: by section, what differs from the usual.
    """
    (folder / 'model.yaml').write_text(short_config().to_yaml())
    content: dict[str, Any] = {
        'model': 'model.yaml',
        'data': [{'path': str(data_set), 'split': 'train'}],
        'validation': [{'path': str(data_set), 'split': 'val'}],
        'run': {'steps': 4, 'batch': 2, 'workers': 0, 'precision': '32-true'},
        'optimiser': {'rate': 2e-3, 'warmup_steps': 2},
        'check': {'every_steps': 3, 'clips': 2, 'save_every_steps': 2, 'log_every_steps': 2},
    }
    for section, values in changes.items():
        if isinstance(values, dict):
            content[section] = content.get(section, {}) | values
        else:
            content[section] = values
    path = folder / name
    path.write_text(yaml.safe_dump(content))
    return path


def rewrite(path: Path, member: str, change: Callable[[bytes], bytes]) -> Path:
    """Changes one member of a drive file, whose checksums are right afterwards; returns it."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content[member] = change(content[member])
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tear_jpeg(path: Path, frame: int = 2, camera: int = 1, kept: float = 0.6) -> Path:
    """Leaves the first part of an image of a drive file."""
    return rewrite(path, image(frame, camera), lambda whole: whole[: int(kept * len(whole))])


def lose_box(path: Path, row: int = 2, frame: int = 4) -> Path:
    """Makes the place of a road user of a drive file at a frame NaN."""

    def change(content: bytes) -> bytes:
        table, written = np.load(io.BytesIO(content)), io.BytesIO()
        table[row, frame] = np.nan
        np.save(written, table)
        return written.getvalue()

    return rewrite(path, objects('x_m'), change)
