"""What a drive file says about itself (`drive.json`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bev_perception.geometry.rig_file import RigFile

Split = Literal['train', 'val', 'test']


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class GridSection(_Section):
    """A `BevGrid` in the base frame."""

    x_min_m: float
    y_min_m: float
    resolution_m: Annotated[float, Field(gt=0)]
    size_x: Annotated[int, Field(ge=1)]
    size_y: Annotated[int, Field(ge=1)]


class WeatherSection(_Section):
    """See `world.weather.Weather`."""

    name: str
    sun_azimuth_rad: float
    sun_elevation_rad: float
    cloud_cover: float
    rain_mmph: float
    wetness: float
    visibility_m: float
    lamps: bool


class ObjectSection(_Section):
    """One road user of the drive.

    Attributes:
        instance: id in instance images and maps, from 1.
        name: of its track in the world.
        class_name: label of its `SemanticClass`.
        model: its shape.
        length_m: of its box.
        width_m: likewise.
        height_m: likewise.
        parked: stands for the whole drive.
    """

    instance: Annotated[int, Field(ge=1, le=65535)]
    name: str
    class_name: str
    model: str
    length_m: float
    width_m: float
    height_m: float
    parked: bool


class DriveDescription(_Section):
    """Everything about a drive but its arrays and images.

    Attributes:
        format: version of the lay-out.
        name: unique in the data set; the file is `<name>.zip`.
        split: by road network: all drives of a network share it.
        network: name of the road network.
        seed: of the drive.
        rig_name: stem of the rig file.
        rig: the rig, with intrinsics at the size of the images here.
        weather: constant over the drive.
        frame_stamps_ns: reference instants of the frames, rising.
        label_frames: indices into `frame_stamps_ns` of the frames that carry dense labels.
        camera_offsets_ns: per camera of the rig, stamp minus reference instant.
        label_grid: grid of the `observed` maps.
        ground_origin_m: x, y in the world frame of the ground raster's lower corner.
        ground_resolution_m: of the ground raster.
        ego_length_m: box of the ego vehicle.
        ego_width_m: likewise.
        ego_height_m: likewise.
        ego_base_offset_m: from the ego box's centre back to base_link.
        objects: by rising instance.
    """

    format: Literal[1] = 1
    name: str
    split: Split
    network: str
    seed: int
    rig_name: str
    rig: RigFile
    weather: WeatherSection
    frame_stamps_ns: tuple[int, ...]
    label_frames: tuple[int, ...]
    camera_offsets_ns: tuple[int, ...]
    label_grid: GridSection
    ground_origin_m: tuple[float, float]
    ground_resolution_m: float
    ego_length_m: float
    ego_width_m: float
    ego_height_m: float
    ego_base_offset_m: float
    objects: tuple[ObjectSection, ...]
