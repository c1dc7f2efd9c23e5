"""Which split of its data a section of a training file takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bev_perception.evaluation.scenes.discover import BAG_FILES
from bev_perception.evaluation.scenes.nuscenes.tables import find_version
from bev_trainer.config.sections import DataSection
from bev_trainer.dataset.manifest import is_dataset


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
    if is_dataset(path) or find_version(path) is not None:
        return True
    return not any(next(path.rglob(f'*{ending}'), None) for ending in BAG_FILES)


def learned_too(
    held_out: Sequence[DataSection], learned: Sequence[DataSection]
) -> tuple[DataSection, ...]:
    """Returns those of the sections to look at a model on that may hold what it learns from."""
    return tuple(
        section for section in held_out if any(_share_data(section, other) for other in learned)
    )


def _share_data(one: DataSection, other: DataSection) -> bool:
    first, second = taken_split(one), taken_split(other)
    place, other_place = one.path.resolve(), other.path.resolve()
    if place == other_place:
        return first is None or second is None or _meet(first, second)
    if place in other_place.parents:
        return first is None or (second is not None and _meet(first, second))
    return other_place in place.parents and _share_data(other, one)


def _meet(first: str, second: str) -> bool:
    """Returns whether splits are the same, or one is the other of a single rig ('val/car_6')."""
    return f'{first}/'.startswith(f'{second}/') or f'{second}/'.startswith(f'{first}/')
