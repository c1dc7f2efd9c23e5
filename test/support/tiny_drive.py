"""A small drive file made by hand: two cameras of different sizes, three frames, three objects."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from bev_trainer.dataset.description import DriveDescription
from bev_trainer.dataset.object_table import ObjectTable
from bev_trainer.dataset.writer import DriveWriter
from bev_trainer.world.ground_raster import GroundRaster

from bev_perception.geometry.pose import pose_from_yaw

SIZES = ((24, 16), (20, 12))
STAMPS_NS = (1_000_000_000, 1_100_000_000, 1_200_000_000)
LABEL_FRAMES = (0, 2)
OFFSETS_NS = (0, 30_000_000)
CELLS = (7, 5)  # size_y, size_x: 35 cells are no whole number of bytes


class TinyDrive(NamedTuple):
    description: DriveDescription
    world_T_base: np.ndarray
    camera_world_T_base: np.ndarray
    objects: ObjectTable
    ground: GroundRaster


def _rig() -> dict:
    cameras = []
    for index, (width, height) in enumerate(SIZES):
        k = [10.0, 0.0, width / 2 - 0.5, 0.0, 10.0, height / 2 - 0.5, 0.0, 0.0, 1.0]
        cameras.append(
            {
                'name': f'camera/{index}',
                'image_topic': f'/camera_{index}',
                'transport': 'compressed',
                'frame_id': f'optical_{index}',
                'intrinsics': {'width': width, 'height': height, 'k': k},
                'base_T_camera': {
                    'translation_m': [0.0, 0.0, 1.5],
                    'quaternion_xyzw': [-0.5, 0.5, -0.5, 0.5],
                },
            }
        )
    return {'format': 1, 'base_frame': 'base_link', 'cameras': cameras}


def tiny_drive(name: str = 'tiny') -> TinyDrive:
    objects = [
        {
            'instance': index + 1,
            'name': f'track_{index}',
            'class_name': class_name,
            'model': model,
            'length_m': 4.0 - index,
            'width_m': 2.0 - 0.5 * index,
            'height_m': 1.5,
            'parked': False,
        }
        for index, (class_name, model) in enumerate(
            (('car', 'sedan'), ('pedestrian', 'adult'), ('bicycle', 'bicycle'))
        )
    ]
    description = DriveDescription.model_validate(
        {
            'name': name,
            'split': 'train',
            'network': 'net',
            'seed': 5,
            'rig_name': 'rig',
            'rig': _rig(),
            'weather': {
                'name': 'clear',
                'sun_azimuth_rad': 0.1,
                'sun_elevation_rad': 0.7,
                'cloud_cover': 0.2,
                'rain_mmph': 0.0,
                'wetness': 0.0,
                'visibility_m': 3000.0,
                'lamps': False,
            },
            'frame_stamps_ns': STAMPS_NS,
            'label_frames': LABEL_FRAMES,
            'camera_offsets_ns': OFFSETS_NS,
            'label_grid': {
                'x_min_m': -2.0,
                'y_min_m': -3.5,
                'resolution_m': 1.0,
                'size_x': CELLS[1],
                'size_y': CELLS[0],
            },
            'ground_origin_m': (-10.0, 5.0),
            'ground_resolution_m': 0.25,
            'ego_length_m': 4.5,
            'ego_width_m': 1.8,
            'ego_height_m': 1.5,
            'ego_base_offset_m': 1.3,
            'objects': objects,
        }
    )
    # The ego stands at (10, 20), turned left by a right angle.
    pose = pose_from_yaw(10.0, 20.0, 0.0, np.pi / 2)
    rng = np.random.default_rng(1)
    layers = rng.integers(0, 16, (9, 13)).astype(np.uint8)
    return TinyDrive(
        description,
        np.tile(pose, (3, 1, 1)),
        np.tile(pose, (3, 2, 1, 1)),
        _table(),
        GroundRaster(layers, -10.0, 5.0, 0.25),
    )


def _table() -> ObjectTable:
    """A car that drives north at 10 m/s, a pedestrian that appears, one that leaves."""
    present = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0]], np.bool_)
    x_m = np.array([[10.0, 10.0, 10.0], [0.0, 5.0, 5.2], [1.0, 2.0, 0.0]])
    y_m = np.array([[30.0, 31.0, 32.0], [0.0, 20.0, 20.0], [0.0, 0.0, 0.0]])
    # Past pi and back: the car's heading goes from 3.1 the short way to -3.1.
    yaw_rad = np.array([[3.1, -3.1, -3.1], [0.0, 0.5, 0.5], [0.0, 0.0, 0.0]])
    velocity = np.zeros((3, 3, 2), np.float32)
    velocity[0, :, 1] = 10.0
    velocity[1, 1:, 0] = 2.0
    velocity[2, :2, 0] = 10.0
    acceleration = np.zeros((3, 3, 2), np.float32)
    acceleration[0, :, 0] = 1.0
    rng = np.random.default_rng(2)
    visible = rng.integers(0, 50, (3, 3, 2)).astype(np.uint32) * present[..., None]
    return ObjectTable(
        present,
        x_m,
        y_m,
        yaw_rad,
        velocity,
        acceleration,
        visible.astype(np.uint32),
        (visible * np.float32(1.5)).astype(np.float32),
    )


def jpeg_of(frame: int, camera: int) -> bytes:
    width, height = SIZES[camera]
    image = np.full((height, width, 3), (200, 40 * camera, 60 * frame), np.uint8)  # blue, green...
    return cv2.imencode('.jpg', image)[1].tobytes()


def labels_of(frame: int, camera: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (classes, instances, depth in metres) full of values that must survive."""
    width, height = SIZES[camera]
    rng = np.random.default_rng((frame, camera))
    classes = rng.integers(0, 17, (height, width)).astype(np.uint8)
    instances = rng.integers(0, 65536, (height, width)).astype(np.uint16)
    depth_m = rng.uniform(0.0, 300.0, (height, width)).astype(np.float32)
    return classes, instances, depth_m


def observed_of(frame: int) -> np.ndarray:
    return np.random.default_rng(frame).uniform(size=(2, *CELLS)) < 0.4


def add_frames(writer: DriveWriter) -> None:
    for frame in range(len(STAMPS_NS)):
        for camera in range(2):
            writer.add_image(frame, camera, jpeg_of(frame, camera))
            if frame in LABEL_FRAMES:
                writer.add_labels(frame, camera, *labels_of(frame, camera))
        if frame in LABEL_FRAMES:
            writer.add_observed(frame, observed_of(frame))


def write_tiny_drive(folder: Path, name: str = 'tiny') -> tuple[Path, str]:
    """Returns the file and the hash that the writer gave."""
    with DriveWriter(folder, name) as writer:
        add_frames(writer)
        digest = writer.finish(*tiny_drive(name))
    return folder / f'{name}.zip', digest
