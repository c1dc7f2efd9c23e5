"""Makes one drive file: renders every camera at every frame and labels what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.grid import BevGrid
from bev_perception.geometry.pose import invert
from bev_perception.units import NS_PER_S
from bev_trainer.dataset.description import (
    DriveDescription,
    GridSection,
    ObjectSection,
    WeatherSection,
)
from bev_trainer.dataset.writer import DriveWriter
from bev_trainer.labels.observed import ObservedCells
from bev_trainer.render.context import open_context
from bev_trainer.render.renderer import ScenarioRenderer
from bev_trainer.render.sensor import draw_sensor_look
from bev_trainer.render.shot import Shot
from bev_trainer.render.timing import StageTimes
from bev_trainer.simulate.job import DriveJob
from bev_trainer.simulate.object_log import ObjectLog
from bev_trainer.simulate.record import DriveRecord
from bev_trainer.simulate.scenario import scenario_of
from bev_trainer.simulate.scenario_boxes import ScenarioBoxes
from bev_trainer.world.ground_raster import GroundRaster, rasterise_ground
from bev_trainer.world.world import Scenario, World

LABEL_GRID = BevGrid.from_range((-56.0, 56.0), (-56.0, 56.0), 0.5)
GROUND_RESOLUTION_M = 0.1  # thinner than paint, so that no line breaks
GROUND_MARGIN_M = 100.0
JPEG_QUALITY = 92
# Drives of a data set follow each other at this distance, so that no two share a stamp.
FIRST_STAMP_NS = 1_700_000_000 * NS_PER_S
DRIVE_SPACING_NS = 3600 * NS_PER_S


def make_drive(job: DriveJob, world: World, folder: Path) -> DriveRecord:
    """Writes `<job.name>.zip` into the folder: the whole file or nothing.

    The same job and world give the same bytes.

    Raises:
        SimulationError: OpenGL is missing, or the world has no such drive.
        DatasetError: the file cannot be written.
    """
    scenario_rng, look_rng = np.random.default_rng(job.seed).spawn(2)
    scenario = scenario_of(job, world, scenario_rng)
    look = draw_sensor_look(look_rng, len(job.rig.cameras))
    cameras = _cameras(job)
    clock = StageTimes()
    with clock.stage('ground'):
        ground = _ground(scenario)
    with (
        DriveWriter(folder, job.name) as writer,
        ScenarioRenderer(drawing_context(), scenario, cameras, look, job.supersample) as renderer,
    ):
        log = _DriveMaker(job, scenario, cameras, renderer, writer, clock).run()
        with clock.stage('write'):
            digest = writer.finish(
                _description(job, scenario, ground),
                _world_T_base(job, scenario),
                _camera_world_T_base(job, scenario),
                log.table(),
                ground,
            )
        clock.seconds.update(renderer.times.seconds)
    return DriveRecord(
        name=job.name,
        frames=job.frames,
        images=job.images,
        objects=len(scenario.others),
        sha256=digest,
        bytes=(folder / f'{job.name}.zip').stat().st_size,
        gl_version=str(drawing_context().info['GL_VERSION']),
        stage_s=dict(clock.seconds),
    )


class _DriveMaker:
    """Goes through the frames of one drive."""

    def __init__(
        self,
        job: DriveJob,
        scenario: Scenario,
        cameras: Sequence[Camera],
        renderer: ScenarioRenderer,
        writer: DriveWriter,
        clock: StageTimes,
    ) -> None:
        self._job = job
        self._scenario = scenario
        self._cameras = cameras
        self._renderer = renderer
        self._writer = writer
        self._clock = clock
        self._observed = ObservedCells(cameras, LABEL_GRID)
        self._boxes = ScenarioBoxes(scenario)
        self._log = ObjectLog(scenario, cameras, job.frames)

    def run(self) -> ObjectLog:
        label_frames = set(self._job.label_frames)
        for frame in range(self._job.frames):
            times_s = _camera_times(self._job, self._scenario, frame)
            shots = self._renderer.shoot(times_s)
            self._add_images(frame, shots)
            with self._clock.stage('objects'):
                self._log.add(frame, _reference_time(self._job, self._scenario, frame))
                self._log.add_views(frame, [shot.instances for shot in shots], times_s)
            if frame in label_frames:
                self._add_labels(frame, shots, times_s)
        return self._log

    def _add_images(self, frame: int, shots: Sequence[Shot]) -> None:
        with self._clock.stage('jpeg'):
            for index, shot in enumerate(shots):
                self._writer.add_image(frame, index, encode_jpeg(shot.rgb))

    def _add_labels(self, frame: int, shots: Sequence[Shot], times_s: Sequence[float]) -> None:
        with self._clock.stage('label images'):
            for index, shot in enumerate(shots):
                self._writer.add_labels(frame, index, shot.classes, shot.instances, shot.depth_m)
        with self._clock.stage('observed'):
            self._writer.add_observed(frame, self._observe(frame, shots, times_s))

    def _observe(
        self, frame: int, shots: Sequence[Shot], times_s: Sequence[float]
    ) -> NDArray[np.bool_]:
        """Returns bool [N, Y, X] on the label grid, in the base frame at the reference instant."""
        reference_s = _reference_time(self._job, self._scenario, frame)
        base_T_world = invert(self._scenario.world_T_base(reference_s))
        return self._observed.observe(
            [shot.classes for shot in shots],
            [shot.instances for shot in shots],
            self._boxes.at(reference_s).transformed(base_T_world),
            [base_T_world @ self._scenario.world_T_base(time_s) for time_s in times_s],
        )


@cache
def drawing_context() -> Any:
    """Returns the OpenGL context of this process; raises SimulationError without EGL."""
    return open_context()


def encode_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Returns the image uint8 [H, W, 3] as a JPEG file."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _cameras(job: DriveJob) -> tuple[Camera, ...]:
    cameras = [entry.camera() for entry in job.rig.cameras]
    return tuple(camera for camera in cameras if camera is not None)


def _reference_time(job: DriveJob, scenario: Scenario, frame: int) -> float:
    return scenario.start_s + frame / job.image_hz


def _camera_times(job: DriveJob, scenario: Scenario, frame: int) -> list[float]:
    reference_s = _reference_time(job, scenario, frame)
    return [reference_s + camera.trigger_offset_s for camera in job.rig.cameras]


def _world_T_base(job: DriveJob, scenario: Scenario) -> NDArray[np.float64]:
    times_s = [_reference_time(job, scenario, frame) for frame in range(job.frames)]
    return np.array([scenario.world_T_base(time_s) for time_s in times_s])


def _camera_world_T_base(job: DriveJob, scenario: Scenario) -> NDArray[np.float64]:
    return np.array(
        [
            [scenario.world_T_base(time_s) for time_s in _camera_times(job, scenario, frame)]
            for frame in range(job.frames)
        ]
    )


def _ground(scenario: Scenario) -> GroundRaster:
    """Returns the ground around all places where the ego vehicle comes."""
    track = scenario.ego
    times_s = track.start_s + track.step_s * np.arange(len(track.x_m))
    here = (times_s >= scenario.start_s - 1.0) & (
        times_s <= scenario.start_s + scenario.duration_s + 1.0
    )
    x_m, y_m = (_range(values[here]) for values in (track.x_m, track.y_m))
    return rasterise_ground(scenario.world.road_map, x_m, y_m, GROUND_RESOLUTION_M)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns whole metres around the values, with a margin."""
    return (
        float(np.floor(values.min() - GROUND_MARGIN_M)),
        float(np.ceil(values.max() + GROUND_MARGIN_M)),
    )


