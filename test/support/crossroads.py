"""Two crossing streets by hand, with traffic of every class, scenery and a traffic light."""

from __future__ import annotations

import numpy as np
from bev_trainer.world.catalogue import MODELS
from bev_trainer.world.road_map import Lane, RoadMap, SignalHead, SignalPlan
from bev_trainer.world.scenery import Prop
from bev_trainer.world.tracks import Track
from bev_trainer.world.weather import Weather, WeatherName, draw_weather
from bev_trainer.world.world import EgoDrive, Scenario, World
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.ops import unary_union

HALF_LENGTH_M, HALF_ROAD_M, SIDEWALK_M = 150.0, 7.0, 3.0
SECONDS = 12.0


def crossroads(weather: WeatherName = 'clear', seed: int = 0) -> Scenario:
    """Returns a drive east along y = -1.75 through the crossroads at (0, 0)."""
    world = crossroads_world()
    drive = world.ego_drives[0]
    sky = draw_weather(weather, np.random.default_rng(seed))
    return scenario_of(world, drive, sky)


def scenario_of(world: World, drive: EgoDrive, weather: Weather) -> Scenario:
    """Returns the scenario of a drive with everyone else of its world."""
    others = tuple(track for track in world.tracks if track.name != drive.replaces)
    return Scenario(world, drive.track, 1.35, others, drive.start_s, 8.0, weather)


def crossroads_world() -> World:
    """Returns the world: an east-west and a north-south street."""
    ego = _moving('ego', 'sedan', (-70.0, -1.75), 0.0, 8.0)
    tracks = (ego, *_vehicles(), *_walkers(), *_parked())
    plan = SignalPlan({'tl': (np.array([0.0, 6.0]), ('Gr', 'rG'))})
    drives = (EgoDrive(ego, 2.0, 'ego'),)
    return World('hand', _road_map(), _props(), tracks, plan, 0.0, SECONDS, drives)


def _road_map() -> RoadMap:
    long, road, walk = HALF_LENGTH_M, HALF_ROAD_M, HALF_ROAD_M + SIDEWALK_M
    drivable = unary_union([box(-long, -road, long, road), box(-road, -long, road, long)])
    outer = unary_union([box(-long, -walk, long, walk), box(-walk, -long, walk, long)])
    crossing = [box(9.0, -road, 12.0, road), box(-12.0, -road, -9.0, road)]
    stripes = [
        box(x, y, x + 3.0, y + 0.5) for x in (9.0, -12.0) for y in np.arange(-6.75, 6.5, 1.0)
    ]
    dashes = [box(s * x, y, s * x + 3.0, y + 0.14) for s in (1,) for y in (-3.57, 3.43)
              for x in (*np.arange(-148, -18, 9.0), *np.arange(16, 146, 9.0))]  # fmt: skip
    dashes += [affinity.rotate(dash, 90, origin=(0, 0)) for dash in dashes]
    stops = [box(-13.4, -road, -13.0, -0.2), box(13.0, 0.2, 13.4, road)]
    middle = [box(x, y, x + 130.0, y + 0.12) for x in (-145.0, 15.0) for y in (-0.19, 0.07)]
    middle += [affinity.rotate(line, 90, origin=(0, 0)) for line in middle]
    lanes = tuple(
        Lane(f'{a}{b}', a, 'driving', np.array(line, float), 3.5, 13.9)
        for a, b, line in _centerlines()
    )
    signals = (
        SignalHead(-8.0, -8.2, np.pi, 'tl', 0),
        SignalHead(8.2, -8.2, -np.pi / 2, 'tl', 1),
    )
    return RoadMap(
        _multi(drivable), _multi(outer.difference(drivable)), _multi(unary_union(crossing)),
        _multi(unary_union(stripes + dashes + stops)), _multi(unary_union(middle)), lanes, signals,
    )  # fmt: skip


def _centerlines() -> list[tuple[str, str, list[tuple[float, float]]]]:
    lines = []
    for offset in (1.75, 5.25):
        for low, high, part in ((-150.0, -14.0, 'w'), (14.0, 150.0, 'e')):
            lines.append(('ew', f'{part}{-offset}', [(low, -offset), (high, -offset)]))
            lines.append(('we', f'{part}{offset}', [(high, offset), (low, offset)]))
            lines.append(('sn', f'{part}{offset}', [(offset, low), (offset, high)]))
            lines.append(('ns', f'{part}{-offset}', [(-offset, high), (-offset, low)]))
    return lines


def _multi(shape: Polygon | MultiPolygon) -> MultiPolygon:
    return shape if isinstance(shape, MultiPolygon) else MultiPolygon([shape])


