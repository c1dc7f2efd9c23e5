"""Makers of worlds and drives that take milliseconds, and some that fail in the worker."""

from __future__ import annotations

import errno
import os
import resource
import signal
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from bev_trainer.dataset.description import DriveDescription, GridSection, WeatherSection
from bev_trainer.dataset.object_table import ObjectTable, column_types
from bev_trainer.dataset.writer import DriveWriter
from bev_trainer.errors import DatasetError, SimulationError
from bev_trainer.simulate.job import DriveJob, NetworkJob
from bev_trainer.simulate.record import DriveRecord
from bev_trainer.simulate.work import Makers
from bev_trainer.world.classes import SemanticClass
from bev_trainer.world.ground_raster import GroundRaster
from bev_trainer.world.road_map import RoadMap, SignalPlan
from bev_trainer.world.tracks import Track
from bev_trainer.world.weather import draw_weather
from bev_trainer.world.world import EgoDrive, World
from shapely.geometry import MultiPolygon, box

from bev_perception.geometry.grid import BevGrid
from bev_perception.parallel.pool import Done, Task, call

UNLUCKY = 'drive_000002'
GRID = BevGrid(-2.0, -2.0, 1.0, size_x=4, size_y=4)


def write_rig(folder: Path, name: str = 'two', **changes: Any) -> str:
    """Writes a rig of two small cameras; returns its path."""
    cameras = [
        {
            'name': f'camera_{index}',
            'image_topic': f'/camera_{index}',
            'transport': 'compressed',
            'intrinsics': {
                'width': 32,
                'height': 24,
                'k': [16.0, 0.0, 15.5, 0.0, 16.0, 11.5, 0.0, 0.0, 1.0],
            },
            'base_T_camera': {
                'translation_m': [0.0, float(index), 1.5],
                'quaternion_xyzw': [-0.5, 0.5, -0.5, 0.5],
            },
        }
        for index in range(2)
    ]
    vehicle = {
        'length_m': 4.5,
        'width_m': 1.8,
        'height_m': 1.5,
        'rear_overhang_m': 1.0,
        'max_speed_mps': 20.0,
    }
    content = {'format': 1, 'base_frame': 'base_link', 'vehicle': vehicle, 'cameras': cameras}
    content.update(changes)
    path = folder / f'{name}.yaml'
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return str(path)


def tiny_world(job: NetworkJob, scratch: Path) -> World:
    """Returns a square with nothing but ways for the ego vehicle."""
    (scratch / 'notes').write_text('intermediate')
    side_m = 10.0 + job.seed % 50
    nothing = MultiPolygon()
    road = MultiPolygon([box(0.0, 0.0, side_m, side_m)])
    road_map = RoadMap(road, nothing, nothing, nothing, nothing, (), ())
    path = np.arange(5.0)
    track = Track(
        'ego', SemanticClass.CAR, 'sedan', (0.5, 0.5, 0.5), 4.5, 1.8, 1.5, 0.0, 0.1,
        path, path, np.zeros(5),
    )  # fmt: skip
    drives = tuple(EgoDrive(track, 0.0, 'nobody') for _ in range(job.drives))
    return World('?', road_map, (), (), SignalPlan({}), 0.0, 9.0, drives)


