"""Who is on the road: SUMO's vehicle types and everyone's way through the network.

Everyone enters in the first seconds and has a way that outlasts the simulation, so that density
is constant and nobody appears or vanishes in sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.rig_file import RigFileVehicle
from bev_trainer.traffic.net_file import NetFile
from bev_trainer.traffic.shapes import FloatArray, at, lengths
from bev_trainer.world.catalogue import MODELS, RoadUserModel, models_of
from bev_trainer.world.classes import SemanticClass

EGO_TYPE = 'ego'
METRES_PER_VEHICLE = 60.0
MOST_VEHICLES = 80
WALKERS_PER_VEHICLE = 0.8
WALKERS_ENTER_S = (7.0, 10.0)
CLASS_SHARES: dict[SemanticClass, float] = {
    SemanticClass.CAR: 0.62,
    SemanticClass.VAN: 0.08,
    SemanticClass.TRUCK: 0.06,
    SemanticClass.BUS: 0.04,
    SemanticClass.MOTORCYCLE: 0.06,
    SemanticClass.BICYCLE: 0.14,
}
# accel, decel, maxSpeed, minGap, tau, latAlignment, maxSpeedLat, minGapLat, vClass
_MANNERS: dict[SemanticClass, tuple[str, ...]] = {
    SemanticClass.CAR: ('1.9', '2.8', '25', '2.2', '1.2', 'center', '0.8', '0.5', 'passenger'),
    SemanticClass.VAN: ('1.6', '2.6', '23', '2.4', '1.3', 'center', '0.7', '0.5', 'delivery'),
    SemanticClass.TRUCK: ('1.1', '2.2', '20', '2.8', '1.6', 'center', '0.5', '0.6', 'truck'),
    SemanticClass.BUS: ('1.1', '2.2', '18', '2.8', '1.6', 'center', '0.5', '0.6', 'bus'),
    SemanticClass.MOTORCYCLE: ('2.4', '3.2', '25', '2.2', '1.2', 'center', '0.7', '0.6',
                               'motorcycle'),
    SemanticClass.BICYCLE: ('1.0', '2.2', '5.5', '1.6', '1.2', 'right', '0.5', '0.5', 'bicycle'),
}  # fmt: skip
_WALKING_SPEED = {'adult': 1.38, 'adult_coat': 1.28, 'child': 1.15}
# Long vehicles keep to ways on which their rear does not cut corners.
_LONG_TURN_WEIGHT = {'s': 1.0, 'r': 0.02, 'R': 0.3, 'l': 0.3, 'L': 0.6}
_LONG_M = 7.0
_TURN_WEIGHT = {'s': 1.0, 'r': 0.6, 'R': 0.8, 'l': 0.5, 'L': 0.8}


def write_demand(
    net: NetFile,
    vehicle: RigFileVehicle,
    egos: int,
    end_s: float,
    rng: np.random.Generator,
    path: Path,
) -> None:
    """Writes SUMO's route file: `egos` vehicles under test among busy city traffic."""
    driving = [lane for lane in net.lanes.values() if lane.kind == 'driving']
    total_m = sum(float(lengths(lane.shape_m)[-1]) for lane in driving)
    count = min(max(12, round(total_m / METRES_PER_VEHICLE)), MOST_VEHICLES)
    on_road = vehicle.drives_on == 'road'
    types = [_vehicle_type(model) for model in MODELS.values() if model.wheelbase_m > 0]
    types += [_person_type(model) for model in models_of(SemanticClass.PEDESTRIAN)]
    types.append(_ego_type(vehicle))
    drivers = _drawn_models(count, rng)
    walkers = _walker_models(round(WALKERS_PER_VEHICLE * count), rng)
    for crowd in (drivers,) if on_road else (walkers,):
        for place in rng.choice(len(crowd), size=min(egos, len(crowd)), replace=False):
            crowd[int(place)] = EGO_TYPE
    sizes = {
        EGO_TYPE: vehicle.length_m,
        **{model.name: model.length_m for model in MODELS.values()},
    }
    roads = _roads(net)
    lines = [
        _drive(f'v{i:03d}', t, sizes[t] > _LONG_M, roads, end_s, rng)
        for i, t in enumerate(drivers)
    ]
    footways = _footways(net)
    lines += [_walk(f'p{i:03d}', t, footways, end_s, rng) for i, t in enumerate(walkers)]
    lines.sort(key=lambda line: line[0])
    body = '\n'.join([*types, *(line for _, line in lines)])
    path.write_text(f'<routes>\n{body}\n</routes>\n', encoding='utf-8')


def _vehicle_type(model: RoadUserModel) -> str:
    manner = _MANNERS[model.object_class]
    return _type_line(model.name, model.length_m, model.width_m, model.height_m, manner)


def _type_line(
    name: str, length: float, width: float, height: float, manner: tuple[str, ...]
) -> str:
    accel, decel, speed, gap, tau, align, lateral, side, kind = manner
    return (
        f'<vType id="{name}" vClass="{kind}" length="{length}" width="{width}" height="{height}" '
        f'carFollowModel="IDM" accel="{accel}" decel="{decel}" emergencyDecel="8" '
        f'maxSpeed="{speed}" minGap="{gap}" tau="{tau}" latAlignment="{align}" '
        f'maxSpeedLat="{lateral}" minGapLat="{side}" speedFactor="normc(0.95,0.08,0.75,1.1)"/>'
    )


