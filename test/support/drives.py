"""Small drive files made by hand, with exact labels: no SUMO, no OpenGL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from bev_trainer.dataset.description import (
    DriveDescription,
    GridSection,
    ObjectSection,
    Split,
    WeatherSection,
)
from bev_trainer.dataset.object_boxes import ObjectBoxes
from bev_trainer.dataset.object_table import ObjectTable, column_types
from bev_trainer.dataset.writer import DriveWriter
from bev_trainer.world.classes import GroundLayer
from bev_trainer.world.ground_raster import GroundRaster

from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import pose_from_yaw, quaternion_of
from bev_perception.geometry.rig_file import RigFile
from support.box_caster import cast
from support.sample_drive.rig import make_camera

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
GRID = BevGrid(-12.0, -10.0, 0.5, size_x=72, size_y=48)

# Where somebody is after some seconds: x, y, yaw in the frame of the ego vehicle's start.
Path3 = Callable[[float], tuple[float, float, float]]


@dataclass(frozen=True)
class Actor:
    """A road user of a small drive.

    Attributes:
        model: of its shape.
        class_name: label of its class.
        size_m: length, width, height.
        path: where it is.
        presence_s: spans of time in which it exists.
        parked: as in `ObjectSection`.
    """

    model: str
    class_name: str
    size_m: tuple[float, float, float]
    path: Path3
    presence_s: Sequence[tuple[float, float]] = ((-1e9, 1e9),)
    parked: bool = False


def straight(x: float, y: float, yaw: float, speed: float) -> Path3:
    """Returns a path along the heading."""
    return lambda t: (x + speed * t * np.cos(yaw), y + speed * t * np.sin(yaw), yaw)


def turning(x: float, y: float, yaw: float, speed: float, rate: float) -> Path3:
    """Returns a path along a circle."""

    def path(t: float) -> tuple[float, float, float]:
        turn, radius = yaw + rate * t, speed / rate
        dx, dy = np.sin(turn) - np.sin(yaw), np.cos(yaw) - np.cos(turn)
        return x + radius * dx, y + radius * dy, turn

    return path


# A car turns left ahead, a lorry is parked on the right, a child comes late, a bus leaves early,
# a cyclist behind is away for a while, an adult stands, and a van ahead on the right stops.
ACTORS = (
    Actor('sedan', 'car', (4.75, 1.84, 1.45), turning(11.0, 2.0, 0.2, 5.0, 0.4)),
    Actor('box_truck', 'truck', (8.1, 2.45, 3.4), straight(6.0, -6.5, 0.1, 0.0), parked=True),
    Actor('child', 'pedestrian', (0.45, 0.48, 1.28), straight(7.0, 5.0, -1.5, 1.2), ((0.25, 9),)),
    Actor('city_bus', 'bus', (12.0, 2.55, 3.05), straight(24.0, 4.0, 3.0, 8.0), ((-1, 0.65),)),
    Actor(
        'bicycle', 'bicycle', (1.8, 0.6, 1.75), straight(-9.0, -1.0, 0.05, 4.0),
        ((-1, 0.35), (0.75, 9)),
    ),
    Actor('adult', 'pedestrian', (0.55, 0.62, 1.76), straight(3.0, 6.0, 2.0, 0.0)),
    Actor(
        'delivery_van', 'van', (5.6, 2.05, 2.45),
        lambda t: (16.0 + 5.0 * min(t, 0.6), -3.0, 0.0),
    ),
)  # fmt: skip


def rig_of_lenses(width: int = 96, height: int = 72) -> RigFile:
    """Returns three cameras of three lenses and offsets, with topics of three styles."""
    plan = (
        ('front', 'none', 90.0, (1.5, 0.1, 1.5), 5.0, 6.0, 0.0, '/front/image/compressed'),
        ('left', 'plumb_bob', 95.0, (0.8, 0.7, 1.4), 80.0, 8.0, 0.012, '/cams/left/image_raw'),
        ('rear_fisheye', 'equidistant', 175.0, (-0.6, 0.0, 1.2), 172.0, 15.0, -0.007,
         '/rear/image/compressed'),
    )  # fmt: skip
    cameras = []
    for name, lens, fov, at, yaw, pitch, offset_s, topic in plan:
        camera = make_camera(name, width, height, lens, fov, at, yaw, pitch)
        cameras.append(
            {
                'name': name,
                'image_topic': topic,
                'transport': 'compressed' if topic.endswith('compressed') else 'raw',
                'camera_info_topic': None
                if name == 'left'
                else f'/{name.split("_")[0]}/camera_info',
                'frame_id': f'{name}_optical',
                'trigger_offset_s': offset_s,
                'intrinsics': {
                    'width': width,
                    'height': height,
                    'distortion_model': lens,
                    'k': tuple(camera.K.ravel().tolist()),
                    'd': camera.distortion.coefficients,
                },
                'base_T_camera': {
                    'translation_m': at,
                    'quaternion_xyzw': tuple(quaternion_of(camera.base_T_camera).tolist()),
                },
            }
        )
    vehicle = {
        'length_m': 4.6,
        'width_m': 1.8,
        'height_m': 1.5,
        'rear_overhang_m': 1.0,
        'max_speed_mps': 20.0,
    }
    return RigFile.model_validate(
        {
            'format': 1,
            'base_frame': 'base_link',
            'vehicle': vehicle,
            'odometry_topic': '/odom',
            'cameras': cameras,
        }
    )


@dataclass(frozen=True)
class SmallDrive:
    """A drive of one second along a curve through an asymmetric street.

    Attributes:
        name: of the drive.
        network: of its road network.
        split: of the data set.
        rig: cameras of any size.
        actors: the other road users.
        frames: at 10 Hz.
        label_frames: those with dense labels.
        start: x, y, yaw in the world of the ego vehicle at the first frame.
        speed_mps: of the ego vehicle.
        yaw_rate_radps: likewise.
        seed: of the images' noise and the observed cells.
    """

    name: str = 'drive_000000'
    network: str = 'net_000000'
    split: Split = 'train'
    rig: RigFile = field(default_factory=rig_of_lenses)
    actors: tuple[Actor, ...] = ACTORS
    frames: int = 11
    label_frames: tuple[int, ...] = (0, 5, 10)
    start: tuple[float, float, float] = (120.0, 45.0, 2.2)
    speed_mps: float = 6.0
    yaw_rate_radps: float = 0.3
    seed: int = 0

    def stamps_ns(self) -> tuple[int, ...]:
        """Returns the reference instants."""
        return tuple(START_NS + frame * PERIOD_NS for frame in range(self.frames))

    def offsets_ns(self) -> tuple[int, ...]:
        """Returns the trigger offsets of the cameras."""
        return tuple(round(camera.trigger_offset_s * 1e9) for camera in self.rig.cameras)

    def world_T_base(self, stamp_ns: int) -> np.ndarray:
        """Returns the ego vehicle's pose at any time."""
        x, y, yaw = turning(0.0, 0.0, 0.0, self.speed_mps, self.yaw_rate_radps)(
            (stamp_ns - START_NS) / 1e9
        )
        return pose_from_yaw(*self.start[:2], 0.0, self.start[2]) @ pose_from_yaw(x, y, 0.0, yaw)

    def ground(self) -> GroundRaster:
        """Returns a street along the start's heading, a crossing, a sidewalk on the left only."""
        resolution_m, half_m = 0.25, 45.0
        x_min_m, y_min_m = self.start[0] - half_m, self.start[1] - half_m
        count = round(2 * half_m / resolution_m)
        centres = (np.arange(count) + 0.5) * resolution_m
        xy = np.stack(np.meshgrid(x_min_m + centres, y_min_m + centres), axis=-1)
        cos, sin = np.cos(self.start[2]), np.sin(self.start[2])
        shift = xy - np.array(self.start[:2])
        along = shift[..., 0] * cos + shift[..., 1] * sin
        left = shift[..., 1] * cos - shift[..., 0] * sin
        layers = np.zeros(along.shape, np.uint8)
        road = (left > -5.0) & (left < 4.0)
        layers[road] |= np.uint8(GroundLayer.DRIVABLE)
        layers[road & (np.abs(left - 1.0) < 0.4)] |= np.uint8(GroundLayer.LANE_MARKING)
        layers[road & (along > 8.0) & (along < 12.0)] |= np.uint8(GroundLayer.CROSSING)
        layers[(left >= 4.0) & (left < 7.0)] |= np.uint8(GroundLayer.SIDEWALK)
        return GroundRaster(layers, x_min_m, y_min_m, resolution_m)

    def description(self) -> DriveDescription:
        """Returns what the drive says about itself."""
        ground = self.ground()
        return DriveDescription(
            name=self.name,
            split=self.split,
            network=self.network,
            seed=self.seed,
            rig_name='three_lenses',
            rig=self.rig,
            weather=WeatherSection(
                name='clear',
                sun_azimuth_rad=0.4,
                sun_elevation_rad=0.8,
                cloud_cover=0.2,
                rain_mmph=0.0,
                wetness=0.0,
                visibility_m=5000.0,
                lamps=False,
            ),
            frame_stamps_ns=self.stamps_ns(),
            label_frames=self.label_frames,
            camera_offsets_ns=self.offsets_ns(),
            label_grid=GridSection(
                x_min_m=GRID.x_min_m,
                y_min_m=GRID.y_min_m,
                resolution_m=GRID.resolution_m,
                size_x=GRID.size_x,
                size_y=GRID.size_y,
            ),
            ground_origin_m=(ground.x_min_m, ground.y_min_m),
            ground_resolution_m=ground.resolution_m,
            ego_length_m=4.6,
            ego_width_m=1.8,
            ego_height_m=1.5,
            ego_base_offset_m=1.3,
            objects=tuple(
                ObjectSection(
                    instance=index + 1,
                    name=f'{self.network}_{actor.model}_{index}',
                    class_name=actor.class_name,
                    model=actor.model,
                    length_m=actor.size_m[0],
                    width_m=actor.size_m[1],
                    height_m=actor.size_m[2],
                    parked=actor.parked,
                )
                for index, actor in enumerate(self.actors)
            ),
        )

    def write(self, folder: Path) -> Path:
        """Writes `<name>.zip` into a folder; returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        description, ground = self.description(), self.ground()
        table, stamps = self._states(), self.stamps_ns()
        cameras = [camera for entry in self.rig.cameras if (camera := entry.camera())]
        poses = np.stack([self.world_T_base(stamp) for stamp in stamps])
        offsets = self.offsets_ns()
        own = np.stack(
            [[self.world_T_base(stamp + offset) for offset in offsets] for stamp in stamps]
        )
        random = np.random.default_rng(self.seed)
        boxes = ObjectBoxes(description, table)
        with DriveWriter(folder, self.name) as writer:
            for frame, stamp in enumerate(stamps):
                for index, camera in enumerate(cameras):
                    present = boxes.at(stamp + offsets[index])
                    assert present is not None
                    labels = cast(camera, own[frame, index], present, ground)
                    rows = present.instance.astype(int) - 1
                    table.visible_pixels[rows, frame, index] = labels.visible
                    table.silhouette_pixels[rows, frame, index] = labels.alone
                    writer.add_image(frame, index, _jpeg(labels.classes, random))
                    if frame in self.label_frames:
                        writer.add_labels(
                            frame, index, labels.classes, labels.instances, labels.depth_m
                        )
                if frame in self.label_frames:
                    shape = (len(cameras), *GRID.shape)
                    writer.add_observed(frame, random.random(shape) < 0.4)
            writer.finish(description, poses, own, table, ground)
        return folder / f'{self.name}.zip'

    def _states(self) -> ObjectTable:
        """Returns the table, its pixels 0; velocities are those of the paths."""
        types = column_types(len(self.actors), self.frames, len(self.rig.cameras))
        table = ObjectTable(
            **{name: np.zeros(shape, kind) for name, (kind, shape) in types.items()}
        )
        for row, actor in enumerate(self.actors):
            for frame in range(self.frames):
                time_s = frame * PERIOD_NS / 1e9
                if not any(start <= time_s <= end for start, end in actor.presence_s):
                    continue
                table.present[row, frame] = True
                pose = self._world_pose(actor, time_s)
                step_s = 1e-3
                later, sooner = (self._world_pose(actor, time_s + s) for s in (step_s, -step_s))
                table.x_m[row, frame], table.y_m[row, frame] = pose[:2, 3]
                table.yaw_rad[row, frame] = np.arctan2(pose[1, 0], pose[0, 0])
                ahead, behind = later[:2, 3] - pose[:2, 3], pose[:2, 3] - sooner[:2, 3]
                table.velocity_mps[row, frame] = (ahead + behind) / (2 * step_s)
                table.acceleration_mps2[row, frame] = (ahead - behind) / step_s**2
        return table

    def _world_pose(self, actor: Actor, time_s: float) -> np.ndarray:
        x, y, yaw = actor.path(time_s)
        return pose_from_yaw(*self.start[:2], 0.0, self.start[2]) @ pose_from_yaw(x, y, 0.0, yaw)


def _jpeg(classes: np.ndarray, random: np.random.Generator) -> bytes:
    """Returns a noisy picture of the classes."""
    paint = np.random.default_rng(7).integers(40, 216, (256, 3))
    noise = random.integers(-20, 21, (*classes.shape, 3))
    return cv2.imencode('.jpg', (paint[classes] + noise).astype(np.uint8))[1].tobytes()