def _track(name: str, model: str, xy: tuple[float, float], yaw: float, **extra: object) -> Track:
    kind = MODELS[model]
    paint = kind.paint[sum(map(ord, name)) % len(kind.paint)]
    n = 1 if extra.get('parked') else int(SECONDS * 10) + 1
    speed = float(extra.pop('speed', 0.0))  # type: ignore[arg-type]
    way = speed * 0.1 * np.arange(n)
    x, y = xy[0] + way * np.cos(yaw), xy[1] + way * np.sin(yaw)
    return Track(name, kind.object_class, model, paint, kind.length_m, kind.width_m,
                 kind.height_m, 0.0, 0.1, x, y, np.full(n, yaw), **extra)  # type: ignore[arg-type]  # fmt: skip


def _moving(name: str, model: str, xy: tuple[float, float], yaw: float, speed: float) -> Track:
    return _track(name, model, xy, yaw, speed=speed)


def _vehicles() -> list[Track]:
    half = np.pi / 2
    return [
        _moving('suv', 'suv', (-52.0, -1.75), 0.0, 8.0),
        _moving('bus', 'city_bus', (40.0, 5.25), np.pi, 7.0),
        _moving('taxi', 'hatchback', (22.0, 1.75), np.pi, 9.0),
        _moving('truck', 'box_truck', (-95.0, -5.25), 0.0, 7.0),
        _moving('van', 'delivery_van', (1.75, -90.0), half, 0.0),
        _moving('north', 'wagon', (1.75, -16.5), half, 0.0),
        _moving('moto', 'motorcycle', (-60.0, -5.25), 0.0, 9.0),
        _moving('bike', 'bicycle', (-38.0, -6.1), 0.0, 4.5),
        _moving('cargo', 'cargo_bicycle', (30.0, 6.2), np.pi, 4.0),
        _moving('behind', 'sedan', (-84.0, -1.75), 0.0, 8.0),
        _moving('pick', 'pickup', (60.0, -1.75), 0.0, 6.0),
        _moving('dump', 'dump_truck', (75.0, 1.75), np.pi, 6.0),
    ]


def _walkers() -> list[Track]:
    models = ('adult', 'adult_coat', 'child')
    people = [
        _moving(f'walker{i}', models[i % 3], (-45.0 + 6.5 * i, (-8.5, 8.4)[i % 2]),
                (0.0, np.pi)[i // 2 % 2], 1.3)
        for i in range(12)
    ]  # fmt: skip
    return [*people, _moving('crosser', 'adult', (-10.5, -6.0), np.pi / 2, 1.2)]


def _parked() -> list[Track]:
    models = ('sedan', 'hatchback', 'suv', 'wagon', 'minibus')
    return [
        _track(f'parked{i}', models[i % 5], (24.0 + 6.5 * i, -5.9), 0.0, parked=True)
        for i in range(8)
    ]


def _props() -> tuple[Prop, ...]:
    rng = np.random.default_rng(7)
    props: list[Prop] = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            for x in np.arange(20.0, 140.0, 21.0):
                for along in (False, True):
                    props += _lot(rng, sx * x, sy * 21.0, along)
    props += [
        Prop('signal', -8.0, -8.2, np.pi, 0.4, 0.4, 3.4, (0.1, 0.1, 0.1), 0, 0),
        Prop('signal', 8.2, -8.2, -np.pi / 2, 0.4, 0.4, 3.4, (0.1, 0.1, 0.1), 0, 1),
        Prop('bench', -30.0, 9.3, -np.pi / 2, 0.6, 1.8, 0.85, (0.3, 0.2, 0.1)),
        Prop('bus_shelter', -24.0, 9.0, -np.pi / 2, 1.5, 4.0, 2.6, (0.3, 0.3, 0.3)),
        Prop('sign_speed', -50.0, -8.0, np.pi, 0.15, 0.6, 2.6, (0.5, 0.5, 0.5)),
    ]
    return tuple(props)


def _lot(rng: np.random.Generator, x: float, y: float, along: bool) -> list[Prop]:
    """One building with a tree and a lamp before it; `along` the north-south street or not."""
    kind = ('building_flat', 'building_gable', 'building_tower')[int(rng.integers(3))]
    height = {'building_tower': rng.uniform(20, 34), 'building_gable': rng.uniform(7, 10)}.get(
        kind, rng.uniform(9, 16)
    )
    wall = tuple(rng.uniform(0.25, 0.6, 3) * (1.0, 0.9, 0.8))
    turn = np.sign(y) * np.pi / 2
    items = [
        ('building_flat' if height > 30 else kind, x, y, -turn, 16.0, 17.0, height, wall),
        ('tree_round', x + 8.0, y * 0.43, 0.0, 5.0, 5.0, rng.uniform(6, 9), (0.10, 0.20, 0.05)),
        ('street_lamp', x - 8.0, y * 0.36, -turn, 1.8, 0.4, 7.5, (0.4, 0.4, 0.4)),
    ]
    seed = int(rng.integers(256))
    if along:
        items = [(m, py, px, yaw - np.pi / 2, *rest) for m, px, py, yaw, *rest in items]  # type: ignore[misc]
    return [
        Prop(m, float(px), float(py), float(yaw), le, wi, float(h), c, seed)  # type: ignore[arg-type]
        for m, px, py, yaw, le, wi, h, c in items
    ]
