"""What is needed of a SUMO network file, as plain data."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
WALKED = ('sidewalk', 'walkingarea', 'crossing')


@dataclass(frozen=True, eq=False)
class NetLane:
    """A lane: `kind` is driving, parking, sidewalk, crossing, walkingarea or internal."""

    lane_id: str
    edge_id: str
    index: int
    kind: str
    width_m: float
    speed_mps: float
    shape_m: FloatArray


@dataclass(frozen=True)
class NetConnection:
    """How one lane goes on into another; `direction` is SUMO's: s, r, R, l, L, t."""

    from_lane: str
    to_lane: str
    via: str
    direction: str
    controller: str
    link: int
    right_of_way: str


@dataclass(frozen=True, eq=False)
class NetFile:
    """A network.

    Attributes:
        lanes: by id.
        connections: of vehicles, between street lanes.
        junction_shapes: [n, 2] by junction.
        junction_types: SUMO's, by junction.
        edge_ends: junctions from and to, by street edge.
        footpaths: pairs of edges (sidewalks, walking areas, crossings) that people go between.
    """

    lanes: dict[str, NetLane]
    connections: tuple[NetConnection, ...]
    junction_shapes: dict[str, FloatArray]
    junction_types: dict[str, str]
    edge_ends: dict[str, tuple[str, str]]
    footpaths: tuple[tuple[str, str], ...]

    @cached_property
    def edges(self) -> dict[str, tuple[NetLane, ...]]:
        """Lanes by the street edge they belong to, from the right to the left."""
        found: dict[str, list[NetLane]] = {}
        for lane in self.lanes.values():
            if lane.edge_id in self.edge_ends:
                found.setdefault(lane.edge_id, []).append(lane)
        return {name: tuple(sorted(ls, key=lambda lane: lane.index)) for name, ls in found.items()}

    @cached_property
    def onward(self) -> dict[str, tuple[NetConnection, ...]]:
        """Connections by the lane they come from."""
        found: dict[str, list[NetConnection]] = {}
        for connection in self.connections:
            found.setdefault(connection.from_lane, []).append(connection)
        return {lane: tuple(ways) for lane, ways in found.items()}

    @cached_property
    def next_edges(self) -> dict[str, dict[str, str]]:
        """Per street edge, the edges that vehicles reach next, with the direction."""
        found: dict[str, dict[str, str]] = {}
        for connection in self.connections:
            start, end = (
                self.lanes[name].edge_id for name in (connection.from_lane, connection.to_lane)
            )
            found.setdefault(start, {})[end] = connection.direction
        return found


def read_net_file(path: Path) -> NetFile:
    """Returns the network that netconvert wrote to `path`."""
    root = ElementTree.parse(path).getroot()
    lanes: dict[str, NetLane] = {}
    ends: dict[str, tuple[str, str]] = {}
    for edge in root.iter('edge'):
        name, function = edge.get('id', ''), edge.get('function', '')
        if not function:
            ends[name] = (edge.get('from', ''), edge.get('to', ''))
        for lane in edge.iter('lane'):
            lanes[lane.get('id', '')] = _lane(lane, name, function)
    connections = [_connection(item) for item in root.iter('connection')]
    roads = [
        c
        for c in connections
        if lanes[c.from_lane].kind == 'driving' and lanes[c.to_lane].kind == 'driving'
    ]
    walks = [c for c in connections if lanes[c.from_lane].kind in WALKED]
    junctions = [item for item in root.iter('junction') if item.get('type') != 'internal']
    return NetFile(
        lanes,
        tuple(roads),
        {item.get('id', ''): _points(item.get('shape', '')) for item in junctions},
        {item.get('id', ''): item.get('type', '') for item in junctions},
        ends,
        tuple((lanes[c.from_lane].edge_id, lanes[c.to_lane].edge_id) for c in walks),
    )


def _points(text: str) -> FloatArray:
    return np.array([[float(v) for v in pair.split(',')[:2]] for pair in text.split()])


def _lane(lane: ElementTree.Element, edge: str, function: str) -> NetLane:
    kind = function or 'driving'
    if not function and lane.get('allow') == 'pedestrian':
        kind = 'sidewalk'
    elif not function and lane.get('disallow') == 'all':
        kind = 'parking'
    return NetLane(
        lane.get('id', ''),
        edge,
        int(lane.get('index', 0)),
        kind,
        float(lane.get('width', 3.2)),
        float(lane.get('speed', 0)),
        _points(lane.get('shape', '')),
    )


def _connection(item: ElementTree.Element) -> NetConnection:
    return NetConnection(
        f'{item.get("from")}_{item.get("fromLane")}',
        f'{item.get("to")}_{item.get("toLane")}',
        item.get('via', ''),
        item.get('dir', ''),
        item.get('tl', ''),
        int(item.get('linkIndex', -1)),
        item.get('state', ''),
    )
