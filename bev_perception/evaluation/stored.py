"""Runs on disk: what later comparisons need, and nothing that takes trust to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from bev_perception.errors import BevError
from bev_perception.evaluation.families import MetricOptions, metrics_for
from bev_perception.evaluation.metric import Predicts
from bev_perception.evaluation.records import pack, unpack
from bev_perception.evaluation.results import FrameNote
from bev_perception.evaluation.scene_run import SceneRun
from bev_perception.evaluation.scenes.scene import SceneInfo
from bev_perception.evaluation.summary import RunScenes
from bev_perception.files import write_atomically

FOLDER = 'records'
_FORMAT = 1


@dataclass(frozen=True)
class StoredScene:
    """Of one scene all but its records."""

    info: SceneInfo
    frames: int
    notes: tuple[FrameNote, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class StoredRun:
    """Of one run all but its records; `records/<index>.json`."""

    format: int
    model: str
    trained_on: str
    data: str
    predicts: Predicts
    options: MetricOptions
    scenes: tuple[StoredScene, ...]


def save_run(
    run: RunScenes, predicts: Predicts, options: MetricOptions, folder: Path, index: int
) -> None:
    """Writes a clean run below a folder: an index and an npz file per scene.

    Raises:
        OSError: it cannot be written.
    """
    place = folder / FOLDER
    (place / str(index)).mkdir(parents=True, exist_ok=True)
    names = {metric.name for metric in run.metrics}
    for number, scene in enumerate(run.scenes):
        kept = {name: records for name, records in scene.records.items() if name in names}
        write_atomically(place / str(index) / f'{number}.npz', pack(kept))
    stored = StoredRun(
        _FORMAT, run.model, run.trained_on, run.data, predicts, options,
        tuple(StoredScene(s.info, s.frames, s.notes, s.problems) for s in run.scenes),
    )  # fmt: skip
    text = json.dumps(asdict(stored), indent=1) + '\n'
    write_atomically(place / f'{index}.json', text.encode())


def load_runs(folder: Path) -> tuple[RunScenes, ...]:
    """Returns the clean runs that an evaluation has stored.

    Raises:
        BevError: there are none, or they are damaged or of another version.
    """
    files = sorted((folder / FOLDER).glob('*.json'), key=lambda path: (len(path.stem), path.stem))
    if not files:
        raise BevError(f'{folder}: holds no evaluation: {FOLDER}/0.json is missing')
    return tuple(_load(path) for path in files)


def _load(path: Path) -> RunScenes:
    try:
        content: Any = json.loads(path.read_bytes())
        if isinstance(content, Mapping) and content.get('format') != _FORMAT:
            raise BevError(f'{path}: has format {content.get("format")}, this program reads 1')
        stored = TypeAdapter(StoredRun).validate_python(content)
    except (OSError, ValueError, ValidationError) as error:
        raise BevError(f'{path}: cannot be read: {str(error).splitlines()[0]}') from error
    metrics = metrics_for(stored.predicts, stored.options)
    types = {metric.name: metric.record for metric in metrics}
    scenes = []
    for number, scene in enumerate(stored.scenes):
        file = path.with_suffix('') / f'{number}.npz'
        try:
            records = unpack(file.read_bytes(), types)
        except OSError as error:
            raise BevError(f'{file}: cannot be read: {error.strerror}') from error
        missing = [name for name in types if len(records.get(name, ())) != len(scene.notes)]
        if missing:
            raise BevError(f'{file}: does not fit {path.name}: {missing[0]} is incomplete')
        scenes.append(
            SceneRun(
                scene.info, scene.frames, scene.notes, records, scene.problems, {}, (),
                scene.info.duration_s, 0.0,
            )
        )  # fmt: skip
    return RunScenes(stored.model, stored.trained_on, stored.data, 'clean', metrics, tuple(scenes))
