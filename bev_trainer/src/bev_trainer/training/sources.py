"""From the data sections of a training file to sources of clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bev_perception.errors import ConfigError
from bev_perception.model.config import ModelConfig
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.dataset.manifest import SPLITS, load_dataset
from bev_trainer.dataset.reader import Drive


def open_sources(
    sections: Sequence[DataSection],
    config: ModelConfig,
    clip: ClipSection,
    augment: AugmentSection | None = None,
    seed: int = 0,
) -> list[ClipSource]:
    """Returns the sources of clips; all clips get as many cameras as the largest rig has.

    Raises:
        BevError: a data set is missing or damaged, or has no such split, or too short drives.
    """
    files = [_drives(section) for section in sections]
    cameras = max(_cameras(drives) for drives in files)
    found: list[ClipSource] = []
    for section, drives in zip(sections, files, strict=True):
        source = DriveSource(drives, config, clip, cameras, augment, seed)
        if not source.clips:
            raise ConfigError(
                f'{section.path}: no drive is long enough for {clip.frames} labelled frames and '
                "the model's horizon"
            )
        found.append(source)
    return found


def _drives(section: DataSection) -> list[Path]:
    splits = dict(zip(SPLITS, SPLITS, strict=True))
    if section.split is not None and section.split not in splits:
        raise ConfigError(f"split '{section.split}' is unknown; choose from {', '.join(SPLITS)}")
    dataset = load_dataset(section.path)
    drives = dataset.drives(None if section.split is None else splits[section.split])
    if not drives:
        raise ConfigError(f"{section.path}: split '{section.split}' is empty")
    if section.scenes is None or section.scenes >= len(drives):
        return drives
    step = (len(drives) - 1) / max(section.scenes - 1, 1)
    return [drives[round(index * step)] for index in range(section.scenes)]


def _cameras(drives: Sequence[Path]) -> int:
    largest = 0
    for path in drives:
        with Drive(path) as drive:
            largest = max(largest, len(drive.cameras))
    return largest