def _person_type(model: RoadUserModel) -> str:
    return (
        f'<vType id="{model.name}" vClass="pedestrian" length="{model.length_m}" '
        f'width="{model.width_m}" height="{model.height_m}" '
        f'maxSpeed="{_WALKING_SPEED[model.name]}" speedFactor="normc(1.0,0.12,0.7,1.3)"/>'
    )


def _ego_type(vehicle: RigFileVehicle) -> str:
    size = (vehicle.length_m, vehicle.width_m, vehicle.height_m)
    if vehicle.drives_on == 'sidewalk':
        speed = min(0.9 * vehicle.max_speed_mps, 1.4)
        return (
            f'<vType id="{EGO_TYPE}" vClass="pedestrian" length="{size[0]}" width="{size[1]}" '
            f'height="{size[2]}" maxSpeed="{speed}" speedFactor="1.0"/>'
        )
    heavy = vehicle.length_m > 6.5
    manner = list(_MANNERS[SemanticClass.TRUCK if heavy else SemanticClass.CAR])
    manner[2] = f'{min(vehicle.max_speed_mps, 25.0)}'
    return _type_line(EGO_TYPE, *size, tuple(manner))


def _drawn_models(count: int, rng: np.random.Generator) -> list[str]:
    names = [m.name for kind in CLASS_SHARES for m in models_of(kind)]
    shares = np.array([CLASS_SHARES[MODELS[n].object_class] * MODELS[n].share for n in names])
    drawn = [names[i] for i in rng.choice(len(names), size=count, p=shares / shares.sum())]
    for place, kind in enumerate(CLASS_SHARES):
        if not any(MODELS[name].object_class == kind for name in drawn):
            drawn[place] = models_of(kind)[0].name
    return drawn


def _walker_models(count: int, rng: np.random.Generator) -> list[str]:
    models = models_of(SemanticClass.PEDESTRIAN)
    shares = np.array([model.share for model in models])
    return [models[i].name for i in rng.choice(len(models), size=count, p=shares / shares.sum())]


@dataclass(frozen=True, eq=False)
class _Roads:
    """Street edges: ids, lengths [n], and for each the edges after it with the direction."""

    edges: list[str]
    sizes_m: FloatArray
    after: dict[str, dict[str, str]]


def _roads(net: NetFile) -> _Roads:
    edges = sorted(net.edges)
    sizes = [float(lengths(net.edges[edge][-1].shape_m)[-1]) for edge in edges]
    return _Roads(edges, np.array(sizes), net.next_edges)


def _drive(
    name: str, type_name: str, long: bool, roads: _Roads, end_s: float, rng: np.random.Generator
) -> tuple[float, str]:
    """Returns (departure, XML) of a vehicle on a random way."""
    weight_of = _LONG_TURN_WEIGHT if long else _TURN_WEIGHT
    sizes = roads.sizes_m
    length_of = dict(zip(roads.edges, sizes.tolist(), strict=True))
    edge = roads.edges[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
    way, rest_m = [edge], 14.0 * end_s + 200.0
    while rest_m > 0 and roads.after.get(edge):
        options = roads.after[edge]
        names = sorted(options)
        weights = np.array([weight_of.get(options[other], 0.05) for other in names])
        edge = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        way.append(edge)
        rest_m -= length_of[edge]
    depart = round(float(rng.uniform(0.0, 4.0)), 1)
    return depart, (
        f'<vehicle id="{name}" type="{type_name}" depart="{depart}" departPos="random_free" '
        f'departLane="best" departSpeed="avg"><route edges="{" ".join(way)}"/></vehicle>'
    )


@dataclass(frozen=True, eq=False)
class _Footways:
    """Edges with sidewalks: ids, lengths [n], middles [n, 2], who is connected with whom [n]."""

    edges: list[str]
    sizes_m: FloatArray
    middles_m: FloatArray
    parts: NDArray[np.int64]


def _footways(net: NetFile) -> _Footways:
    graph = nx.Graph(sorted(net.footpaths))
    edges = sorted(e for e, ls in net.edges.items() if ls[0].kind == 'sidewalk' and e in graph)
    part_of: dict[str, int] = {}
    for number, part in enumerate(sorted(nx.connected_components(graph), key=min)):
        part_of.update(dict.fromkeys(part, number))
    lines = [net.edges[edge][0].shape_m for edge in edges]
    sizes = np.array([float(lengths(line)[-1]) for line in lines])
    middles = np.array([at(line, size / 2)[0] for line, size in zip(lines, sizes, strict=True)])
    return _Footways(edges, sizes, middles, np.array([part_of[edge] for edge in edges]))


def _walk(
    name: str, type_name: str, footways: _Footways, end_s: float, rng: np.random.Generator
) -> tuple[float, str]:
    """Returns (departure, XML) of a pedestrian to a place far enough away."""
    sizes = footways.sizes_m
    start = int(rng.choice(len(sizes), p=sizes / sizes.sum()))
    away = np.linalg.norm(footways.middles_m - footways.middles_m[start], axis=-1)
    away[footways.parts != footways.parts[start]] = -1.0
    far = np.flatnonzero(away >= min(1.4 * end_s, 0.7 * float(away.max())))
    goal = footways.edges[int(rng.choice(far))]
    depart = round(float(rng.uniform(*WALKERS_ENTER_S)), 1)
    return depart, (
        f'<person id="{name}" type="{type_name}" depart="{depart}" '
        f'departPos="{rng.uniform(0.03, 0.97) * sizes[start]:.1f}">'
        f'<walk from="{footways.edges[start]}" to="{goal}"/></person>'
    )
