"""The rig file: which cameras a vehicle has, where their data comes from, how they are placed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    field_validator,
    model_validator,
)

from bev_perception.config_errors import Location, Wording
from bev_perception.config_file import validated
from bev_perception.config_yaml import YamlError, from_yaml, to_yaml
from bev_perception.errors import CalibrationError, ConfigError
from bev_perception.files import write_atomically
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import Matrix, make_pose

Name = Annotated[str, Field(min_length=1)]
PixelCount = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class RigFileIntrinsics(_Section):
    """Intrinsics of the images on `image_topic`.

    Attributes:
        width: pixels.
        height: pixels.
        distortion_model: as in `sensor_msgs/CameraInfo`; 'none' or '' for no distortion.
        k: row-major 3 x 3 intrinsic matrix.
        d: coefficients of the distortion model.
    """

    width: PixelCount
    height: PixelCount
    distortion_model: str = 'none'
    k: Annotated[tuple[FiniteFloat, ...], Field(min_length=9, max_length=9)]
    d: tuple[FiniteFloat, ...] = ()

    def camera(self, name: str, frame_id: str, base_T_camera: Matrix) -> Camera:
        """Returns the camera with these intrinsics; raises CalibrationError."""
        K = np.reshape(self.k, (3, 3))
        lens = Distortion.from_ros(self.distortion_model, self.d)
        return Camera(name, frame_id, self.width, self.height, K, lens, base_T_camera)


class RigFilePose(_Section):
    """Placement of a camera: maps its optical frame to the base frame."""

    translation_m: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    quaternion_xyzw: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]

    def matrix(self) -> Matrix:
        """Returns the pose as [4, 4]; raises CalibrationError."""
        return make_pose(self.translation_m, self.quaternion_xyzw)

    @field_validator('quaternion_xyzw')
    @classmethod
    def _is_rotation(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        _calibrated(make_pose, (0.0, 0.0, 0.0), value)
        return value


class RigFileCamera(_Section):
    """One camera of the rig.

    Attributes:
        name: unique in the rig.
        image_topic: where its images arrive.
        transport: 'raw' (sensor_msgs/Image) or 'compressed' (sensor_msgs/CompressedImage).
        camera_info_topic: where its CameraInfo arrives; may be left out when intrinsics are given.
        frame_id: optical frame; empty: that of the CameraInfo.
        trigger_offset_s: stamp of this camera minus the rig's reference instant.
        rectified: the images are rectified: the P matrix of the CameraInfo describes them.
        intrinsics: take the place of the CameraInfo.
        base_T_camera: takes the place of TF.
    """

    name: Name
    image_topic: Name
    transport: Literal['raw', 'compressed']
    camera_info_topic: Name | None = None
    frame_id: str = ''
    trigger_offset_s: FiniteFloat = 0.0
    rectified: bool = False
    intrinsics: RigFileIntrinsics | None = None
    base_T_camera: RigFilePose | None = None

    def camera(self) -> Camera | None:
        """Returns the camera when the file holds intrinsics and pose, else None."""
        if self.intrinsics is None or self.base_T_camera is None:
            return None
        return self.intrinsics.camera(self.name, self.frame_id, self.base_T_camera.matrix())

    @model_validator(mode='after')
    def _is_complete(self) -> RigFileCamera:
        if self.intrinsics is None and self.camera_info_topic is None:
            raise ValueError('needs camera_info_topic or intrinsics; give one of them')
        if self.intrinsics is not None and not self.frame_id and self.base_T_camera is None:
            raise ValueError('needs frame_id, to look up its pose in TF, or base_T_camera')
        if self.intrinsics is not None and self.rectified and any(self.intrinsics.d):
            raise ValueError(
                'says rectified: true, yet its intrinsics have distortion; '
                'remove d, or set rectified: false'
            )
        if self.intrinsics is not None:
            _calibrated(self.intrinsics.camera, self.name, self.frame_id, np.eye(4))
        return self


class RigFileVehicle(_Section):
    """The vehicle that carries the cameras; perception does without, simulation needs it.

    Attributes:
        length_m: of its box.
        width_m: likewise, without mirrors.
        height_m: likewise, above the ground.
        rear_overhang_m: from its rear end forward to the base frame's origin on the ground.
        max_speed_mps: what it drives at most.
        drives_on: 'road', or 'sidewalk' at the pace of pedestrians.
    """

    length_m: Annotated[FiniteFloat, Field(gt=0)]
    width_m: Annotated[FiniteFloat, Field(gt=0)]
    height_m: Annotated[FiniteFloat, Field(gt=0)]
    rear_overhang_m: FiniteFloat
    max_speed_mps: Annotated[FiniteFloat, Field(gt=0)]
    drives_on: Literal['road', 'sidewalk'] = 'road'


class RigFile(_Section):
    """The whole rig file.

    Attributes:
        format: version of the file's lay-out.
        base_frame: frame of the vehicle in which everything is expressed.
        vehicle: what carries the cameras.
        odometry_topic: nav_msgs/Odometry with the ego motion; None: from TF.
        cameras: in rig order.
    """

    format: Literal[1]
    base_frame: Name
    vehicle: RigFileVehicle | None = None
    odometry_topic: Name | None = None
    cameras: Annotated[tuple[RigFileCamera, ...], Field(min_length=1)]

    @field_validator('cameras')
    @classmethod
    def _have_own_names(cls, cameras: tuple[RigFileCamera, ...]) -> tuple[RigFileCamera, ...]:
        for what in ('name', 'image_topic'):
            values = [getattr(camera, what) for camera in cameras]
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{what} '{twice[0]}' is used by two cameras; change one")
        return cameras


def load_rig_file(path: str | Path) -> RigFile:
    """Returns the rig described by a YAML file.

    Raises:
        ConfigError: the file cannot be read or is wrong; names file and field.
    """
    try:
        content = from_yaml(Path(path).read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'rig file {path}: cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise ConfigError(f'rig file {path}: is not UTF-8 text') from error
    except YamlError as error:
        raise ConfigError(f'rig file {path}: {error}') from error
    if not isinstance(content, dict):
        keys = ', '.join(RigFile.model_fields)
        raise ConfigError(f'rig file {path}: must be a mapping with the keys {keys}')
    return validated(RigFile, content, f'rig file {path}', _WORDING)


def save_rig_file(rig_file: RigFile, path: str | Path) -> None:
    """Writes the rig as YAML: all at once or not at all, the same text for the same rig.

    Raises:
        ConfigError: the file cannot be written.
    """
    path = Path(path)
    text = to_yaml(rig_file.model_dump(mode='json', exclude_none=True))
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError(f'rig file {path}: cannot be written: {error.strerror}') from error


def _calibrated(make: Callable[..., object], *arguments: object) -> None:
    """Calls `make`; turns its CalibrationError into the ValueError that pydantic collects."""
    try:
        make(*arguments)
    except CalibrationError as error:
        raise ValueError(str(error)) from error


def _place(location: Location, content: Any) -> str:
    """Returns for example: cameras[1] 'rear' intrinsics.k[8]."""
    text = ''
    for depth, part in enumerate(location):
        if isinstance(part, str):
            text += f'{"" if not text or text.endswith(" ") else "."}{part}'
            continue
        text += f'[{part}]'
        if location[:depth] == ('cameras',):
            name = _camera_name(content, part)
            text += f" '{name}' " if name else ' '
    return text.strip()


def _camera_name(content: dict[str, Any], index: int) -> str:
    camera = content['cameras'][index]
    name = camera.get('name') if isinstance(camera, dict) else None
    return name if isinstance(name, str) else ''


_WORDING = Wording(
    _place,
    'is not a known key',
    'use',
    {
        'missing': 'is missing; add it',
        'model_type': 'must be a mapping of keys to values',
        'tuple_type': 'must be a list',
        'string_type': 'must be text; put it in quotes',
        'too_short': 'must have {min_length} entries or more, has {actual_length}',
        'too_long': 'must have {max_length} entries or fewer, has {actual_length}',
    },
)
