"""Clips out of a data set of synthetic drives, by number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.model.config import ModelConfig
from bev_perception.model.parts import create_view_transform
from bev_trainer.augment.plan import AugmentSection
from bev_trainer.config.sections import ClipSection
from bev_trainer.data.clip import Clip
from bev_trainer.data.drive_clips import DriveClips
from bev_trainer.data.drive_labels import label_frames
from bev_trainer.dataset.reader import Drive
from bev_trainer.errors import DatasetError

_OPEN_DRIVES = 4  # their rays, grounds and tables stay in memory


@dataclass(frozen=True)
class _Place:
    """First label frame of a clip, counted among those of its drive."""

    drive: int
    first: int


class DriveSource:
    """All stretches of `frames` successive label frames of drives (`ClipSource`).

    Drives that cannot be opened are left out; `problems` tells them.

    Args:
        drives: files.
        config: of the model.
        section: what a clip is.
        cameras: that every clip gets; None: as many as the largest rig has.
        augment: how clips that have a seed are changed.
        seed: of the rigs that are drawn.
        views: whether there are targets in the images.
    """

    def __init__(
        self,
        drives: list[Path],
        config: ModelConfig,
        section: ClipSection,
        cameras: int | None = None,
        augment: AugmentSection | None = None,
        seed: int = 0,
        views: bool = False,
    ) -> None:
        self._drives, self._config, self._section = drives, config, section
        self._augment, self._seed = augment or AugmentSection(), seed
        self._views = views
        self._places: list[_Place] = []
        self._left_out: list[str] = []
        largest = 0
        for index, path in enumerate(drives):
            try:
                largest = max(largest, self._add(index))
            except DatasetError as error:
                reason = str(error).removeprefix(f'{path}: ')
                self._left_out.append(f"drive '{path.stem}': {reason}")
        self.cameras = cameras or largest
        self._open: OrderedDict[int, Drive] = OrderedDict()
        self._maker: DriveClips | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_open': OrderedDict(), '_maker': None}

    @property
    def clips(self) -> int:
        return len(self._places)

    @property
    def scenes(self) -> int:
        return len({place.drive for place in self._places})

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._left_out)

    def clip(self, index: int, seed: int | None, near: bool = False) -> Clip:
        place = self._places[index]
        drive = self._drive(place.drive)
        wanted = list(label_frames(drive, self._horizon_s()))
        frames = wanted[place.first : place.first + self._section.frames]
        if near and len(frames) > 1 and frames[-1] - frames[-2] > 1:
            rng = np.random.default_rng(seed)
            younger = int(rng.integers(frames[-2] + 1, frames[-1]))
            frames = [*frames[:-2], younger, frames[-1]]
        if self._maker is None:
            transform = create_view_transform(self._config)
            self._maker = DriveClips(
                self._config,
                transform,
                self.cameras,
                self._section.min_pixels,
                self._augment,
                self._seed,
                self._views,
            )
        return self._maker.clip(drive, frames, seed)

    def _add(self, index: int) -> int:
        """Finds the clips of a drive; returns how many cameras it has."""
        with Drive(self._drives[index]) as drive:
            count = len(label_frames(drive, self._horizon_s())) - self._section.frames + 1
            cameras = len(drive.cameras)
        self._places += [_Place(index, first) for first in range(max(0, count))]
        return cameras

    def _horizon_s(self) -> float:
        motion = self._config.heads.motion
        return motion.steps * motion.step_s if motion is not None else 0.0

    def _drive(self, index: int) -> Drive:
        drive = self._open.pop(index, None) or Drive(self._drives[index])
        self._open[index] = drive
        while len(self._open) > _OPEN_DRIVES:
            self._open.popitem(last=False)[1].close()
        return drive
