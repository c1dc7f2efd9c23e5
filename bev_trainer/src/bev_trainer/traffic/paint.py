"""Lane markings: what is painted on a network's streets, as polygons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from bev_trainer.traffic.arrows import arrow_outlines
from bev_trainer.traffic.net_file import NetFile, NetLane
from bev_trainer.traffic.shapes import (
    FloatArray,
    at,
    lengths,
    merged,
    piece,
    placed,
    ribbon,
    shifted,
    smooth,
)

LINE_M = 0.14
STOP_LINE_M = 0.40
STOP_GAP_M = 0.70
SLOT_M = 6.2
SLOT_MARGIN_M = 9.0
STRIPE_M = 0.5
_SOLID_BEFORE_STOP_M = 18.0


@dataclass(frozen=True)
class PaintStyle:
    """How a network is painted.

    Attributes:
        yellow_middle: lines between opposing directions are yellow.
        double_middle: on main streets they are double and solid.
        dash_m: length of a dash.
        gap_m: between dashes.
        edge_lines: along the kerb, on streets that are not slow.
    """

    yellow_middle: bool
    double_middle: bool
    dash_m: float
    gap_m: float
    edge_lines: bool


@dataclass(frozen=True, eq=False)
class Paint:
    """Everything painted, by colour."""

    white: MultiPolygon
    yellow: MultiPolygon


def draw_style(rng: np.random.Generator) -> PaintStyle:
    """Returns a random style."""
    dash, gap = ((3.0, 4.5), (3.0, 6.0), (2.0, 4.0))[int(rng.integers(3))]
    yellow, double, edges = rng.uniform(size=3) < (0.45, 0.7, 0.6)
    return PaintStyle(bool(yellow), bool(double), dash, gap, bool(edges))


def paint_streets(net: NetFile, drivable: MultiPolygon, style: PaintStyle) -> Paint:
    """Returns the paint of a network, inside `drivable`."""
    white: list[BaseGeometry] = list(_zebra_stripes(net))
    yellow: list[BaseGeometry] = []
    for edge, lanes in net.edges.items():
        driving = [lane for lane in lanes if lane.kind == 'driving']
        if not driving:
            continue
        white += _dividers(driving, style)
        white += _right_side(lanes, driving[0], style)
        white += _stop_line(net, driving)
        white += _arrows(net, driving)
        if not edge.startswith('-'):
            (yellow if style.yellow_middle else white).extend(_middle(driving, style))
    return Paint(
        merged([merged(white).intersection(drivable)]),
        merged([merged(yellow).intersection(drivable)]) if yellow else MultiPolygon(),
    )


def slots_m(lane: NetLane) -> FloatArray:
    """Returns the path lengths [n + 1] of the ends of the n parking bays along a lane."""
    room = float(lengths(lane.shape_m)[-1]) - 2 * SLOT_MARGIN_M
    count = int(max(room, 0.0) / SLOT_M)
    first = SLOT_MARGIN_M + 0.5 * (room - SLOT_M * count)
    return first + SLOT_M * np.arange(count + 1, dtype=np.float64)


def _dashes(line: FloatArray, style: PaintStyle, solid_m: float) -> Iterator[BaseGeometry]:
    """Yields dashes along a line whose last `solid_m` are solid."""
    size = float(lengths(line)[-1])
    solid_from = max(size - solid_m, 0.5 * size)
    for start in np.arange(style.gap_m / 2, solid_from - style.dash_m, style.dash_m + style.gap_m):
        yield ribbon(piece(line, start, start + style.dash_m), LINE_M)
    if solid_m > 0:
        yield ribbon(piece(line, solid_from, size), LINE_M)


def _beside(lane: NetLane, left_m: float) -> FloatArray:
    """Returns a line along a lane between the stop lines at both of its ends."""
    line = smooth(shifted(lane.shape_m, left_m))
    return piece(line, STOP_GAP_M, float(lengths(line)[-1]) - STOP_GAP_M)


def _dividers(driving: list[NetLane], style: PaintStyle) -> list[BaseGeometry]:
    lines = [_beside(lane, lane.width_m / 2) for lane in driving[:-1]]
    return [dash for line in lines for dash in _dashes(line, style, _SOLID_BEFORE_STOP_M)]


def _middle(driving: list[NetLane], style: PaintStyle) -> list[BaseGeometry]:
    """Returns the line between the opposing directions, seen from one of them."""
    lane = driving[-1]
    line = _beside(lane, lane.width_m / 2)
    if len(driving) > 1 and style.double_middle:
        return [ribbon(shifted(line, side * LINE_M), LINE_M) for side in (-1.0, 1.0)]
    if len(driving) > 1:
        return [ribbon(line, LINE_M)]
    return list(_dashes(line, style, 0.0))


def _right_side(
    lanes: tuple[NetLane, ...], outer: NetLane, style: PaintStyle
) -> list[BaseGeometry]:
    """Returns the marks of parking bays, or the edge line."""
    parking = [lane for lane in lanes if lane.kind == 'parking']
    marks: list[BaseGeometry] = []
    for lane in parking:
        ends = slots_m(lane)
        if len(ends) < 2:
            continue
        inner = smooth(shifted(lane.shape_m, lane.width_m / 2))
        marks.append(ribbon(piece(inner, float(ends[0]), float(ends[-1])), LINE_M))
        places, tangents = at(lane.shape_m, ends)
        half = lane.width_m / 2
        box = np.array([[-0.06, -half], [0.06, -half], [0.06, half], [-0.06, half]])
        marks += [placed(box, place, way) for place, way in zip(places, tangents, strict=True)]
    if not parking and style.edge_lines and outer.speed_mps > 10.0:
        marks.append(ribbon(_beside(outer, 0.25 - outer.width_m / 2), LINE_M))
    return marks


def _stop_line(net: NetFile, driving: list[NetLane]) -> list[BaseGeometry]:
    """Returns the line across all lanes of an approach that has to stop or to give way."""
    ways = [way for lane in driving for way in net.onward.get(lane.lane_id, ())]
    rights = {way.right_of_way for way in ways if way.direction == 's'}
    rights = rights or {way.right_of_way for way in ways}
    if not any(way.controller for way in ways) and not rights & {'s', 'w', 'm'}:
        return []
    right, left = driving[0], driving[-1]
    ends = []
    for lane, side_m in (
        (right, -right.width_m / 2),
        (left, left.width_m / 2 - 1.5 * STOP_LINE_M),
    ):
        edge = shifted(lane.shape_m, side_m)
        ends.append(at(edge, float(lengths(edge)[-1]) - STOP_GAP_M - STOP_LINE_M / 2)[0])
    return [ribbon(np.array(ends), STOP_LINE_M)]


def _arrows(net: NetFile, driving: list[NetLane]) -> list[BaseGeometry]:
    """Returns turn arrows, where an approach has several lanes."""
    marks: list[BaseGeometry] = []
    if len(driving) < 2:
        return marks
    for lane in driving:
        size = float(lengths(lane.shape_m)[-1])
        ways = frozenset(way.direction.lower() for way in net.onward.get(lane.lane_id, ()))
        outlines = arrow_outlines(ways & frozenset('slr'))
        for back_m in (9.0, 30.0):
            if size > back_m + 12.0:
                place, forward = at(lane.shape_m, size - back_m)
                marks += [placed(outline, place, forward) for outline in outlines]
    return marks


def _zebra_stripes(net: NetFile) -> Iterator[BaseGeometry]:
    """Yields the stripes of pedestrian crossings."""
    for lane in net.lanes.values():
        if lane.kind != 'crossing':
            continue
        size = float(lengths(lane.shape_m)[-1])
        count = int((size - 0.3) / (2 * STRIPE_M))
        start = 0.5 * (size - (2 * count - 1) * STRIPE_M)
        half = lane.width_m / 2 - 0.2
        box = np.array([[0, -half], [STRIPE_M, -half], [STRIPE_M, half], [0, half]])
        for index in range(count):
            place, forward = at(lane.shape_m, start + 2 * STRIPE_M * index)
            yield placed(box, place, forward)
