"""Makes a world: a road network, its scenery, its traffic and ego drives through it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from shapely import contains_xy
from shapely.geometry import Polygon

from bev_trainer.errors import SimulationError
from bev_trainer.traffic.astray import RightfulGround
from bev_trainer.traffic.demand import EGO_TYPE, write_demand
from bev_trainer.traffic.ego import ego_track, pick_drives
from bev_trainer.traffic.net_file import NetFile, read_net_file
from bev_trainer.traffic.network_build import build_network
from bev_trainer.traffic.overlap import hits, without_overlaps
from bev_trainer.traffic.parking import park_vehicles
from bev_trainer.traffic.road_map_build import build_road_map
from bev_trainer.traffic.road_users import road_users
from bev_trainer.traffic.shapes import merged
from bev_trainer.traffic.simulation import STEP_S, RawTrack, run_traffic
from bev_trainer.traffic.spec import TrafficSpec
from bev_trainer.traffic.street_plan import plan_streets
from bev_trainer.traffic.tools import sumo_home
from bev_trainer.world.road_map import SignalPlan
from bev_trainer.world.scenery_placement import place_scenery
from bev_trainer.world.tracks import Track
from bev_trainer.world.world import EgoDrive, World

__all__ = ['TrafficSpec', 'make_world']

WARM_UP_S = 14.0
BEFORE_S = 1.0
AFTER_S = 4.0
TRIES = 8


def make_world(spec: TrafficSpec, scratch: Path) -> World:
    """Returns the world of a specification; the same one every time, wherever it is made.

    Args:
        spec: what to make.
        scratch: folder for SUMO's files; what is made there is removed after success.

    Raises:
        SimulationError: SUMO is missing or fails, or no network gives enough ego drives.
    """
    sumo_home()
    why = ''
    for attempt in range(TRIES):
        folder = scratch / f'net_{spec.network_seed:06d}_{attempt}'
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise SimulationError(f'{folder}: cannot be made: {error.strerror}') from error
        world, why = _attempt(spec, attempt, folder)
        if world is not None:
            shutil.rmtree(folder, ignore_errors=True)
            return world
    raise SimulationError(
        f'network {spec.network_seed}: {why} in {TRIES} tries; ask for fewer or shorter drives'
    )


def _attempt(spec: TrafficSpec, attempt: int, folder: Path) -> tuple[World | None, str]:
    """Returns a world, or None and what was lacking."""
    streams = np.random.SeedSequence([spec.network_seed, attempt]).spawn(5)
    rng_plan, rng_demand, rng_looks, rng_ego, rng_scenery = map(np.random.default_rng, streams)
    plan = plan_streets(rng_plan, spec.radius_m, folder)
    net = read_net_file(build_network(plan, folder))
    road_map = build_road_map(net, rng_looks)
    ground = RightfulGround.of(road_map)
    if not _roads_are_free(net, ground):
        return None, 'a sidewalk lies across a road'
    first_s, last_s = _start_span(spec)
    end_s = last_s + spec.drive_s + AFTER_S
    egos = max(8, 3 * spec.drives)
    demand = folder / 'demand.rou.xml'
    write_demand(net, spec.vehicle, egos, end_s, rng_demand, demand)
    lights = sorted({way.controller for way in net.connections if way.controller})
    seed = int(rng_demand.integers(1, 2**31 - 1))
    network = folder / 'streets.net.xml'
    raws, signals = run_traffic(network, demand, lights, seed, WARM_UP_S, end_s)
    drives = _drives(raws, net, ground, spec, rng_ego)
    begin, end = first_s - BEFORE_S, end_s
    if drives:
        begin = min(drive.start_s for drive in drives) - BEFORE_S
        end = max(drive.start_s for drive in drives) + spec.drive_s + AFTER_S
    whole = road_users(raws, spec.vehicle, rng_looks)
    users = [track for track in (_cut(user, begin, end) for user in whole) if track is not None]
    users = [track for track in users if ground.keeps(track)]
    tracks = [*users, *park_vehicles(net, rng_looks, STEP_S)]
    tracks, drives = _without_overlaps(tracks, drives, begin, end)
    if len(drives) < spec.drives:
        return None, f'only {len(drives)} of {spec.drives} ego drives came about'
    return (
        World(
            f'net_{spec.network_seed:06d}',
            road_map,
            place_scenery(road_map, rng_scenery),
            tuple(tracks),
            _signals(signals, begin, end),
            round(begin, 3),
            round(end, 3),
            tuple(drives),
        ),
        '',
    )


def _roads_are_free(net: NetFile, ground: RightfulGround) -> bool:
    """Whether vehicles need not leave the road: netconvert fails at few junctions."""
    ways = [lane.shape_m for lane in net.lanes.values() if lane.kind in ('driving', 'internal')]
    return all(contains_xy(ground.drivable, way[:, 0], way[:, 1]).all() for way in ways)


def _start_span(spec: TrafficSpec) -> tuple[float, float]:
    """Returns the earliest and the latest start of a drive."""
    first = WARM_UP_S + BEFORE_S
    return first, first + min(max(2.0 * (spec.drives - 1), 16.0 - spec.drive_s), 12.0)


def _drives(
    raws: list[RawTrack],
    net: NetFile,
    ground: RightfulGround,
    spec: TrafficSpec,
    rng: np.random.Generator,
) -> list[EgoDrive]:
    stand_ins = [raw for raw in raws if raw.type_name == EGO_TYPE and len(raw.front_m) > 1]
    tracks = {raw.name: ego_track(raw, spec) for raw in stand_ins}
    tracks = {name: track for name, track in tracks.items() if ground.keeps(track)}
    shapes = [shape for shape in net.junction_shapes.values() if len(shape) > 2]
    junctions = merged([Polygon(shape).buffer(0.0) for shape in shapes])
    return pick_drives(tracks, junctions, _start_span(spec), spec, rng)


def _without_overlaps(
    tracks: list[Track], drives: list[EgoDrive], begin_s: float, end_s: float
) -> tuple[list[Track], list[EgoDrive]]:
    """Returns the tracks that stay, and the drives that go through none of them."""
    stand_ins = {drive.replaces for drive in drives}
    times = np.round(np.arange(begin_s, end_s + 1e-6, STEP_S), 3)
    tracks = without_overlaps(tracks, times, stand_ins)
    clear = []
    for drive in drives:
        others = [track for track in tracks if track.name != drive.replaces]
        names = {others[hit].name for hit in hits(drive.track, others, times)}
        if len(others) < len(tracks) and not names & stand_ins:
            tracks = [track for track in tracks if track.name not in names]
            clear.append(drive)
    return tracks, clear


def _cut(track: Track, begin_s: float, end_s: float) -> Track | None:
    """Returns the part of a track within a span, None when it hardly has one."""
    first = max(0, round((begin_s - track.start_s) / STEP_S))
    last = min(len(track.x_m) - 1, round((end_s - track.start_s) / STEP_S))
    if last - first < 2:
        return None
    part = slice(first, last + 1)
    return replace(
        track,
        start_s=round(track.start_s + first * STEP_S, 3),
        x_m=track.x_m[part],
        y_m=track.y_m[part],
        yaw_rad=track.yaw_rad[part],
    )


def _signals(plan: SignalPlan, begin_s: float, end_s: float) -> SignalPlan:
    """Returns the part of the plan that matters from `begin_s` to `end_s`."""
    controllers = {}
    for name, (times_s, states) in plan.controllers.items():
        first = max(int(np.searchsorted(times_s, begin_s, side='right')) - 1, 0)
        last = int(np.searchsorted(times_s, end_s, side='right'))
        controllers[name] = (times_s[first:last], states[first:last])
    return SignalPlan(controllers)
