"""Which split of its data a section of a training file takes."""

from __future__ import annotations

from pathlib import Path

from bev_perception.evaluation.scenes.discover import BAG_FILES
from bev_perception.evaluation.scenes.nuscenes.tables import find_version
from bev_trainer.config.sections import DataSection
from bev_trainer.dataset.manifest import DRIVES, HEADER, MANIFEST


def taken_split(section: DataSection) -> str | None:
    """Returns the split that is taken of a section's data; None: everything.

    The split that a section has unless it says otherwise is for data sets: single files and
    recordings have none.

    Raises:
        BevError: there are several versions of nuScenes tables.
    """
    chosen = 'split' in section.model_fields_set
    return section.split if chosen or has_splits(section.path) else None


def has_splits(path: Path) -> bool:
    """Returns whether there are, or may be, splits of what is at a path: is it a data set?

    Raises:
        BevError: there are several versions of nuScenes tables.
    """
    if path.is_file():
        return False
    if is_synthetic(path) or find_version(path) is not None:
        return True
    return not any(next(path.rglob(f'*{ending}'), None) for ending in BAG_FILES)


def is_synthetic(path: Path) -> bool:
    """Returns whether there is a data set of synthetic drives, complete or not."""
    return (path / DRIVES).is_dir() and any((path / n).is_file() for n in (HEADER, MANIFEST))
