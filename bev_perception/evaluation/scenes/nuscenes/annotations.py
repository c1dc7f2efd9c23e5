"""Annotated boxes out of the tables, with velocities as the development kit defines them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError
from bev_perception.evaluation.scenes.nuscenes.records import Annotations
from bev_perception.evaluation.scenes.nuscenes.rows import Row, rows
from bev_perception.geometry.pose import Matrix
from bev_perception.units import NS_PER_S

_MAX_TIME_DIFFERENCE_S = 1.5
_LEVEL = re.compile(r'v(\d+)-(\d+)')


@dataclass(frozen=True, eq=False)
class _Box:
    sample: str
    instance: str
    pose: Matrix
    size_m: tuple[float, float, float]
    visibility: float
    points: int
    before: str
    after: str


def read_annotations(folder: Path, stamps_ns: Mapping[str, int]) -> dict[str, Annotations]:
    """Returns the boxes of samples, by token of the sample; all samples are there.

    Args:
        folder: of the version.
        stamps_ns: of the samples that are wanted, by token.

    Raises:
        BevError: a table is missing or wrong, or there is no annotation at all.
    """
    visibility = {row.text('token'): _share(row) for row in rows(folder / 'visibility.json')}
    boxes: dict[str, _Box] = {}
    annotated = False
    for row in rows(folder / 'sample_annotation.json'):
        annotated = True
        if row.text('sample_token') in stamps_ns:
            boxes[row.text('token')] = _box(row, visibility)
    if not annotated:
        raise BevError(
            f'{folder / "sample_annotation.json"}: holds no annotation, so there is no ground '
            'truth (a test version?); take a version with annotations'
        )
    categories = _categories(folder, {box.instance for box in boxes.values()})
    by_sample: dict[str, list[_Box]] = {sample: [] for sample in stamps_ns}
    velocities: dict[str, list[NDArray[np.float64]]] = {sample: [] for sample in stamps_ns}
    for token, box in boxes.items():
        by_sample[box.sample].append(box)
        velocities[box.sample].append(_velocity(folder, token, boxes, stamps_ns))
    return {
        sample: _annotations(found, velocities[sample], categories)
        for sample, found in by_sample.items()
    }


def _box(row: Row, visibility: Mapping[str, float]) -> _Box:
    width, length, height = row.numbers('size', 3).tolist()
    shown = row.values.get('visibility_token') or ''
    return _Box(
        sample=row.text('sample_token'),
        instance=row.text('instance_token'),
        pose=row.pose(),
        size_m=(length, width, height),
        visibility=visibility.get(shown, math.nan),
        points=row.integer('num_lidar_pts') + row.integer('num_radar_pts'),
        before=row.text('prev'),
        after=row.text('next'),
    )


def _share(row: Row) -> float:
    """Returns the middle of a bin such as 'v40-60', as a share."""
    match = _LEVEL.fullmatch(row.text('level'))
    return (int(match[1]) + int(match[2])) / 200 if match else math.nan


def _categories(folder: Path, instances: set[str]) -> dict[str, str]:
    """Returns the name of the category by token of the instance."""
    names = {row.text('token'): row.text('name') for row in rows(folder / 'category.json')}
    found: dict[str, str] = {}
    for row in rows(folder / 'instance.json'):
        if row.text('token') not in instances:
            continue
        category = row.text('category_token')
        if category not in names:
            raise BevError(f"{row.table}: row {row.number}: there is no category '{category}'")
        found[row.text('token')] = names[category]
    lost = sorted(instances - set(found))
    if lost:
        raise BevError(f"{folder / 'instance.json'}: there is no instance '{lost[0]}'")
    return found


def _velocity(
    folder: Path, token: str, boxes: Mapping[str, _Box], stamps_ns: Mapping[str, int]
) -> NDArray[np.float64]:
    """Returns [3] in m/s: from the annotation before to that after, or the one there is.

    NaN with neither, and when they are more than 1.5 s apart for each step in between (see
    nuscenes-devkit, `NuScenes.box_velocity`).
    """
    box = boxes[token]
    first, last = (boxes.get(name or token) for name in (box.before, box.after))
    if first is None or last is None:
        name = box.before if first is None else box.after
        raise BevError(
            f"{folder / 'sample_annotation.json'}: annotation '{token}' goes on with '{name}', "
            'which is not there'
        )
    passed_s = (stamps_ns[last.sample] - stamps_ns[first.sample]) / NS_PER_S
    steps = bool(box.before) + bool(box.after)
    if not 0 < passed_s <= steps * _MAX_TIME_DIFFERENCE_S:
        return np.full(3, np.nan)
    return (last.pose[:3, 3] - first.pose[:3, 3]) / passed_s


def _annotations(
    boxes: Sequence[_Box],
    velocities: Sequence[NDArray[np.float64]],
    categories: Mapping[str, str],
) -> Annotations:
    return Annotations(
        tuple(box.instance for box in boxes),
        tuple(categories[box.instance] for box in boxes),
        np.array([box.pose for box in boxes], np.float64).reshape(-1, 4, 4),
        np.array([box.size_m for box in boxes], np.float64).reshape(-1, 3),
        np.array(velocities, np.float64).reshape(-1, 3),
        np.array([box.visibility for box in boxes], np.float64),
        np.array([box.points for box in boxes], np.int64),
    )
