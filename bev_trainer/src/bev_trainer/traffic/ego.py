"""Picks the drives of the vehicle under test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from shapely import contains_xy
from shapely.geometry import MultiPolygon

from bev_trainer.traffic.motion import vehicle_motion
from bev_trainer.traffic.road_users import nearest_model
from bev_trainer.traffic.simulation import STEP_S, RawTrack
from bev_trainer.traffic.spec import TrafficSpec
from bev_trainer.world.tracks import Track
from bev_trainer.world.world import EgoDrive

MARGIN_S = 0.5
LEAST_MPS = 3.0
LEAST_WALK_MPS = 0.6
_APART_S = 2.0


def ego_track(raw: RawTrack, spec: TrafficSpec) -> Track:
    """Returns the motion of the vehicle under test in place of its stand-in.

    On a sidewalk the vehicle's front follows the pedestrian, so that it is never faster.
    """
    vehicle, model = spec.vehicle, nearest_model(spec.vehicle)
    size = (vehicle.length_m, vehicle.width_m, vehicle.height_m)
    middle, yaw = vehicle_motion(
        raw.front_m, float(raw.yaw_rad[0]), vehicle.length_m, vehicle.rear_overhang_m
    )
    return Track(
        raw.name, model.object_class, model.name, model.paint[0], *size, raw.start_s, STEP_S,
        middle[:, 0], middle[:, 1], yaw,
    )  # fmt: skip


def pick_drives(
    tracks: dict[str, Track],
    junctions: MultiPolygon,
    starts_s: tuple[float, float],
    spec: TrafficSpec,
    rng: np.random.Generator,
) -> list[EgoDrive]:
    """Returns up to `spec.drives` drives, of different stand-ins as long as there are any.

    Args:
        tracks: motion of the vehicle under test, by the name of the road user it replaces.
        junctions: the insides of junctions; who drives through one is preferred.
        starts_s: earliest and latest start.
        spec: says how many, and how long.
        rng: draws among the suitable ones.
    """
    found = {name: _starts(tracks[name], junctions, starts_s, spec) for name in sorted(tracks)}
    names = [name for name in found if found[name][0]]
    names = [names[int(i)] for i in rng.permutation(len(names))]
    names.sort(key=lambda name: not found[name][1])
    drives: list[EgoDrive] = []
    for name in names * spec.drives:
        if len(drives) == spec.drives:
            break
        taken = [drive.start_s for drive in drives if drive.replaces == name]
        starts = found[name][1] or found[name][0]
        free = [s for s in starts if all(abs(s - other) >= _APART_S for other in taken)]
        if free:
            start = free[int(rng.integers(len(free)))]
            drives.append(_drive(tracks[name], start, f'ego{len(drives):02d}', spec))
    return drives


def _starts(
    track: Track, junctions: MultiPolygon, starts_s: tuple[float, float], spec: TrafficSpec
) -> tuple[list[float], list[float]]:
    """Returns the starts with enough motion, and those that go through a junction, too."""
    on_road = spec.vehicle.drives_on == 'road'
    least_m = spec.drive_s * (LEAST_MPS if on_road else LEAST_WALK_MPS)
    steps = np.hypot(np.diff(track.x_m), np.diff(track.y_m))
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    inside = contains_xy(junctions, track.x_m, track.y_m)
    moving, crossing = [], []
    for start_s in np.arange(starts_s[0], starts_s[1] + 1e-6, 0.5):
        first, last = _span(track, float(start_s), spec)
        if first < 0 or last >= len(steps):
            continue
        fastest = float(steps[first : last + 1].max(initial=0.0)) / STEP_S
        if travelled[last] - travelled[first] < least_m or fastest > spec.vehicle.max_speed_mps:
            continue
        moving.append(round(float(start_s), 1))
        if not on_road or inside[first : last + 1].any():
            crossing.append(round(float(start_s), 1))
    return moving, crossing


def _span(track: Track, start_s: float, spec: TrafficSpec) -> tuple[int, int]:
    """Returns the first and the last sample of a drive, margins included."""
    first = round((start_s - MARGIN_S - track.start_s) / STEP_S)
    return first, first + round((spec.drive_s + 2 * MARGIN_S) / STEP_S)


def _drive(track: Track, start_s: float, name: str, spec: TrafficSpec) -> EgoDrive:
    first, last = _span(track, start_s, spec)
    part = slice(first, last + 1)
    cut = replace(
        track,
        name=name,
        start_s=round(start_s - MARGIN_S, 3),
        x_m=track.x_m[part],
        y_m=track.y_m[part],
        yaw_rad=track.yaw_rad[part],
    )
    return EgoDrive(cut, start_s, track.name)
