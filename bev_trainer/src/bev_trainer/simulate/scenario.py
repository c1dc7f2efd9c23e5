"""Picks one drive out of a world: the ego vehicle, who comes near it, and the weather."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_trainer.errors import SimulationError
from bev_trainer.simulate.job import DriveJob
from bev_trainer.world.tracks import Track
from bev_trainer.world.weather import draw_weather
from bev_trainer.world.world import EgoDrive, Scenario, World

NEAR_M = 110.0
# Cameras fire up to this long before and after a reference instant.
TRIGGER_MARGIN_S = 0.25
MAX_OBJECTS = 65535


def scenario_of(job: DriveJob, world: World, rng: np.random.Generator) -> Scenario:
    """Returns the drive that a job asks for.

    Raises:
        SimulationError: the world has no such ego drive, or it is too short for the job.
    """
    if job.drive >= len(world.ego_drives):
        raise SimulationError(
            f'{job.name}: network {world.name} has {len(world.ego_drives)} ego drives, '
            f'number {job.drive} was asked for'
        )
    ego = world.ego_drives[job.drive]
    _check_span(job, ego)
    return Scenario(
        world=world,
        ego=ego.track,
        base_offset_m=ego.track.length_m / 2.0 - _rear_overhang(job),
        others=_near(world, ego, job.seconds),
        start_s=ego.start_s,
        duration_s=job.seconds,
        weather=draw_weather(job.weather, rng),
    )


def _rear_overhang(job: DriveJob) -> float:
    assert job.rig.vehicle is not None
    return job.rig.vehicle.rear_overhang_m


def _check_span(job: DriveJob, ego: EgoDrive) -> None:
    last_s = ego.start_s + (job.frames - 1) / job.image_hz
    offsets_s = [camera.trigger_offset_s for camera in job.rig.cameras]
    first_s, last_s = ego.start_s + min(0.0, *offsets_s), last_s + max(0.0, *offsets_s)
    if not (ego.track.start_s <= first_s and last_s <= ego.track.end_s):
        raise SimulationError(
            f'{job.name}: its cameras fire from {first_s:.2f} s to {last_s:.2f} s, but the ego '
            f'vehicle is there from {ego.track.start_s:.2f} s to {ego.track.end_s:.2f} s only; '
            'trigger offsets may be a quarter of a second at most'
        )


def _near(world: World, ego: EgoDrive, seconds: float) -> tuple[Track, ...]:
    """Returns the tracks that come within `NEAR_M` of the ego vehicle, in the world's order."""
    times_s = np.arange(ego.start_s, ego.start_s + seconds + 0.25, 0.5)
    way = np.array([_position(ego.track, time_s) for time_s in times_s])
    near = [
        track
        for track in world.tracks
        if track.name != ego.replaces and _comes_near(track, times_s, way)
    ]
    if len(near) > MAX_OBJECTS:
        raise SimulationError(f'{world.name}: {len(near)} road users near a drive are too many')
    return tuple(near)


def _comes_near(track: Track, times_s: NDArray[np.float64], way: NDArray[np.float64]) -> bool:
    if track.parked:
        gaps = way - (track.x_m[0], track.y_m[0])
        return bool((np.hypot(*gaps.T) <= NEAR_M).any())
    margin_s = TRIGGER_MARGIN_S + 0.5
    here = (times_s >= track.start_s - margin_s) & (times_s <= track.end_s + margin_s)
    if not here.any():
        return False
    inside_s = np.clip(times_s[here], track.start_s, track.end_s)
    samples_s = track.start_s + track.step_s * np.arange(len(track.x_m))
    x, y = (np.interp(inside_s, samples_s, values) for values in (track.x_m, track.y_m))
    return bool((np.hypot(x - way[here, 0], y - way[here, 1]) <= NEAR_M).any())


def _position(track: Track, time_s: float) -> tuple[float, float]:
    state = track.state(min(max(time_s, track.start_s), track.end_s))
    return state.x_m, state.y_m
