"""Reads a drive file: random access to images and labels, every byte checked."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bev_perception.errors import BevError
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert
from bev_trainer.dataset import members
from bev_trainer.dataset.archive import Archive
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.object_boxes import ObjectBoxes
from bev_trainer.dataset.object_table import ObjectTable, column_types
from bev_trainer.dataset.png import counts_to_depth, decode_png
from bev_trainer.errors import DatasetError
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.ground_raster import GroundRaster

FloatArray = NDArray[np.float64]

_FORMAT = 1


class Drive:
    """A drive file. Nothing is read before it is asked for.

    It may be shared among threads, forked and pickled: every process opens the file for itself.
    After `close`, or the end of its `with` block, it opens the file again when asked again.

    Args:
        path: of the file.

    Raises:
        DatasetError: from every method and attribute: the file is missing, damaged or of another
            format, or it does not hold what was asked for; names file, member and reason.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._archive = Archive(self.path)

    def __enter__(self) -> Drive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {'path': self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state['path'])  # type: ignore[misc]

    def close(self) -> None:
        """Closes the file; what was read stays."""
        self._archive.close()

    @cached_property
    def description(self) -> DriveDescription:
        """What the drive says about itself."""
        name = members.DESCRIPTION
        content = self._archive.read(name)
        try:
            found = json.loads(content)
            if isinstance(found, dict) and found.get('format') != _FORMAT:
                reason = f'has format {found.get("format")}; this program reads {_FORMAT}'
                raise self._archive.error(name, reason)
            return DriveDescription.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = '.'.join(str(part) for part in first['loc'])
            raise self._archive.error(name, f'is wrong: {place}: {first["msg"]}') from error
        except ValueError as error:
            raise self._archive.error(name, 'is not JSON') from error

    @cached_property
    def cameras(self) -> tuple[Camera, ...]:
        """The cameras of the rig, with intrinsics of the images here."""
        rig = self.description.rig  # its own errors name the file already
        try:
            cameras = [entry.camera() for entry in rig.cameras]
        except BevError as error:
            raise self._archive.error(members.DESCRIPTION, f'is wrong: {error}') from error
        complete = tuple(camera for camera in cameras if camera is not None)
        if len(complete) != len(cameras):
            raise self._archive.error(members.DESCRIPTION, 'is wrong: cameras without calibration')
        return complete

    @property
    def rays(self) -> tuple[FloatArray, ...]:
        """`Camera.rays` of every pixel of each camera, [H, W, 3]."""
        return tuple(_all_rays(_Keyed(camera.key(), camera)) for camera in self.cameras)

    @cached_property
    def label_grid(self) -> BevGrid:
        """The grid of the observed cells, in the base frame."""
        grid = self.description.label_grid
        return BevGrid(
            grid.x_min_m, grid.y_min_m, grid.resolution_m, size_x=grid.size_x, size_y=grid.size_y
        )

    @cached_property
    def world_T_base(self) -> FloatArray:
        """[F, 4, 4] poses at the frames' reference instants."""
        return self._array(members.WORLD_T_BASE, (self.frame_count, 4, 4), np.float64)

    @cached_property
    def camera_world_T_base(self) -> FloatArray:
        """[F, N, 4, 4] poses of the base at the cameras' own instants."""
        shape = (self.frame_count, len(self.cameras), 4, 4)
        return self._array(members.CAMERA_WORLD_T_BASE, shape, np.float64)

    @cached_property
    def objects(self) -> ObjectTable:
        """States of all road users at the frames' reference instants."""
        counts = (len(self.description.objects), self.frame_count, len(self.cameras))
        columns = {
            name: self._array(members.objects(name), shape, dtype)
            for name, (dtype, shape) in column_types(*counts).items()
        }
        return ObjectTable(**columns)

    @cached_property
    def ground(self) -> GroundRaster:
        """The ground around the drive."""
        layers = self._png(members.GROUND, np.uint8)
        (x_min_m, y_min_m), description = self.description.ground_origin_m, self.description
        return GroundRaster(layers, x_min_m, y_min_m, description.ground_resolution_m)

    @property
    def frame_count(self) -> int:
        """How many frames the drive has."""
        return len(self.description.frame_stamps_ns)

    def jpeg(self, frame: int, camera: int) -> bytes:
        """Returns the image of a camera at a frame as JPEG."""
        return self._archive.read(members.image(frame, camera))

    def image(self, frame: int, camera: int) -> NDArray[np.uint8]:
        """Returns the image of a camera at a frame: uint8 RGB [H, W, 3]."""
        name = members.image(frame, camera)
        coded = np.frombuffer(self._archive.read(name), np.uint8)
        image: Any = cv2.imdecode(coded, cv2.IMREAD_COLOR) if coded.size else None
        if image is None:
            raise self._archive.error(name, 'is not an image')
        self._check_size(name, image, camera)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def classes(self, frame: int, camera: int) -> NDArray[np.uint8]:
        """Returns the `SemanticClass` of every pixel [H, W] at a label frame."""
        return self._label('class', frame, camera, np.uint8)

    def instances(self, frame: int, camera: int) -> NDArray[np.uint16]:
        """Returns the instance of every pixel [H, W] at a label frame; 0 for none."""
        return self._label('instance', frame, camera, np.uint16)

    def depth_m(self, frame: int, camera: int) -> NDArray[np.float32]:
        """Returns the depth of every pixel [H, W] at a label frame, as `Shot.depth_m`.

        Rounded to 1/256 m; 0 where there is nothing within 255.99 m.
        """
        return counts_to_depth(self._label('depth', frame, camera, np.uint16))

    def observed(self, frame: int) -> NDArray[np.bool_]:
        """Returns which cells of `label_grid` each camera observes at a label frame: [N, Y, X]."""
        name = members.observed(frame)
        self._check_labelled(name, frame)
        shape = (len(self.cameras), *self.label_grid.shape)
        count = int(np.prod(shape))
        packed = self._array(name, ((count + 7) // 8,), np.uint8)
        return np.unpackbits(packed, count=count).reshape(shape).view(np.bool_)

    def boxes(self, frame: int, in_base: bool = True) -> BoxArray:
        """Returns the boxes of all road users present at a frame's reference instant.

        In the base frame of that instant, or in the world frame.
        """
        self._check_frame(frame)
        boxes = self._boxes.at_frame(frame)
        return boxes.transformed(invert(self.world_T_base[frame])) if in_base else boxes

    def boxes_at(self, stamp_ns: int, in_base_of_frame: int | None = None) -> BoxArray:
        """Returns the boxes at any instant, for example at which a camera has fired.

        In the base frame of a frame's reference instant, or in the world frame. See
        `ObjectBoxes.at`; at most one frame's time before the first or after the last.
        """
        boxes = self._boxes.at(stamp_ns)
        if boxes is None:
            raise DatasetError(f'{self.path}: the drive does not last until {stamp_ns} ns')
        if in_base_of_frame is None:
            return boxes
        self._check_frame(in_base_of_frame)
        return boxes.transformed(invert(self.world_T_base[in_base_of_frame]))

    def stamp_ns(self, frame: int) -> int:
        """Returns the reference instant of a frame."""
        self._check_frame(frame)
        return self.description.frame_stamps_ns[frame]

    def camera_stamp_ns(self, frame: int, camera: int) -> int:
        """Returns when a camera fired."""
        return self.stamp_ns(frame) + self.description.camera_offsets_ns[camera]

    def base_T_camera_base(self, frame: int) -> FloatArray:
        """Returns [N, 4, 4]: maps the base frame at each camera's instant to the reference one."""
        self._check_frame(frame)
        return invert(self.world_T_base[frame]) @ self.camera_world_T_base[frame]

    @cached_property
    def _boxes(self) -> ObjectBoxes:
        try:
            return ObjectBoxes(self.description, self.objects)
        except ValueError as error:
            raise self._archive.error(members.DESCRIPTION, f'is wrong: {error}') from error

    def _check_frame(self, frame: int) -> None:
        if not 0 <= frame < self.frame_count:
            last = self.frame_count - 1
            raise DatasetError(f'{self.path}: has frames 0 to {last}, not {frame}')

    def _check_labelled(self, name: str, frame: int) -> None:
        if frame not in self.label_frames:
            raise self._archive.error(name, f'is missing: frame {frame} carries no dense labels')

    @cached_property
    def label_frames(self) -> frozenset[int]:
        """The frames with dense labels."""
        return frozenset(self.description.label_frames)

    def _label(
        self, kind: members.LabelKind, frame: int, camera: int, dtype: type
    ) -> NDArray[Any]:
        name = members.label(kind, frame, camera)
        self._check_labelled(name, frame)
        image = self._png(name, dtype)
        self._check_size(name, image, camera)
        return image

    def _check_size(self, name: str, image: NDArray[Any], camera: int) -> None:
        wanted = self.cameras[camera]
        if image.shape[:2] != (wanted.height, wanted.width):
            size = f'{image.shape[1]} x {image.shape[0]}'
            raise self._archive.error(
                name, f'is {size} pixels, its camera has {wanted.width} x {wanted.height}'
            )

    def _png(self, name: str, dtype: type) -> NDArray[Any]:
        content = self._archive.read(name)
        try:
            return decode_png(content, dtype)
        except ValueError as error:
            raise self._archive.error(name, str(error)) from error

    def _array(self, name: str, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        content = io.BytesIO(self._archive.read(name))
        try:
            array = np.lib.format.read_array(content, allow_pickle=False)
        except ValueError as error:
            raise self._archive.error(name, 'is not an array') from error
        if array.shape != shape or array.dtype != dtype:
            found = f'{array.dtype.name} {array.shape}'
            raise self._archive.error(name, f'must be {np.dtype(dtype).name} {shape}, is {found}')
        return array


@dataclass(frozen=True)
class _Keyed:
    """A camera that is equal to others of the same calibration."""

    key: bytes
    camera: Camera = field(compare=False)


@lru_cache(maxsize=64)
def _all_rays(keyed: _Keyed) -> FloatArray:
    """Returns the rays of all pixels; drives of one rig share them."""
    camera = keyed.camera
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays: FloatArray = camera.rays(np.stack([u, v], axis=-1))
    rays.setflags(write=False)
    return rays
