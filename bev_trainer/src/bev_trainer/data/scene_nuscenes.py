"""nuScenes scenes by frame: every picture is a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.errors import ImageError
from bev_perception.evaluation.scenes.nuscenes.frame_sets import frame_sets
from bev_perception.evaluation.scenes.nuscenes.records import Image
from bev_perception.evaluation.scenes.nuscenes.scene import NuScenesScene, truth_frame
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import CameraSample, FrameSet
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_trainer.data.scene_lidar import LidarPoints, LidarScan
from bev_trainer.data.scene_reader import Indexed, missing
from bev_trainer.data.scene_table import FrameTable, frame_table

# Nothing is below it: so frame sets say which pictures belong together without reading them.
_NO_PICTURES = Path(os.devnull)


class NuScenesByFrame:
    """A scene of nuScenes tables by frame (`SceneReader`).

    What can be made of the rows is made when it is asked for, and not pickled.

    Args:
        scene: which.
        lidar: scans of its samples, by token.
    """

    def __init__(self, scene: NuScenesScene, lidar: Mapping[str, LidarScan]) -> None:
        self._scene, self._lidar = scene, dict(lidar)
        self.path = f"{scene.root}: scene '{scene.name}'"

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ('_scene', '_lidar', 'path')}

    @cached_property
    def truth(self) -> SceneTruth:
        """All of its ground truth."""
        return SceneTruth([truth_frame(sample) for sample in self._scene.record.samples])

    @cached_property
    def table(self) -> FrameTable:
        """All of its frame sets."""
        return frame_table(self._frame_sets())[0]

    def image(self, frame: int, camera: int) -> CameraImage:
        """Returns an image of a frame set."""
        picture = self._picture(frame, camera)
        if picture is None:
            raise missing(self.table.state(frame, camera))
        try:
            content = (self._scene.root / picture.filename).read_bytes()
        except OSError as error:
            raise ImageError(CameraState.MISSING, f'cannot be read: {error.strerror}') from error
        encoding = 'png' if picture.filename.lower().endswith('.png') else 'jpeg'
        return CameraImage(np.frombuffer(content, np.uint8), encoding, 0, 0, 0, compressed=True)

    def place(self, frame: int, camera: int) -> str:
        """Returns where an image of the scene is."""
        picture = self._picture(frame, camera)
        if picture is not None:
            return str(self._scene.root / picture.filename)
        stamp_ns = int(self.table.stamps_ns[frame])
        return f'{self.path}: {self.table.names[camera]} at {stamp_ns} ns'

    def scans(self, frame: int) -> tuple[LidarPoints, ...]:
        """Returns what the lidar has measured, in the base frame of a key frame."""
        scan = self._lidar.get(self._tokens.get(int(self.table.stamps_ns[frame]), ''))
        return () if scan is None else (scan.read(self._scene.root),)

    def close(self) -> None:
        """Forgets what was made of the rows."""
        self.__dict__ = self.__getstate__()

    @cached_property
    def _pictures(self) -> dict[tuple[str, int], Image]:
        return {(one.channel, one.stamp_ns): one for one in self._scene.record.images}

    @cached_property
    def _tokens(self) -> dict[int, str]:
        return {sample.stamp_ns: sample.token for sample in self._scene.record.samples}

    def _picture(self, frame: int, camera: int) -> Image | None:
        key = self.table.names[camera], int(self.table.image_ns[frame, camera])
        return self._pictures.get(key)

    def _frame_sets(self) -> Iterator[FrameSet]:
        for frames in frame_sets(self._scene.record, _NO_PICTURES):
            yield replace(frames, samples=tuple(map(self._there, frames.samples)))

    def _there(self, sample: CameraSample) -> CameraSample:
        if sample.stamp_ns is None:
            return sample
        camera = self._pictures[sample.name, sample.stamp_ns].camera
        return replace(sample, state=CameraState.USED, camera=camera)


def index_nuscenes(scene: NuScenesScene, lidar: Mapping[str, LidarScan]) -> Indexed:
    """Returns a scene by frame.

    Args:
        scene: which.
        lidar: scans of samples of any scenes, by token.

    Raises:
        BevError: none of its images is there.
    """
    with scene.open() as opened:
        problems = opened.problems
    mine = {s.token: lidar[s.token] for s in scene.record.samples if s.token in lidar}
    return Indexed(NuScenesByFrame(scene, mine), problems)
