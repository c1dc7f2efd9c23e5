"""A few frames of a scene as what clips are made of; cameras that fail are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError, ImageError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.model_input import ImageRemap
from bev_perception.geometry.pose import Matrix, invert
from bev_perception.inputs.image import CameraImage
from bev_perception.inputs.state import CameraState
from bev_trainer.data.clip import LostPart
from bev_trainer.data.scene_labels import SceneFrame, Sight
from bev_trainer.data.scene_lidar import LidarPoints, projected_depth
from bev_trainer.data.scene_places import LabelPlace
from bev_trainer.data.scene_reader import SceneReader
from bev_trainer.data.scene_view import RigView
from bev_trainer.errors import DatasetError

# A calibration that moves less than this within a clip is that of its last frame.
_STILL_M, _STILL_RAD = 0.05, np.deg2rad(1.0)


@dataclass(frozen=True)
class Asked:
    """What labels are for.

    Attributes:
        layers: of the model.
        sight: which road users count as visible.
    """

    layers: tuple[str, ...]
    sight: Sight


class SceneRecording:
    """Frames of a scene as `clip_maker.Recording`.

    Its cameras are those of the last of the frames in which each is calibrated.

    Args:
        reader: of the scene.
        frames: of the clip.
        places: those of them with labels.
        asked: what the labels are for.
        numbers: of the scene's tracks.
        views: of rigs, by their cameras; those that are missing are added.

    Attributes:
        lost: what the clip has to do without so far.
    """

    def __init__(
        self,
        reader: SceneReader,
        frames: Sequence[int],
        places: Sequence[LabelPlace],
        asked: Asked,
        numbers: Mapping[str, int],
        views: dict[tuple[bytes, ...], RigView],
    ) -> None:
        self._reader, self._table, self._asked = reader, reader.table, asked
        self._places = {place.frame: place for place in places}
        self._numbers, self._views, self._length = numbers, views, len(frames)
        self.lost: list[LostPart] = []
        self._scanned: dict[int, tuple[LidarPoints, ...]] = {}
        self._cameras = tuple(
            self._calibrated(frames, camera) for camera in range(len(self._table.names))
        )
        self._stamps_ns = tuple(self._table.stamps_ns.tolist())

    @property
    def cameras(self) -> Sequence[Camera | None]:
        return self._cameras

    @property
    def stamps_ns(self) -> Sequence[int]:
        return self._stamps_ns

    def ego_pose(self, frame: int) -> Matrix | None:
        return self._table.pose(frame)

    def image(self, frame: int, camera: int) -> CameraImage | None:
        try:
            image = self._reader.image(frame, camera)
            self._check_mount(frame, camera)
        except ImageError as error:
            self.unusable(camera, frame, str(error))
            return None
        return image

    def depth_m(self, frame: int, camera: int, remap: ImageRemap) -> NDArray[np.float32] | None:
        return self._depth(frame, camera, remap.target)

    def labels(self, frame: int, turn_rad: float, cameras: NDArray[np.bool_]) -> SceneFrame | None:
        """Returns what is known about a frame; None if it has no labels here.

        Raises:
            DatasetError: no camera shows anything of it.
        """
        place = self._places.get(frame)
        if place is None:
            return None
        if not cameras.any():
            why = f': {self.lost[-1]}' if self.lost else ''
            raise DatasetError(
                f'{self._reader.path}: no camera has an image at {self._stamps_ns[frame]} ns{why}'
            )
        return SceneFrame(
            self._reader.truth,
            place,
            self._view(),
            self._asked.layers,
            self._asked.sight,
            self._numbers,
            turn_rad,
            cameras,
            lambda camera: self._depth(frame, camera, self._cameras[camera]),
            lambda: self._scans(frame),
        )

    def unusable(self, camera: int, frame: int | None, reason: str) -> None:
        sensor = f"{self._reader.path}: camera '{self._table.names[camera]}'"
        place = sensor if frame is None else self._reader.place(frame, camera)
        images = self._length if frame is None else 1
        self.lost += images * [LostPart('image', sensor, place, reason)]

    def _calibrated(self, frames: Sequence[int], camera: int) -> Camera | None:
        found = (self._table.camera(frame, camera) for frame in reversed(frames))
        return next((one for one in found if one is not None), None)

    def _check_mount(self, frame: int, camera: int) -> None:
        own, common = self._table.camera(frame, camera), self._cameras[camera]
        if own is not None and common is not None and not _alike(own, common):
            raise ImageError(
                CameraState.BAD_CALIBRATION, 'its camera is calibrated otherwise later in the clip'
            )

    def _view(self) -> RigView:
        key = tuple(b'' if camera is None else camera.key() for camera in self._cameras)
        if key not in self._views:
            self._views[key] = RigView(self._cameras)
        return self._views[key]

    def _depth(self, frame: int, camera: int, target: Camera | None) -> NDArray[np.float32] | None:
        scans = () if target is None else self._scans(frame)
        if not scans or target is None:
            return None
        points = np.concatenate([scan.points_m for scan in scans])
        return projected_depth(points, target, self._moved(frame, camera))

    def _scans(self, frame: int) -> tuple[LidarPoints, ...]:
        if frame not in self._scanned:
            self._scanned[frame] = ()
            try:
                self._scanned[frame] = self._reader.scans(frame)
            except BevError as error:
                reason = str(error).removeprefix(f'{self._reader.path}: ')
                sensor = f'{self._reader.path}: lidar'
                place = f'{sensor} at {self._stamps_ns[frame]} ns'
                self.lost.append(LostPart('lidar scan', sensor, place, reason))
        return self._scanned[frame]

    def _moved(self, frame: int, camera: int) -> Matrix | None:
        """Returns [4, 4] from the base frame when a camera fires to that of the frame."""
        truth, fired_ns = self._reader.truth, int(self._table.image_ns[frame, camera])
        now, then = truth.pose_at(self._stamps_ns[frame]), truth.pose_at(fired_ns)
        return None if now is None or then is None else invert(now) @ then


def _alike(first: Camera, second: Camera) -> bool:
    """Returns whether two calibrations of a camera are as good as the same."""
    if first.key() == second.key():
        return True
    pose = np.eye(4)
    if first.with_pose(pose).key() != second.with_pose(pose).key():
        return False
    change = invert(first.base_T_camera) @ second.base_T_camera
    cosine = np.clip((np.trace(change[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)
    moved_m = float(np.linalg.norm(change[:3, 3]))
    return moved_m <= _STILL_M and bool(np.arccos(cosine) <= _STILL_RAD)
