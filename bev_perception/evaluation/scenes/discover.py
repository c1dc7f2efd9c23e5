"""Finds the scenes at a path: recordings, nuScenes tables, and data sets that others know.

Other packages add formats through the entry-point group 'bev_perception.datasets': each entry is
a function `(path, split) -> Sequence[Scene] | None` that returns None for what is not its own,
and raises BevError for what is, and cannot be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import cast

from bev_perception.errors import BevError
from bev_perception.evaluation.results import Refusal
from bev_perception.evaluation.scenes.bag import BagScene
from bev_perception.evaluation.scenes.nuscenes.scene import NuScenesScene
from bev_perception.evaluation.scenes.nuscenes.tables import (
    Version,
    find_version,
    read_scenes,
    scene_names,
)
from bev_perception.evaluation.scenes.options import SceneOptions
from bev_perception.evaluation.scenes.scene import Scene

GROUP = 'bev_perception.datasets'
BAG_FILES = ('.mcap', '.db3')
_METADATA = 'metadata.yaml'

DatasetReader = Callable[[Path, str | None], Sequence[Scene] | None]


class NothingFoundError(BevError):
    """There is nothing at a path that is known here.

    Attributes:
        reason: what it would have to be.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f'{path}: nothing to evaluate: {reason}')
        self.reason = reason


def discover(path: Path, options: SceneOptions) -> tuple[list[Scene], list[Refusal]]:
    """Returns the scenes at a path, all of different names, and what is refused.

    Args:
        path: a recording (folder or file), a folder of recordings, the root or a version folder
            of nuScenes tables, or whatever a package of the entry-point group takes.
        options: which of them, and how they are read.

    Raises:
        NothingFoundError: there is nothing at the path whose format is known.
        BevError: it cannot be read, or options and path do not fit; says what to do.
    """
    if not path.exists():
        raise BevError(f'{path}: no such file or folder')
    if _is_bag(path):
        return _bags([path], path, options)
    version = find_version(path, options.version)
    if version is not None:
        return _nuscenes(version, options)
    scenes, broken = _of_other_packages(path, options.split)
    if scenes is not None:
        return _wanted(scenes, options.scenes, path)
    bags = _bags_below(path)
    if bags:
        return _bags(bags, path, options)
    failures = ''.join(f'; {failure}' for failure in broken)
    raise NothingFoundError(
        path,
        'it is no recording (rosbag2 folder, .mcap, .db3), holds none, and is no data set that is '
        f'known here (nuScenes tables{_known()}){failures}',
    )


def _is_bag(path: Path) -> bool:
    if path.is_file():
        return path.suffix in BAG_FILES
    return (path / _METADATA).is_file()


def _bags_below(path: Path) -> list[Path]:
    """Returns the recordings in a folder and its folders, sorted: bag folders and lone files."""
    folders = sorted(found.parent for found in path.rglob(_METADATA))
    files = [p for ending in BAG_FILES for p in path.rglob(f'*{ending}') if p.is_file()]
    alone = [p for p in files if not any(folder in p.parents for folder in folders)]
    return sorted([*folders, *alone])


def _bags(
    bags: Sequence[Path], path: Path, options: SceneOptions
) -> tuple[list[Scene], list[Refusal]]:
    if options.split is not None:
        raise BevError(f"{path}: split '{options.split}' is for data sets; recordings have none")
    if options.bag.truth_file is not None and len(bags) > 1:
        raise BevError(
            f'{path}: {options.bag.truth_file} is the ground truth of one recording, and there '
            f'are {len(bags)}; put <bag>_objects.json beside each'
        )
    names = _unique([_bag_name(bag, path) for bag in bags])
    scenes = [BagScene(name, bag, options.bag) for name, bag in zip(names, bags, strict=True)]
    # Frozen dataclasses are scenes, too, though the protocol's attributes could be set.
    return _wanted(cast(list[Scene], scenes), options.scenes, path)


def _bag_name(bag: Path, path: Path) -> str:
    """Returns the name of a recording, with the folders that it lies in below the path."""
    stem = bag.with_suffix('') if bag.is_file() else bag
    if bag == path:
        return stem.resolve().name
    return '_'.join(stem.relative_to(path).parts)


def _unique(names: Sequence[str]) -> list[str]:
    """Returns the names, those that are there again with a number."""
    taken, found = set(names), []
    seen = Counter[str]()
    for name in names:
        seen[name] += 1
        unique, number = name, seen[name]
        while number > 1 and unique in taken:
            unique, number = f'{name}_{number}', number + 1
        taken.add(unique)
        found.append(unique)
    return found


def _nuscenes(version: Version, options: SceneOptions) -> tuple[list[Scene], list[Refusal]]:
    names = scene_names(version, options.split)
    chosen = [name for name in names if not options.scenes or name in options.scenes]
    found: list[NuScenesScene] = []
    if chosen:
        records = read_scenes(version, set(chosen), sweeps=options.sweeps)
        labels = _unique([record.name.replace('/', '_') for record in records])
        found = [
            NuScenesScene(label, version.root, record)
            for label, record in zip(labels, records, strict=True)
        ]
    return cast(list[Scene], found), _unknown(options.scenes, names, version.folder)


def _of_other_packages(path: Path, split: str | None) -> tuple[Sequence[Scene] | None, list[str]]:
    """Returns the scenes that the first package finds which takes the path; what failed to load.

    Raises:
        BevError: from that package.
    """
    failures = []
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda e: e.name):
        try:
            reader: DatasetReader = entry.load()
        except ImportError as error:
            failures.append(f"format '{entry.name}' cannot be loaded: {error}")
            continue
        scenes = reader(path, split)
        if scenes is not None:
            return scenes, failures
    return None, failures


def _wanted(
    scenes: Sequence[Scene], names: Sequence[str], path: Path
) -> tuple[list[Scene], list[Refusal]]:
    found: list[Scene] = []
    refusals = _unknown(names, [scene.name for scene in scenes], path)
    for scene in scenes:
        if names and scene.name not in names:
            continue
        if any(scene.name == other.name for other in found):
            refusals.append(Refusal(scene.name, f'{path}: another scene has this name, too'))
        else:
            found.append(scene)
    return found, refusals


def _unknown(names: Iterable[str], known: Sequence[str], path: Path) -> list[Refusal]:
    there = f'{known[0]} to {known[-1]}' if known else 'none'
    return [
        Refusal(name, f'{path}: has no scene of this name; there is {there}')
        for name in names
        if name not in known
    ]


def _known() -> str:
    names = sorted(entry.name for entry in metadata.entry_points(group=GROUP))
    return ''.join(f', {name}' for name in names)
