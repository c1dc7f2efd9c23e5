"""Writes a drive file: whole under its name, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bev_trainer.dataset import members
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.object_table import ObjectTable, column_types
from bev_trainer.dataset.png import depth_to_counts, encode_png
from bev_trainer.errors import DatasetError
from bev_trainer.world.ground_raster import GroundRaster

FloatArray = NDArray[np.float64]

_DATE = (1980, 1, 1, 0, 0, 0)  # a zip cannot say 'none'; equal content gives equal bytes
_MODE = 0o100644 << 16
_UNIX = 3
_UNFINISHED = '.part'


class DriveWriter:
    """A drive file in the making, to be used in a `with` block.

    Everything goes to a hidden file beside the final one. `finish` checks that it is complete and
    gives it its name; leaving the block in any other way removes it. A process that is killed
    leaves the hidden file behind: see `remove_unfinished`.

    Args:
        folder: where the file is to be; exists.
        name: the file will be `<name>.zip`.

    Raises:
        DatasetError: from every method: the file cannot be written (disk full, permission).
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = Path(folder) / f'{name}.zip'
        self._name = name
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._scratch: Path | None = None

    def __enter__(self) -> DriveWriter:
        with self._disk():
            handle, scratch = tempfile.mkstemp(
                prefix=f'.{self._path.name}.', suffix=_UNFINISHED, dir=self._path.parent
            )
            self._scratch = Path(scratch)
            self._file: IO[bytes] = os.fdopen(handle, 'w+b')
            self._zip = zipfile.ZipFile(self._file, 'w')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._scratch is None:
            return
        for close in (self._zip.close, self._file.close):
            with suppress(OSError):  # the disk may be full; the file goes in any case
                close()
        self._scratch.unlink(missing_ok=True)
        self._scratch = None

    def add_image(self, frame: int, camera_index: int, jpeg: bytes) -> None:
        """Adds the JPEG of a camera at a frame; the reader wants uint8 RGB or grey in it."""
        self._add(members.image(frame, camera_index), jpeg, ())

    def add_labels(
        self,
        frame: int,
        camera_index: int,
        classes: NDArray[np.uint8],
        instances: NDArray[np.uint16],
        depth_m: NDArray[np.float32],
    ) -> None:
        """Adds the label images [H, W] of a camera at a frame.

        Raises:
            ValueError: wrong type or shape, or depth that is negative or not finite.
        """
        if classes.dtype != np.uint8 or instances.dtype != np.uint16:
            raise ValueError(f'must be uint8 and uint16, got {classes.dtype}, {instances.dtype}')
        counts = depth_to_counts(depth_m)
        images: tuple[tuple[members.LabelKind, NDArray[np.uint8] | NDArray[np.uint16]], ...] = (
            ('class', classes),
            ('instance', instances),
            ('depth', counts),
        )
        for kind, image in images:
            name = members.label(kind, frame, camera_index)
            self._add(name, encode_png(image, areas=kind != 'depth'), image.shape)

    def add_observed(self, frame: int, observed: NDArray[np.bool_]) -> None:
        """Adds which cells [N, Y, X] of the label grid each camera observes at a frame."""
        if observed.dtype != np.bool_ or observed.ndim != 3:
            raise ValueError(f'must be bool [N, Y, X], got {observed.dtype} {observed.shape}')
        self._add_array(members.observed(frame), np.packbits(observed), observed.shape)

    def finish(
        self,
        description: DriveDescription,
        world_T_base: FloatArray,
        camera_world_T_base: FloatArray,
        objects: ObjectTable,
        ground: GroundRaster,
    ) -> str:
        """Completes the file, waits until it is on disk and gives it its name.

        Args:
            description: of the drive.
            world_T_base: [F, 4, 4] at the frames' reference instants.
            camera_world_T_base: [F, N, 4, 4] at the cameras' own instants.
            objects: of the drive.
            ground: around the drive.

        Returns:
            SHA-256 of the file, hexadecimal.

        Raises:
            DatasetError: something that the description announces was not added, or does not fit.
        """
        self._check(description, objects, ground)
        frames, cameras = len(description.frame_stamps_ns), len(description.rig.cameras)
        poses = {
            members.WORLD_T_BASE: (world_T_base, (frames, 4, 4)),
            members.CAMERA_WORLD_T_BASE: (camera_world_T_base, (frames, cameras, 4, 4)),
        }
        for name, (pose, shape) in poses.items():
            if pose.shape != shape:
                raise self._unfit(name, f'has shape {pose.shape}, must be {shape}')
            self._add_array(name, np.asarray(pose, np.float64), shape)
        for column in column_types(len(description.objects), frames, cameras):
            array = getattr(objects, column)
            self._add_array(members.objects(column), array, array.shape)
        self._add(members.GROUND, encode_png(ground.layers, areas=True), ground.layers.shape)
        self._add(members.DESCRIPTION, description.model_dump_json(indent=1).encode(), ())
        return self._publish()

    def _publish(self) -> str:
        assert self._scratch is not None
        with self._disk():
            self._zip.close()
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o644)
            os.fsync(self._file.fileno())
            digest = _sha256(self._file)
            self._file.close()
            os.replace(self._scratch, self._path)
            self._scratch = None
            _sync_folder(self._path.parent)
        return digest

    def _add_array(self, name: str, array: NDArray, shape: tuple[int, ...]) -> None:
        content = io.BytesIO()
        np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
        self._add(name, content.getvalue(), shape, zipfile.ZIP_DEFLATED)

    def _add(
        self, name: str, content: bytes, shape: tuple[int, ...], method: int = zipfile.ZIP_STORED
    ) -> None:
        if self._scratch is None:
            raise ValueError(f'{self._path}: nothing can be added outside the `with` block')
        if name in self._shapes:
            raise ValueError(f'{self._path}: {name} was added before')
        member = zipfile.ZipInfo(name, _DATE)
        member.compress_type, member.external_attr, member.create_system = method, _MODE, _UNIX
        with self._disk():
            self._zip.writestr(member, content)
        self._shapes[name] = shape

    def _check(
        self, description: DriveDescription, objects: ObjectTable, ground: GroundRaster
    ) -> None:
        if description.name != self._name:
            raise self._unfit(members.DESCRIPTION, f"calls the drive '{description.name}'")
        wanted = dict(_announced(description))
        for name, shape in wanted.items():
            if name not in self._shapes:
                raise self._unfit(name, 'was not added')
            if self._shapes[name] != shape:
                raise self._unfit(name, f'has shape {self._shapes[name]}, must be {shape}')
        unknown = next((name for name in self._shapes if name not in wanted), None)
        if unknown is not None:
            raise self._unfit(unknown, 'was added, but the description does not announce it')
        counts = (len(description.objects), len(description.frame_stamps_ns))
        columns = column_types(*counts, len(description.rig.cameras))
        for name, (dtype, shape) in columns.items():
            array = getattr(objects, name)
            if (array.dtype, array.shape) != (dtype, shape):
                found, needed = f'{array.dtype} {array.shape}', f'{dtype} {shape}'
                raise self._unfit(members.objects(name), f'is {found}, must be {needed}')
        lower = (ground.x_min_m, ground.y_min_m)
        resolution_m = description.ground_resolution_m
        if lower != description.ground_origin_m or ground.resolution_m != resolution_m:
            raise self._unfit(members.GROUND, 'lies elsewhere than the description says')

    def _unfit(self, member: str, reason: str) -> DatasetError:
        return DatasetError(f'{self._path}: not finished: {member} {reason}')

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise DatasetError(f'{self._path}: cannot be written: {reason}') from error


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left in a folder; nobody may be writing there.

    Raises:
        DatasetError: it cannot be removed.
    """
    for path in sorted(folder.glob(f'.*.zip.*{_UNFINISHED}')):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise DatasetError(f'{path}: cannot be removed: {error.strerror}') from error


def _announced(description: DriveDescription) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields name and shape of all members that come frame by frame."""
    sizes = []
    for camera in description.rig.cameras:
        if camera.intrinsics is None:
            raise DatasetError(
                f"drive {description.name}: camera '{camera.name}' lacks intrinsics"
            )
        sizes.append((camera.intrinsics.height, camera.intrinsics.width))
    for frame in range(len(description.frame_stamps_ns)):
        for index in range(len(sizes)):
            yield members.image(frame, index), ()
    grid = description.label_grid
    kinds: tuple[members.LabelKind, ...] = ('class', 'instance', 'depth')
    for frame in description.label_frames:
        for index, size in enumerate(sizes):
            for kind in kinds:
                yield members.label(kind, frame, index), size
        yield members.observed(frame), (len(sizes), grid.size_y, grid.size_x)


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
