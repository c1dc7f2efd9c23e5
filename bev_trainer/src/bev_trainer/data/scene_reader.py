"""Frame sets of a scene by number: what random access to training data takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError, ImageError
from bev_perception.evaluation.scenes.scene import Scene
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_trainer.data.scene_lidar import LidarPoints
from bev_trainer.data.scene_table import FrameTable, frame_table

_KEPT = 24  # frame sets: a few megabytes each


class SceneReader(Protocol):
    """A scene whose frame sets are known, and whose images are read when they are asked for.

    It is picklable: every process opens the files for itself.
    """

    @property
    def path(self) -> str:
        """Where the scene is, for messages."""

    @property
    def truth(self) -> SceneTruth:
        """All of its ground truth."""

    @property
    def table(self) -> FrameTable:
        """All of its frame sets."""

    def image(self, frame: int, camera: int) -> CameraImage:
        """Returns an image of a frame set, not decoded.

        Raises:
            ImageError: there is none, or it cannot be read; why.
            BevError: the scene is not there any more.
        """

    def place(self, frame: int, camera: int) -> str:
        """Returns where an image of the scene is, for messages."""

    def scans(self, frame: int) -> tuple[LidarPoints, ...]:
        """Returns what each lidar has measured, in the base frame of a frame set.

        Raises:
            BevError: they cannot be read.
        """

    def close(self) -> None:
        """Closes what is open; it is opened again when it is asked for."""


@dataclass(frozen=True)
class Indexed:
    """A scene that clips can be made of.

    Attributes:
        reader: of it.
        problems: what is left out of it, one line each.
    """

    reader: SceneReader
    problems: tuple[str, ...]


class SequentialReader:
    """A scene that can only be read from start to end (`SceneReader`).

    It goes on from where it is when a later frame is asked for, and keeps the last few.

    Args:
        scene: of any kind.
        truth: of the scene.
        table: of its frame sets.
    """

    def __init__(self, scene: Scene, truth: SceneTruth, table: FrameTable) -> None:
        self._scene, self.truth, self.table = scene, truth, table
        self.path = str(getattr(scene, 'path', scene.name))
        self._numbers = {stamp_ns: n for n, stamp_ns in enumerate(table.stamps_ns.tolist())}
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        closed: dict[str, Any] = {'_stack': ExitStack(), '_coming': None, '_at': -1}
        return self.__dict__ | closed | {'_kept': OrderedDict()}

    def image(self, frame: int, camera: int) -> CameraImage:
        """Returns an image of a frame set."""
        if frame not in self._kept:
            self._read(frame)
        sample = self._kept[frame][camera]
        if sample.image is None:
            raise missing(sample.state)
        return sample.image

    def place(self, frame: int, camera: int) -> str:
        """Returns where an image of the scene is."""
        stamp_ns = int(self.table.stamps_ns[frame])
        return f"{self.path}: camera '{self.table.names[camera]}' at {stamp_ns} ns"

    def scans(self, frame: int) -> tuple[LidarPoints, ...]:
        """Returns nothing: scenes say nothing about lidars."""
        return ()

    def close(self) -> None:
        """Closes the scene."""
        self._stack.close()
        self._forget()

    def _forget(self) -> None:
        self._stack = ExitStack()
        self._coming: Iterator[FrameSet] | None = None
        self._at = -1
        self._kept: OrderedDict[int, tuple[CameraSample, ...]] = OrderedDict()

    def _read(self, frame: int) -> None:
        if self._coming is None or frame <= self._at:
            self.close()
            self._coming = self._stack.enter_context(self._scene.open()).frame_sets()
        for found in self._coming:
            number = self._numbers.get(found.stamp_ns, -1)
            if number <= self._at:
                continue
            self._at = number
            self._kept[number] = found.samples
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            if number == frame:
                return
        self.close()
        stamp_ns = int(self.table.stamps_ns[frame])
        raise BevError(f'{self.path}: its frame set at {stamp_ns} ns is not there any more')


def index_sequential(scene: Scene) -> Indexed:
    """Returns a scene of any kind, after reading it from start to end.

    Raises:
        BevError: it cannot be opened.
    """
    with scene.open() as opened:
        table, problems = frame_table(opened.frame_sets())
        truth, unsound = sound_truth(opened.truth)
        reader = SequentialReader(scene, truth, table)
        return Indexed(reader, (*opened.problems, *problems, *unsound))


def sound_truth(truth: SceneTruth) -> tuple[SceneTruth, tuple[str, ...]]:
    """Returns ground truth without objects that are no boxes, and what is left out."""
    lost, first_ns, frames = 0, 0, []
    for frame in truth.frames:
        sound = None if frame.objects is None else _is_box(frame.objects)
        if frame.objects is not None and sound is not None and not sound.all():
            first_ns = first_ns or frame.stamp_ns
            lost += int((~sound).sum())
            frame = replace(frame, objects=frame.objects.selected(sound))
        frames.append(frame)
    if not lost:
        return truth, ()
    problem = (
        f'{lost} objects are left out: place, size or heading are no numbers, or a size is not '
        f'positive; the first is at {first_ns} ns'
    )
    return SceneTruth(frames), (problem,)


def _is_box(objects: TruthObjects) -> NDArray[np.bool_]:
    """Returns bool [M]."""
    numbers = np.column_stack([objects.center_m, objects.size_m, objects.yaw_rad])
    return np.asarray(np.isfinite(numbers).all(axis=-1) & (objects.size_m > 0.0).all(axis=-1))


def missing(state: CameraState) -> ImageError:
    """Returns the error of an image that a frame set does not have."""
    return ImageError(state, f'has no image: {state.name.lower().replace("_", " ")}')
