"""Finds and reads nuScenes data sets: version folders, splits, and the records of scenes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bev_perception.errors import BevError
from bev_perception.evaluation.scenes.nuscenes.annotations import read_annotations
from bev_perception.evaluation.scenes.nuscenes.records import (
    Annotations,
    Image,
    Sample,
    SceneRecord,
)
from bev_perception.evaluation.scenes.nuscenes.rows import rows
from bev_perception.evaluation.scenes.nuscenes.sensors import NS_PER_US, Reading, read_readings
from bev_perception.geometry.pose import Matrix
from bev_perception.inputs.ego_motion import EgoMotion

_MARKS = ('scene.json', 'sample.json', 'sample_data.json')
_FOR_EVER_S = 1e9


@dataclass(frozen=True)
class Version:
    """Where the tables of a data set lie.

    Attributes:
        root: folder that file names are relative to.
        name: of the folder with the tables, such as 'v1.0-mini'.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Folder with the tables."""
        return self.root / self.name


def find_version(path: Path, name: str | None = None) -> Version | None:
    """Returns the tables in a data set's root, or in a version folder; None if there are none.

    Raises:
        BevError: there are several versions and none is named, or not the one that is named.
    """
    if _has_tables(path) and name in (None, path.name):
        return Version(path.parent, path.name)
    if not path.is_dir():
        return None
    names = sorted(child.name for child in path.iterdir() if _has_tables(child))
    if not names:
        return None
    if name is None and len(names) > 1:
        raise BevError(f'{path}: has several versions ({", ".join(names)}); name one of them')
    if name is not None and name not in names:
        raise BevError(f"{path}: has no version '{name}'; there is {', '.join(names)}")
    return Version(path, name or names[0])


def scene_names(version: Version, split: str | None = None) -> tuple[str, ...]:
    """Returns the names of all scenes in the order of the table, or of those of a split.

    Splits are those of `splits.json` beside the tables: 'val' also finds 'synth_val'.

    Raises:
        BevError: a table is missing, or there is no such split.
    """
    names = tuple(row.text('name') for row in rows(version.folder / 'scene.json'))
    if split is None:
        return names
    wanted = _split(version.folder / 'splits.json', split)
    lost = sorted(set(wanted) - set(names))
    if lost:
        raise BevError(
            f"{version.folder}: split '{split}' names scene '{lost[0]}', which is not there"
        )
    return tuple(name for name in names if name in set(wanted))


def read_scenes(
    version: Version, names: Collection[str], *, sweeps: bool = False
) -> list[SceneRecord]:
    """Returns scenes in the order of the table.

    The tables are read once, row by row: what is kept grows with these scenes alone.

    Args:
        version: of the data set.
        names: of the scenes.
        sweeps: whether images between key frames are wanted, too.

    Raises:
        BevError: a table is missing or wrong; names table, row and column.
    """
    folder = version.folder
    scenes = {
        row.text('token'): row.text('name')
        for row in rows(folder / 'scene.json')
        if row.text('name') in names
    }
    stamps_ns: dict[str, dict[str, int]] = {scene: {} for scene in scenes}
    for row in rows(folder / 'sample.json'):
        if row.text('scene_token') in scenes:
            stamp_ns = row.integer('timestamp') * NS_PER_US
            stamps_ns[row.text('scene_token')][row.text('token')] = stamp_ns
    scene_of = {sample: scene for scene, found in stamps_ns.items() for sample in found}
    readings: dict[str, list[Reading]] = {scene: [] for scene in scenes}
    for reading in read_readings(folder, scene_of.keys(), sweeps):
        readings[scene_of[reading.sample]].append(reading)
    wanted = {sample: ns for found in stamps_ns.values() for sample, ns in found.items()}
    annotations = read_annotations(folder, wanted)
    return [
        _record(folder, name, stamps_ns[scene], readings[scene], annotations)
        for scene, name in scenes.items()
    ]


def _record(
    folder: Path,
    name: str,
    stamps_ns: Mapping[str, int],
    readings: Sequence[Reading],
    annotations: Mapping[str, Annotations],
) -> SceneRecord:
    if not stamps_ns:
        raise BevError(f"{folder / 'sample.json'}: scene '{name}' has no sample")
    if len(set(stamps_ns.values())) < len(stamps_ns):
        raise BevError(f"{folder / 'sample.json'}: scene '{name}' has two samples of one time")
    motion = EgoMotion(_FOR_EVER_S)
    poses = {reading.stamp_ns: reading.global_T_base for reading in readings}
    for stamp_ns in sorted(poses):
        motion.add(stamp_ns, poses[stamp_ns])
    samples = []
    for token, stamp_ns in sorted(stamps_ns.items(), key=lambda item: item[1]):
        pose = _ego_pose(motion, stamp_ns, f"{folder}: scene '{name}': sample '{token}'")
        samples.append(Sample(token, stamp_ns, pose, annotations[token]))
    images: list[Image] = [r.image for r in readings if r.image is not None]
    return SceneRecord(
        name,
        tuple(samples),
        tuple(sorted(images, key=lambda image: (image.stamp_ns, image.channel))),
        np.array(sorted(poses), np.int64),
        np.array([poses[stamp_ns] for stamp_ns in sorted(poses)], np.float64).reshape(-1, 4, 4),
    )


def _ego_pose(motion: EgoMotion, stamp_ns: int, what: str) -> Matrix:
    """Returns the pose at a sample's own stamp: that of its lidar, else between its images."""
    pose = motion.pose_at(stamp_ns)
    if pose is None:
        raise BevError(f'{what} has no image or lidar scan near its time, and so no ego pose')
    return np.asarray(pose, np.float64)


def _has_tables(folder: Path) -> bool:
    return all((folder / mark).is_file() for mark in _MARKS)


def _split(path: Path, split: str) -> list[str]:
    try:
        splits = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise BevError(
            f"{path}: no such file, so split '{split}' is not known; name the scenes instead"
        ) from error
    except (OSError, ValueError) as error:
        raise BevError(f'{path}: cannot be read as JSON') from error
    if not isinstance(splits, dict) or not all(_is_names(v) for v in splits.values()):
        raise BevError(f'{path}: must be an object of lists of scene names')
    found = [key for key in sorted(splits) if key == split or key.endswith(f'_{split}')]
    exact = [key for key in found if key == split]
    if len(exact or found) != 1:
        raise BevError(
            f"{path}: has {'several splits' if found else 'no split'} '{split}'; there is "
            f'{", ".join(sorted(splits))}'
        )
    return list(splits[(exact or found)[0]])


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
