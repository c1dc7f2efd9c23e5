"""Clips out of scenes: recordings, nuScenes, whatever else can be evaluated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bev_perception.errors import BevError
from bev_perception.evaluation.scenes.bag import BagScene
from bev_perception.evaluation.scenes.nuscenes.scene import NuScenesScene
from bev_perception.evaluation.scenes.scene import Scene
from bev_perception.model.config import ModelConfig
from bev_perception.model.parts import create_view_transform
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.clip_maker import ClipMaker
from bev_trainer.data.scene_bag import index_bag
from bev_trainer.data.scene_clips import Asked, SceneRecording
from bev_trainer.data.scene_labels import Sight, track_numbers
from bev_trainer.data.scene_lidar import LidarScan
from bev_trainer.data.scene_nuscenes import index_nuscenes
from bev_trainer.data.scene_places import LabelPlace, Needs, clip_starts, label_places
from bev_trainer.data.scene_reader import Indexed, SceneReader, index_sequential
from bev_trainer.data.scene_view import RigView

_OPEN_SCENES = 4
_RIGS = 16


@dataclass(frozen=True)
class _IndexedScene:
    """A scene with at least one clip.

    Attributes:
        name: of it.
        reader: of it.
        places: its frames with labels.
    """

    name: str
    reader: SceneReader
    places: tuple[LabelPlace, ...]


class SceneSource:
    """All stretches of `frames` successive labelled frames of scenes (`ClipSource`).

    Scenes are read once, here, to know their frames; then every clip is read by itself. What
    cannot be used is left out: scenes that cannot be opened, cameras whose image is missing or
    damaged (they are masked, and `Clip.lost` tells them), clips in which no camera is left
    (`clip` raises).

    Args:
        scenes: of any kind.
        config: of the model.
        section: what a clip is.
        cameras: that every clip has; None: as many as the largest rig has.
        augment: how clips that have a seed are changed.
        seed: of the rigs that are drawn.
        lidar: scans of nuScenes samples, by token.
        views: whether there are targets in the images.

    Attributes:
        cameras: as above; may be raised before the first clip.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        config: ModelConfig,
        section: ClipSection,
        cameras: int | None = None,
        augment: AugmentSection | None = None,
        seed: int = 0,
        *,
        lidar: Mapping[str, LidarScan] | None = None,
        views: bool = False,
    ) -> None:
        self._config, self._section = config, section
        self._augment, self._seed = augment or AugmentSection(), seed
        self._with_views = views
        self._asked = Asked(_layers(config), Sight(section.min_share, section.min_points))
        self._left_out: list[str] = []
        self._scenes: list[_IndexedScene] = []
        self._clips: list[tuple[int, int]] = []
        needs = Needs(_needs_objects(config), _horizon_s(config), section.every_s)
        for scene in scenes:
            self._add(scene, needs, lidar or {})
        self.cameras = cameras or max(
            (len(one.reader.table.names) for one in self._scenes), default=0
        )
        self._open: OrderedDict[int, dict[str, int]] = OrderedDict()
        self._maker: ClipMaker | None = None
        self._views: dict[tuple[bytes, ...], RigView] = {}

    def __getstate__(self) -> dict[str, Any]:
        fresh: dict[str, Any] = {'_open': OrderedDict(), '_maker': None, '_views': {}}
        return self.__dict__ | fresh

    @property
    def clips(self) -> int:
        """How many there are."""
        return len(self._clips)

    @property
    def scenes(self) -> int:
        """How many recordings they are of."""
        return len({scene for scene, _ in self._clips})

    @property
    def problems(self) -> tuple[str, ...]:
        """What is left out of the scenes, one line each; see `ClipSource`."""
        return tuple(self._left_out)

    def clip(self, index: int, seed: int | None, near: bool = False) -> Clip:
        """Returns a clip (batch 1); see `ClipSource`."""
        number, first = self._clips[index]
        scene = self._scenes[number]
        places = scene.places[first : first + self._section.frames]
        frames = [place.frame for place in places]
        if near and len(frames) > 1 and frames[-1] - frames[-2] > 1:
            younger = np.random.default_rng(seed).integers(frames[-2] + 1, frames[-1])
            frames = [*frames[:-2], int(younger), frames[-1]]
        recording = SceneRecording(
            scene.reader, frames, places, self._asked, self._opened(number), self._views
        )
        try:
            clip = self._made(recording, frames, seed)
            return replace(clip, lost=tuple(recording.lost))
        finally:
            if len(self._views) > _RIGS:
                self._views.clear()

    def _add(self, scene: Scene, needs: Needs, lidar: Mapping[str, LidarScan]) -> None:
        try:
            indexed = _indexed(scene, lidar, wants_lidar(self._config))
        except BevError as error:
            self._leave_out(scene.name, str(error))
            return
        reader = indexed.reader
        for problem in indexed.problems:
            self._leave_out(scene.name, problem)
        places = label_places(reader.truth, reader.table, needs)
        starts = clip_starts(places, reader.table.stamps_ns, self._section.frames, needs.every_s)
        reader.close()
        if not starts:
            self._leave_out(scene.name, _too_short(places, self._section.frames, needs))
            return
        self._clips += [(len(self._scenes), first) for first in starts]
        self._scenes.append(_IndexedScene(scene.name, reader, places))

    def _leave_out(self, scene: str, problem: str) -> None:
        self._left_out.append(f"scene '{scene}': {problem}")

    def _made(self, recording: SceneRecording, frames: Sequence[int], seed: int | None) -> Clip:
        if self._maker is None:
            transform = create_view_transform(self._config)
            self._maker = ClipMaker(
                self._config,
                transform,
                self.cameras,
                self._augment,
                self._seed,
                self._with_views,
            )
        return self._maker.clip(recording, frames, seed)

    def _opened(self, number: int) -> dict[str, int]:
        """Returns the numbers of a scene's tracks; scenes not asked for lately are closed."""
        reader = self._scenes[number].reader
        numbers = self._open.pop(number, None)
        self._open[number] = track_numbers(reader.truth) if numbers is None else numbers
        while len(self._open) > _OPEN_SCENES:
            self._scenes[self._open.popitem(last=False)[0]].reader.close()
        return self._open[number]


def wants_lidar(config: ModelConfig) -> bool:
    """Returns whether a model has targets that a lidar tells: depth, and what is free."""
    return config.depth is not None or config.heads.occupancy is not None


def _indexed(scene: Scene, lidar: Mapping[str, LidarScan], clouds: bool) -> Indexed:
    if isinstance(scene, BagScene):
        return index_bag(scene, clouds)
    if isinstance(scene, NuScenesScene):
        return index_nuscenes(scene, lidar)
    return index_sequential(scene)


def _layers(config: ModelConfig) -> tuple[str, ...]:
    semantics = config.heads.semantics
    return () if semantics is None else tuple(semantics.classes)


def _needs_objects(config: ModelConfig) -> bool:
    return config.heads.objects is not None or config.heads.motion is not None


def _horizon_s(config: ModelConfig) -> float:
    motion = config.heads.motion
    return motion.steps * motion.step_s if motion is not None else 0.0


def _too_short(places: Sequence[LabelPlace], frames: int, needs: Needs) -> str:
    if places:
        return (
            f'makes no clip: {len(places)} frames can be labelled, but {frames} are needed that '
            f'follow each other about {needs.every_s:g} s apart'
        )
    ahead = ''
    if needs.horizon_s:
        ahead = f', with tracks and ego poses over the {needs.horizon_s:g} s that follow'
    return f'makes no clip: no frame set has ground truth at its instant{ahead}'
