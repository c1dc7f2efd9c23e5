"""Images with their calibrations and ego poses out of the tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bev_perception.errors import BevError, CalibrationError
from bev_perception.evaluation.scenes.nuscenes.records import Image
from bev_perception.evaluation.scenes.nuscenes.rows import Row, rows
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import Matrix

NS_PER_US = 1000
_REFERENCE = 'lidar'


@dataclass(frozen=True, eq=False)
class Reading:
    """A measurement of a camera, or of the lidar, which gives the instants of the samples.

    Attributes:
        sample: token of the sample that it belongs to.
        key: whether it belongs to a key frame.
        stamp_ns: when.
        global_T_base: [4, 4] ego pose at that instant.
        image: what a camera took; None for the lidar.
    """

    sample: str
    key: bool
    stamp_ns: int
    global_T_base: Matrix
    image: Image | None


@dataclass(frozen=True, eq=False)
class _Sensor:
    channel: str
    is_camera: bool
    row: Row


def read_readings(folder: Path, samples: Collection[str], sweeps: bool) -> list[Reading]:
    """Returns what cameras and lidars measured for samples, in the order of the tables.

    Args:
        folder: of the version.
        samples: tokens.
        sweeps: whether images between key frames are wanted, too.

    Raises:
        BevError: a table is missing or wrong.
    """
    sensors = _sensors(folder)
    kept: list[Row] = []
    for row in rows(folder / 'sample_data.json'):
        if row.text('sample_token') not in samples:
            continue
        name = row.text('calibrated_sensor_token')
        sensor = sensors.get(name)
        if sensor is not None and (row.flag('is_key_frame') or (sweeps and sensor.is_camera)):
            kept.append(row)
    poses = _poses(folder, {row.text('ego_pose_token') for row in kept})
    cameras: dict[tuple[str, int, int], Camera] = {}
    return [_reading(row, sensors, poses, cameras) for row in kept]


def _sensors(folder: Path) -> dict[str, _Sensor]:
    """Returns cameras and lidars by token of their calibration."""
    kinds: dict[str, tuple[str, str]] = {}
    for row in rows(folder / 'sensor.json'):
        kinds[row.text('token')] = row.text('channel'), row.text('modality')
    found: dict[str, _Sensor] = {}
    for row in rows(folder / 'calibrated_sensor.json'):
        kind = kinds.get(row.text('sensor_token'))
        if kind is None:
            raise BevError(f'{row.table}: row {row.number}: its sensor is not in sensor.json')
        channel, modality = kind
        if modality in ('camera', _REFERENCE):
            found[row.text('token')] = _Sensor(channel, modality == 'camera', row)
    return found


def _poses(folder: Path, tokens: set[str]) -> dict[str, Matrix]:
    path = folder / 'ego_pose.json'
    found = {row.text('token'): row.pose() for row in rows(path) if row.text('token') in tokens}
    lost = sorted(tokens - set(found))
    if lost:
        raise BevError(f"{path}: there is no ego pose '{lost[0]}', which sample_data.json names")
    return found


def _reading(
    row: Row,
    sensors: Mapping[str, _Sensor],
    poses: Mapping[str, Matrix],
    cameras: dict[tuple[str, int, int], Camera],
) -> Reading:
    name = row.text('calibrated_sensor_token')
    sensor, pose = sensors[name], poses[row.text('ego_pose_token')]
    stamp_ns, sample = row.integer('timestamp') * NS_PER_US, row.text('sample_token')
    key, image = row.flag('is_key_frame'), None
    if sensor.is_camera:
        which = name, row.integer('width'), row.integer('height')
        camera = cameras.get(which) or _camera(sensor, *which[1:])
        cameras[which] = camera
        filename = row.text('filename')
        image = Image(sensor.channel, stamp_ns, filename, camera, pose, sample if key else '')
    return Reading(sample, key, stamp_ns, pose, image)


def _camera(sensor: _Sensor, width: int, height: int) -> Camera:
    """Returns the camera; the lens is that of the columns that `bev-trainer convert` adds."""
    row = sensor.row
    K: NDArray[np.float64] = row.numbers('camera_intrinsic', 3, 3)
    model = row.values.get('distortion_model', 'none')
    coefficients = row.values.get('distortion_coefficients', ())
    try:
        lens = Distortion.from_ros(str(model), coefficients)
        return Camera(sensor.channel, sensor.channel, width, height, K, lens, row.pose())
    except (CalibrationError, TypeError, ValueError) as error:
        raise BevError(f'{row.table}: row {row.number} ({sensor.channel}): {error}') from error