def _description(job: DriveJob, scenario: Scenario, ground: GroundRaster) -> DriveDescription:
    first_ns = FIRST_STAMP_NS + job.index * DRIVE_SPACING_NS
    stamps_ns = [first_ns + round(k * NS_PER_S / job.image_hz) for k in range(job.frames)]
    offsets_ns = [round(entry.trigger_offset_s * NS_PER_S) for entry in job.rig.cameras]
    return DriveDescription(
        name=job.name,
        split=job.split,
        network=job.network,
        seed=job.seed,
        rig_name=job.rig_name,
        rig=job.rig,
        weather=WeatherSection(**asdict(scenario.weather)),
        frame_stamps_ns=tuple(stamps_ns),
        label_frames=job.label_frames,
        camera_offsets_ns=tuple(offsets_ns),
        label_grid=GridSection(**asdict(LABEL_GRID)),
        ground_origin_m=(ground.x_min_m, ground.y_min_m),
        ground_resolution_m=ground.resolution_m,
        ego_length_m=scenario.ego.length_m,
        ego_width_m=scenario.ego.width_m,
        ego_height_m=scenario.ego.height_m,
        ego_base_offset_m=scenario.base_offset_m,
        objects=tuple(
            ObjectSection(
                instance=index + 1,
                name=track.name,
                class_name=track.object_class.label,
                model=track.model,
                length_m=track.length_m,
                width_m=track.width_m,
                height_m=track.height_m,
                parked=track.parked,
            )
            for index, track in enumerate(scenario.others)
        ),
    )