def tiny_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Writes a drive whose images are noise from the job's seed and the world's road."""
    rng = np.random.default_rng([job.seed, round(world.road_map.drivable.area)])
    pose = np.eye(4)
    cameras = len(job.rig.cameras)
    with DriveWriter(folder, job.name) as writer:
        for frame in range(job.frames):
            for index, camera in enumerate(job.rig.cameras):
                assert camera.intrinsics is not None
                size = camera.intrinsics.height, camera.intrinsics.width
                rgb = rng.integers(0, 256, (*size, 3), np.uint8)
                writer.add_image(frame, index, cv2.imencode('.jpg', rgb)[1].tobytes())
                if frame in job.label_frames:
                    writer.add_labels(
                        frame, index, np.zeros(size, np.uint8), np.zeros(size, np.uint16),
                        np.ones(size, np.float32),
                    )  # fmt: skip
            if frame in job.label_frames:
                writer.add_observed(frame, rng.random((cameras, *GRID.shape)) < 0.5)
        types = column_types(0, job.frames, cameras)
        digest = writer.finish(
            _description(job, rng),
            np.tile(pose, (job.frames, 1, 1)),
            np.tile(pose, (job.frames, cameras, 1, 1)),
            ObjectTable(**{name: np.zeros(shape, kind) for name, (kind, shape) in types.items()}),
            GroundRaster(np.zeros((4, 4), np.uint8), 0.0, 0.0, 1.0),
        )
    count = (folder / f'{job.name}.zip').stat().st_size
    return DriveRecord(
        job.name, job.frames, job.images, 0, digest, count, 'none', {'draw': 0.25 * job.index}
    )


def _description(job: DriveJob, rng: np.random.Generator) -> DriveDescription:
    weather = draw_weather(job.weather, rng)
    return DriveDescription(
        name=job.name,
        split=job.split,
        network=job.network,
        seed=job.seed,
        rig_name=job.rig_name,
        rig=job.rig,
        weather=WeatherSection(**asdict(weather)),
        frame_stamps_ns=tuple(10**8 * (frame + 1) for frame in range(job.frames)),
        label_frames=job.label_frames,
        camera_offsets_ns=(0,) * len(job.rig.cameras),
        label_grid=GridSection(**asdict(GRID)),
        ground_origin_m=(0.0, 0.0),
        ground_resolution_m=1.0,
        ego_length_m=4.5,
        ego_width_m=1.8,
        ego_height_m=1.5,
        ego_base_offset_m=1.0,
        objects=(),
    )


def dying_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Ends its own process while it writes one of the drives."""
    if job.name == UNLUCKY:
        with DriveWriter(folder, job.name) as writer:
            writer.add_image(0, 0, b'half a file')
            os.kill(os.getpid(), signal.SIGKILL)
    return tiny_drive(job, world, folder)


def dying_once_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Ends its own process the first time that it comes to one of the drives."""
    mark = folder.parent.parent / 'died'  # outside the data set
    if job.name == UNLUCKY and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return tiny_drive(job, world, folder)


def refused_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Raises a user error at one of the drives."""
    if job.name == UNLUCKY:
        raise SimulationError('OpenGL is not up to it')
    return tiny_drive(job, world, folder)


def buggy_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Has a bug."""
    raise ZeroDivisionError('a bug')


def full_disk_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Finds the disk full in the middle of one of the drives."""
    if job.name != UNLUCKY:
        return tiny_drive(job, world, folder)
    real = zipfile.ZipFile.writestr
    written: list[None] = []

    def write(self: zipfile.ZipFile, *arguments: Any) -> None:
        if len(written) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(real(self, *arguments))

    zipfile.ZipFile.writestr = write  # type: ignore[method-assign, assignment]
    try:
        return tiny_drive(job, world, folder)
    finally:
        zipfile.ZipFile.writestr = real  # type: ignore[method-assign]


def limited_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Lets the system refuse files of more than 3000 bytes at one of the drives."""
    if job.name == UNLUCKY:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    try:
        return tiny_drive(job, world, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def poor_world(job: NetworkJob, scratch: Path) -> World:
    """Finds one way less than wanted."""
    world = tiny_world(job, scratch)
    object.__setattr__(world, 'ego_drives', world.ego_drives[1:])
    return world


def user_error() -> None:
    """Raises what a user can act on."""
    raise DatasetError('the disk has a scratch')


def forbidden_world(job: NetworkJob, scratch: Path) -> World:
    """Must not be called."""
    raise AssertionError('no world is needed')


def makers(make_drive: Any = tiny_drive, make_world: Any = tiny_world) -> Makers:
    return Makers(make_world, make_drive, ('numpy',))


class InlinePool:
    """A pool that runs its tasks in this process, as soon as somebody waits for them."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self._waiting: list[Task] = []

    @property
    def running(self) -> int:
        return len(self._waiting)

    def submit(self, task: Task) -> None:
        assert self.running < self.size
        self._waiting.append(task)

    def wait(self) -> list[Done]:
        """The youngest first, to mix things up."""
        task = self._waiting.pop()
        return [Done(task, *call(task))]

    def __enter__(self) -> InlinePool:
        return self

    def __exit__(self, *error: object) -> None:
        self._waiting = []
