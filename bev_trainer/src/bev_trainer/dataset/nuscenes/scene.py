"""One drive as a scene: its files and its rows."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bev_perception.geometry.pose import Matrix
from bev_perception.units import NS_PER_S
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.nuscenes.annotations import RANGE_M, Sample, add_annotations
from bev_trainer.dataset.nuscenes.names import LIDAR, camera_channels
from bev_trainer.dataset.nuscenes.poses import microseconds, placement
from bev_trainer.dataset.nuscenes.scan import DriveScan, write_scan
from bev_trainer.dataset.nuscenes.tables import Tables
from bev_trainer.dataset.reader import Drive
from bev_trainer.dataset.tokens import token

KEY_PERIOD_NS = 500_000_000


def key_frames(description: DriveDescription) -> tuple[int, ...]:
    """Returns the frames with dense labels that are nearest to every half second."""
    stamps = np.array(description.frame_stamps_ns, np.int64)
    labelled = np.array(description.label_frames, np.int64)
    if not labelled.size:
        return ()
    at = stamps[labelled]
    wanted = np.arange(at[0], at[-1] + KEY_PERIOD_NS // 2, KEY_PERIOD_NS)
    nearest = np.abs(at[None] - wanted[:, None]).argmin(axis=1)
    return tuple(dict.fromkeys(labelled[nearest].tolist()))


@dataclass(frozen=True)
class Reading:
    """One measurement of one sensor.

    Attributes:
        frame: of the drive.
        stamp_ns: when.
        pose: [4, 4] world_T_base at that instant.
        filename: relative to the data set.
    """

    frame: int
    stamp_ns: int
    pose: Matrix
    filename: str


class SceneExport:
    """Writes one drive: JPEG files as they are, scans, and rows.

    Args:
        drive: open, with at least one label frame.
        root: folder of the data set, which exists.
        tables: open tables.
        keys: key frames.
    """

    def __init__(self, drive: Drive, root: Path, tables: Tables, keys: Sequence[int]) -> None:
        self._drive, self._root, self._tables = drive, root, tables
        self._description = drive.description
        self._keys = tuple(keys)
        self._scene = token('scene', self._description.name)
        self._samples = {key: token('sample', self._description.name, key) for key in self._keys}
        self._channels = camera_channels([camera.name for camera in drive.cameras])

    def write(self) -> None:
        """Writes everything but the tables that scenes share."""
        self._add_scene()
        self._add_samples()
        for index, channel in enumerate(self._channels):
            self._add_camera(index, channel)
        add_annotations(self._tables, self._drive, self._add_lidar())

    def _add_scene(self) -> None:
        description, names = self._description, list(self._samples.values())
        log = token('log', description.name)
        day = datetime.datetime.fromtimestamp(
            description.frame_stamps_ns[0] // NS_PER_S, datetime.timezone.utc
        )
        self._tables.add(
            'log',
            token=log,
            logfile=description.name,
            vehicle=description.rig_name,
            date_captured=day.strftime('%Y-%m-%d'),
            location=description.network,
        )
        self._tables.add(
            'scene',
            token=self._scene,
            log_token=log,
            nbr_samples=len(names),
            first_sample_token=names[0],
            last_sample_token=names[-1],
            name=description.name,
            description=f'{description.weather.name}, {description.rig_name}',
            weather=description.weather.model_dump(),
            seed=description.seed,
        )

    def _add_samples(self) -> None:
        names = list(self._samples.values())
        for index, (frame, name) in enumerate(self._samples.items()):
            self._tables.add(
                'sample',
                token=name,
                timestamp=microseconds(self._description.frame_stamps_ns[frame]),
                prev=names[index - 1] if index else '',
                next=names[index + 1] if index + 1 < len(names) else '',
                scene_token=self._scene,
            )

    def _add_camera(self, index: int, channel: str) -> None:
        drive, camera = self._drive, self._drive.cameras[index]
        readings = []
        for frame in range(self._keys[0], self._keys[-1] + 1):
            stamp_ns = drive.camera_stamp_ns(frame, index)
            name = self._filename(channel, frame, stamp_ns, '.jpg')
            self._path(name).write_bytes(drive.jpeg(frame, index))
            pose = drive.camera_world_T_base[frame, index]
            readings.append(Reading(frame, stamp_ns, pose, name))
        calibration = {
            'camera_intrinsic': camera.K.tolist(),
            'distortion_model': camera.distortion.model,
            'distortion_coefficients': list(camera.distortion.coefficients),
        }
        sensor = self._add_calibration(channel, camera.base_T_camera, calibration)
        size = {'fileformat': 'jpg', 'width': camera.width, 'height': camera.height}
        self._add_readings(channel, sensor, readings, size)

    def _add_lidar(self) -> list[Sample]:
        """Writes the scans of the key frames; returns these with their boxes."""
        drive, readings, samples = self._drive, [], []
        scan = DriveScan(drive)
        for frame, sample in self._samples.items():
            stamp_ns, pose = self._description.frame_stamps_ns[frame], drive.world_T_base[frame]
            boxes = drive.boxes(frame, in_base=False)
            distance_m = np.hypot(*(boxes.center_m[:, :2] - pose[:2, 3]).T)
            boxes = boxes.selected(distance_m <= RANGE_M)
            points, counts = scan.measure(frame, boxes.instance)
            name = self._filename(LIDAR, frame, stamp_ns, '.pcd.bin')
            write_scan(self._path(name), points)
            readings.append(Reading(frame, stamp_ns, pose, name))
            samples.append(Sample(sample, frame, boxes, counts))
        sensor = self._add_calibration(LIDAR, np.eye(4), {'camera_intrinsic': []})
        size = {'fileformat': 'pcd', 'width': 0, 'height': 0}
        self._add_readings(LIDAR, sensor, readings, size)
        return samples

    def _add_calibration(self, channel: str, pose: Matrix, more: dict[str, Any]) -> str:
        name = token('calibrated_sensor', self._description.name, channel)
        self._tables.add(
            'calibrated_sensor',
            token=name,
            sensor_token=token('sensor', channel),
            **placement(pose),
            **more,
        )
        return name

    def _add_readings(
        self, channel: str, sensor: str, readings: Sequence[Reading], size: dict[str, Any]
    ) -> None:
        drive = self._description.name
        names = [token('sample_data', drive, channel, reading.frame) for reading in readings]
        for index, (name, reading) in enumerate(zip(names, readings, strict=True)):
            stamp_us = microseconds(reading.stamp_ns)
            ego_pose = token('ego_pose', drive, channel, reading.frame)
            self._tables.add(
                'ego_pose', token=ego_pose, timestamp=stamp_us, **placement(reading.pose)
            )
            self._tables.add(
                'sample_data',
                token=name,
                # As in nuScenes, what lies between two samples belongs to the later one.
                sample_token=self._samples[min(k for k in self._keys if k >= reading.frame)],
                ego_pose_token=ego_pose,
                calibrated_sensor_token=sensor,
                timestamp=stamp_us,
                is_key_frame=reading.frame in self._samples,
                filename=reading.filename,
                prev=names[index - 1] if index else '',
                next=names[index + 1] if index + 1 < len(names) else '',
                **size,
            )

    def _filename(self, channel: str, frame: int, stamp_ns: int, ending: str) -> str:
        folder = 'samples' if frame in self._samples else 'sweeps'
        stem = f'{self._description.name}__{channel}__{microseconds(stamp_ns)}'
        return f'{folder}/{channel}/{stem}{ending}'

    def _path(self, filename: str) -> Path:
        path = self._root / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
