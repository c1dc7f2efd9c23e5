"""From the data sections of a training file to sources of clips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from bev_perception.errors import BevError, ConfigError
from bev_perception.evaluation.report.numbers import plural
from bev_perception.evaluation.scenes.discover import NothingFoundError, discover
from bev_perception.evaluation.scenes.nuscenes.scene import NuScenesScene
from bev_perception.evaluation.scenes.nuscenes.tables import find_version
from bev_perception.evaluation.scenes.options import SceneOptions
from bev_perception.evaluation.scenes.scene import Scene
from bev_perception.model.config import ModelConfig
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection, DataSection
from bev_trainer.data.clip_source import ClipSource
from bev_trainer.data.drive_scene import DriveScene, drive_scenes
from bev_trainer.data.drive_source import DriveSource
from bev_trainer.data.scene_lidar import LidarScan, read_lidar_scans
from bev_trainer.data.scene_source import SceneSource, wants_lidar
from bev_trainer.data.splits import taken_split

T = TypeVar('T')

_log = logging.getLogger(__name__)


def open_sources(
    sections: Sequence[DataSection],
    config: ModelConfig,
    clip: ClipSection,
    augment: AugmentSection | None = None,
    seed: int = 0,
    *,
    views: bool = False,
    max_bad_share: float = 0.0,
) -> list[ClipSource]:
    """Returns the sources of clips; all clips get as many cameras as the largest rig has.

    A section's path is whatever `discover` understands. What cannot be used of it is left out,
    with one line each in the log and a count, as long as something is left; of the drives of a
    synthetic data set at most `max_bad_share`. With `views` there are targets in the images, too
    (`view_targets`).

    Raises:
        BevError: a data set is missing or damaged, or has no such split, or nothing that is long
            enough for a clip.
    """
    found = [
        _source(section, config, clip, augment, seed, views, max_bad_share) for section in sections
    ]
    cameras = max(source.cameras for source in found)
    for source in found:
        source.cameras = cameras
    return list(found)


def _source(
    section: DataSection,
    config: ModelConfig,
    clip: ClipSection,
    augment: AugmentSection | None,
    seed: int,
    views: bool,
    max_bad_share: float,
) -> DriveSource | SceneSource:
    scenes = _spread(_scenes(section), section.scenes)
    if all(isinstance(scene, DriveScene) for scene in scenes):
        drives = [scene.path for scene in cast(list[DriveScene], scenes)]
        source = DriveSource(drives, config, clip, None, augment, seed, views)
        _check_drives(section.path, source, len(drives), clip.frames, max_bad_share)
        _say_what_is_left_out(section.path, source)
        return source
    lidar = _lidar(section.path, scenes) if wants_lidar(config) else {}
    made = SceneSource(scenes, config, clip, None, augment, seed, lidar=lidar, views=views)
    _say_what_is_left_out(section.path, made)
    if not made.clips:
        first = f': {made.problems[0]}' if made.problems else ''
        others = len(made.problems) - 1
        more = f', and {plural(others, "problem")} more' if others > 0 else ''
        raise ConfigError(f'{section.path}: nothing in it makes a clip{first}{more}')
    return made


def _check_drives(
    path: Path, source: DriveSource, drives: int, frames: int, max_bad_share: float
) -> None:
    bad = len(source.problems)
    if bad and path.is_file():
        reason = source.problems[0].removeprefix(f"drive '{path.stem}': ")
        raise ConfigError(f'{path}: {reason}')
    if bad == drives or bad > max_bad_share * drives:
        said = f'{bad} of {plural(drives, "drive")} cannot be used'
        if 0.0 < max_bad_share < 1.0:
            said += f', more than run.max_bad_share = {max_bad_share:g} allows'
        raise ConfigError(f'{path}: {said}; the first: {source.problems[0]}')
    if not source.clips:
        raise ConfigError(
            f"{path}: no drive is long enough for {frames} labelled frames and the model's horizon"
        )


def _say_what_is_left_out(path: Path, source: ClipSource) -> None:
    for problem in source.problems:
        _log.warning('%s: %s', path, problem)
    if source.problems and source.clips:
        counts = plural(len(source.problems), 'problem'), plural(source.clips, 'clip')
        _log.warning('%s: %s; what remains: %s', path, *counts)


def _scenes(section: DataSection) -> Sequence[Scene]:
    """Returns all scenes of a section's split."""
    path, split = section.path, taken_split(section)
    try:
        scenes = drive_scenes(path, split)
        if scenes is None:
            scenes = _discovered(section, split)
    except NothingFoundError as error:
        raise ConfigError(f'{path}: nothing to train on: {error.reason}') from error
    except BevError as error:
        if split is None or "split '" not in str(error):
            raise
        raise ConfigError(f'{error} (`split: null` takes everything)') from error
    if not scenes:
        raise ConfigError(f"{path}: split '{split}' is empty")
    return scenes


def _discovered(section: DataSection, split: str | None) -> Sequence[Scene]:
    path = section.path
    scenes, refusals = discover(path, SceneOptions(split=split, sweeps=section.sweeps))
    for refusal in refusals:
        _log.warning("%s: scene '%s' is left out: %s", path, refusal.name, refusal.reason)
    return scenes


def _lidar(path: Path, scenes: Sequence[Scene]) -> dict[str, LidarScan]:
    samples = {
        sample.token
        for scene in scenes
        if isinstance(scene, NuScenesScene)
        for sample in scene.record.samples
    }
    version = find_version(path) if samples else None
    return {} if version is None else read_lidar_scans(version, samples)


def _spread(items: Sequence[T], count: int | None) -> list[T]:
    """Returns at most so many of the items, evenly spread."""
    if count is None or count >= len(items):
        return list(items)
    step = (len(items) - 1) / max(count - 1, 1)
    return [items[round(index * step)] for index in range(count)]
