"""The plan of a network: junctions and streets, before anything is built.

SUMO's netgenerate places the junctions; what it connects is cropped to a disc, dead ends are
removed, corners without a junction become curves, and streets get their class and their bend.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString, Point

from bev_trainer.errors import SimulationError
from bev_trainer.traffic.shapes import rounded
from bev_trainer.traffic.tools import run_tool

FloatArray = NDArray[np.float64]
SIDEWALK_M = 2.4
PARKING_M = 2.2
CORNER_M = 36.0
CURVE_MPS2 = 2.6
LIMITS_MPS = (13.89, 11.11, 8.33, 5.56)
LEAST_STREETS = 16
_TRIES = 20
FAMILIES = ('rand', 'grid', 'spider')


@dataclass(frozen=True, eq=False)
class Street:
    """A street between two junctions, both directions.

    Attributes:
        start: id of the junction where `shape_m` begins.
        end: of the one where it ends.
        shape_m: [n, 2] line between the opposing directions.
        lanes: driving lanes per direction.
        lane_m: width of one.
        speed_mps: limit.
        parking: whether there is a parking lane (in driving direction, against it).
        major: has the right of way at junctions without lights.
    """

    start: str
    end: str
    shape_m: FloatArray
    lanes: int = 1
    lane_m: float = 3.2
    speed_mps: float = 8.33
    parking: tuple[bool, bool] = (False, False)
    major: bool = False

    @property
    def half_width_m(self) -> float:
        """From the centre line to the outer edge of the wider sidewalk."""
        return self.lanes * self.lane_m + PARKING_M * any(self.parking) + SIDEWALK_M


@dataclass(frozen=True, eq=False)
class StreetPlan:
    """Junctions (id -> x, y, SUMO's node type) and streets of a network."""

    junctions: dict[str, tuple[float, float, str]]
    streets: tuple[Street, ...]


def plan_streets(rng: np.random.Generator, radius_m: float, folder: Path) -> StreetPlan:
    """Returns the plan of a random network of about twice `radius_m` across.

    Raises:
        SimulationError: SUMO fails, or the random network is too small to drive in.
    """
    least = int(LEAST_STREETS * min(1.0, (radius_m / 230.0) ** 2))
    for _ in range(_TRIES):
        graph = _core(_generated(rng, radius_m, folder), radius_m)
        streets = _chains(graph)
        if len(streets) >= least:
            break
    else:
        raise SimulationError(f'netgenerate made no network of {least} streets')
    streets = _with_classes(streets, graph, rng)
    streets = [_with_curve_limit(street) for street in _with_bends(streets, rng)]
    used = sorted({name for street in streets for name in (street.start, street.end)})
    degree = {name: sum((s.start == name) + (s.end == name) for s in streets) for name in used}
    kinds = {name: _junction_type(degree[name], rng) for name in used}
    if 'traffic_light' not in kinds.values():
        kinds[max(used, key=lambda name: (degree[name], name))] = 'traffic_light'
    junctions = {name: (*_place(graph, name), kinds[name]) for name in used}
    return StreetPlan(junctions, tuple(streets))


def _generated(rng: np.random.Generator, radius_m: float, folder: Path) -> nx.Graph:
    """Returns netgenerate's streets as a graph whose nodes have x and y."""
    family = FAMILIES[int(rng.choice(3, p=[0.5, 0.35, 0.15]))]
    block = rng.uniform(85.0, 125.0) * min(1.0, radius_m / 220.0)
    count = int(2 * radius_m / block) + 1
    options = {
        'rand': [
            '--rand', '--rand.iterations', str(3 * count * count),
            '--rand.min-distance', f'{0.75 * block:.1f}',
            '--rand.max-distance', f'{1.7 * block:.1f}',
            '--rand.min-angle', '60', '--rand.connectivity', '0.97',
        ],
        'grid': [
            '--grid', '--grid.x-number', str(count), '--grid.y-number', str(count),
            '--grid.x-length', f'{block * rng.uniform(0.9, 1.3):.1f}',
            '--grid.y-length', f'{block:.1f}',
        ],
        'spider': [
            '--spider', '--spider.arm-number', str(rng.integers(5, 8)),
            '--spider.circle-number', str(max(2, count // 2)),
            '--spider.space-radius', f'{0.9 * block:.1f}', '--spider.omit-center',
        ],
    }[family]  # fmt: skip
    seed = str(rng.integers(1, 2**31 - 1))
    common = ['--seed', seed, '--offset.disable-normalization', '-p', 'plan', '-o', 'plan.net.xml']
    run_tool('netgenerate', [*options, *common], folder)
    spread = {'rand': 0.0, 'grid': 0.13, 'spider': 0.08}[family] * block
    turn = rng.uniform(0.0, 2.0 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    graph = nx.Graph()
    nodes = ElementTree.parse(folder / 'plan.nod.xml').getroot().iter('node')
    ids = {
        node.get('id', ''): (float(node.get('x', 0)), float(node.get('y', 0))) for node in nodes
    }
    middle = np.mean(list(ids.values()), axis=0)
    for name in sorted(ids):
        place = rotation @ (ids[name] - middle) + rng.uniform(-spread, spread, 2)
        graph.add_node(name, x=float(place[0]), y=float(place[1]))
    edges = ElementTree.parse(folder / 'plan.edg.xml').getroot().iter('edge')
    pairs = {tuple(sorted((edge.get('from', ''), edge.get('to', '')))) for edge in edges}
    graph.add_edges_from(sorted(pairs))
    return graph


def _core(graph: nx.Graph, radius_m: float) -> nx.Graph:
    """Returns the largest part within the radius that has no dead ends, nodes in order."""
    inside = [
        name
        for name, data in graph.nodes(data=True)
        if float(np.hypot(data['x'], data['y'])) <= radius_m
    ]
    core = nx.k_core(graph.subgraph(inside).copy(), 2)
    parts = sorted(nx.connected_components(core), key=lambda part: (-len(part), min(part)))
    ordered = nx.Graph()
    for name in sorted(parts[0]) if parts else []:
        ordered.add_node(name, **graph.nodes[name])
    ordered.add_edges_from(
        sorted(tuple(sorted(pair)) for pair in core.edges if pair[0] in ordered)
    )
    return ordered


def _chains(graph: nx.Graph) -> list[Street]:
    """Returns one street per chain of nodes of degree 2, its corners rounded."""
    lines = nx.MultiGraph()
    for start, end in graph.edges:
        lines.add_edge(start, end, way=[start, end])
    for name in [name for name in graph.nodes if graph.degree(name) == 2]:
        sides = list(lines.edges(name, data='way'))
        if len(sides) != 2:
            continue
        (_, left, left_way), (_, right, right_way) = sides
        if left == right:
            continue
        first = left_way if left_way[-1] == name else left_way[::-1]
        second = right_way if right_way[0] == name else right_way[::-1]
        lines.remove_node(name)
        lines.add_edge(left, right, way=first + second[1:])
    ways = [way if way[0] < way[-1] else way[::-1] for _, _, way in lines.edges(data='way')]
    shapes = [(way, np.array([_place(graph, name) for name in way])) for way in sorted(ways)]
    return [Street(way[0], way[-1], rounded(shape, CORNER_M, np.pi, 13)) for way, shape in shapes]


def _place(graph: nx.Graph, name: str) -> tuple[float, float]:
    return graph.nodes[name]['x'], graph.nodes[name]['y']


def _with_classes(
    streets: list[Street], graph: nx.Graph, rng: np.random.Generator
) -> list[Street]:
    """Returns the streets with lanes, limits and parking; main streets run straight through."""
    main: set[int] = set()
    for _ in range(int(rng.integers(1, 4))):
        main |= _straight_run(streets, int(rng.integers(len(streets))))
    lane_m = float(rng.uniform(3.0, 3.4))
    slow_share, parking_share = rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.7)
    classed = []
    for index, street in enumerate(streets):
        major = index in main
        lanes = 2 if major and rng.uniform() < 0.8 else 1
        slow = not major and rng.uniform() < slow_share
        draws = rng.uniform(size=2) < (0.25 if major else parking_share)
        classed.append(
            replace(
                street,
                lanes=lanes,
                lane_m=lane_m,
                speed_mps=8.33 if slow else 13.89,
                parking=(bool(draws[0]), bool(draws[1])),
                major=major,
            )
        )
    return classed


def _straight_run(streets: list[Street], seed: int) -> set[int]:
    """Returns the indices of the streets that continue one of them within 35 degrees."""
    run = {seed}
    for forward in (True, False):
        street = streets[seed]
        node = street.end if forward else street.start
        heading = _heading_out(street, node) + np.pi
        while True:
            options = [
                (abs(_wrapped(_heading_out(other, node) - heading)), index)
                for index, other in enumerate(streets)
                if node in (other.start, other.end) and index not in run
            ]
            if not options or min(options)[0] > np.deg2rad(35.0):
                break
            index = min(options)[1]
            run.add(index)
            node = streets[index].end if streets[index].start == node else streets[index].start
            heading = _heading_out(streets[index], node) + np.pi
    return run


def _heading_out(street: Street, node: str) -> float:
    """Returns the direction in which a street leaves a junction."""
    points = street.shape_m if street.start == node else street.shape_m[::-1]
    step = points[1] - points[0]
    return float(np.arctan2(step[1], step[0]))


def _wrapped(angle: float) -> float:
    return float((angle + np.pi) % (2.0 * np.pi) - np.pi)


def _with_bends(streets: list[Street], rng: np.random.Generator) -> list[Street]:
    """Returns the streets, some of the straight ones bent where nothing is in the way."""
    bent = list(streets)
    share = rng.uniform(0.4, 0.9)
    for index, street in enumerate(streets):
        waves, size, draw = int(rng.integers(1, 3)), rng.uniform(0.04, 0.11), rng.uniform()
        sign = rng.choice([-1.0, 1.0])
        chord = street.shape_m[-1] - street.shape_m[0]
        length = float(np.linalg.norm(chord))
        if len(street.shape_m) > 2 or draw > share or length < 60.0:
            continue
        t = np.linspace(0.0, 1.0, max(9, int(length / 5.0)))
        normal = np.array([-chord[1], chord[0]]) / length
        offset = sign * size * length / waves * np.sin(np.pi * waves * t)
        shape = street.shape_m[0] + t[:, None] * chord + offset[:, None] * normal
        candidate = replace(street, shape_m=shape)
        if all(_fit(candidate, other) for k, other in enumerate(bent) if k != index):
            bent[index] = candidate
    return bent


def _with_curve_limit(street: Street) -> Street:
    """Returns the street with a limit at which its sharpest curve can be driven in comfort."""
    a, b, c = street.shape_m[:-2], street.shape_m[1:-1], street.shape_m[2:]
    sides = [np.linalg.norm(one - other, axis=-1) for one, other in ((a, b), (b, c), (a, c))]
    twice = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    curvature = float((2.0 * twice / (sides[0] * sides[1] * sides[2])).max(initial=1e-6))
    safe = np.sqrt(CURVE_MPS2 / curvature)
    fitting = [limit for limit in LIMITS_MPS if limit <= min(safe, street.speed_mps) + 0.01]
    return replace(street, speed_mps=max(fitting, default=LIMITS_MPS[-1]))


def _fit(street: Street, other: Street) -> bool:
    """Whether two streets keep clear of one another, and of narrow angles where they meet."""
    shared = {street.start, street.end} & {other.start, other.end}
    for node in shared:
        if abs(_wrapped(_heading_out(street, node) - _heading_out(other, node))) < 0.96:
            return False
    room = street.half_width_m + other.half_width_m + 4.0
    line, other_line = LineString(street.shape_m), LineString(other.shape_m)
    for node in shared:
        place = street.shape_m[0] if street.start == node else street.shape_m[-1]
        disc = Point(*place).buffer(1.2 * room)
        line, other_line = line.difference(disc), other_line.difference(disc)
    return bool(line.is_empty or other_line.is_empty or line.distance(other_line) > room)


def _junction_type(degree: int, rng: np.random.Generator) -> str:
    kinds = ('traffic_light', 'priority', 'right_before_left', 'allway_stop')
    shares = [0.6, 0.25, 0.05, 0.10] if degree > 3 else [0.3, 0.5, 0.15, 0.05]
    return kinds[int(rng.choice(4, p=shares))] if degree > 2 else 'priority'
