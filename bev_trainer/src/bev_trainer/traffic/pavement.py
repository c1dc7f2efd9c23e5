"""Where vehicles may be, where people walk and where they cross, from a SUMO network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from bev_trainer.traffic.net_file import NetFile, NetLane
from bev_trainer.traffic.shapes import merged, ribbon, smooth

SEAM_M = 0.08
CRUMB_M = 0.15
KINK_M = 0.02


@dataclass(frozen=True, eq=False)
class Pavement:
    """The paved areas: `drivable` and `sidewalk` do not overlap; `crossing` is drivable."""

    drivable: MultiPolygon
    sidewalk: MultiPolygon
    crossing: MultiPolygon


def pave(net: NetFile) -> Pavement:
    """Returns the paved areas of a network."""
    walks = [_closed(lane.shape_m) for lane in net.lanes.values() if lane.kind == 'walkingarea']
    walks += _ribbons(net, 'sidewalk')
    lanes = unary_union(_ribbons(net, 'driving', 'parking'))
    ways = unary_union([LineString(way.shape_m) for way in _lanes(net, 'driving', 'internal')])
    roads = [lanes, *_ribbons(net, 'internal')]
    roads += [_closed(shape) for shape in net.junction_shapes.values() if len(shape) > 2]
    paved = _sealed(unary_union([*roads, *walks]))
    sidewalk = _sealed(unary_union(walks)).difference(lanes)
    parts = _parts(paved.difference(sidewalk).buffer(-CRUMB_M).buffer(CRUMB_M))
    # Junctions reach beyond the sidewalk at outer bends; nobody can drive there.
    driven = unary_union([part for part in parts if part.intersection(ways).length > 1.0])
    drivable = merged([_smooth(part) for part in _parts(driven.simplify(KINK_M))])
    stripes = unary_union(_ribbons(net, 'crossing')).intersection(drivable)
    beside = paved.difference(drivable).buffer(-CRUMB_M).buffer(CRUMB_M)
    sidewalk = merged([beside.difference(drivable)])
    return Pavement(drivable, sidewalk, merged([stripes]))


def _lanes(net: NetFile, *kinds: str) -> list[NetLane]:
    return [lane for lane in net.lanes.values() if lane.kind in kinds]


def _ribbons(net: NetFile, *kinds: str) -> list[BaseGeometry]:
    return [ribbon(lane.shape_m, lane.width_m) for lane in _lanes(net, *kinds)]


def _parts(area: BaseGeometry) -> list[Polygon]:
    parts = getattr(area, 'geoms', [area])
    return [part for part in parts if isinstance(part, Polygon)]


def _smooth(area: Polygon) -> BaseGeometry:
    """Returns an area whose outlines have no kinks where they were meant to be curves."""
    rings = [smooth(np.asarray(ring.coords)) for ring in (area.exterior, *area.interiors)]
    return Polygon(rings[0], rings[1:]).buffer(0.0)


def _closed(outline: object) -> Polygon:
    return Polygon(outline).buffer(0.0)  # type: ignore[arg-type]


def _sealed(area: BaseGeometry) -> BaseGeometry:
    """Returns an area without the hairline gaps between lanes that bend."""
    return area.buffer(SEAM_M, join_style='mitre').buffer(-SEAM_M, join_style='mitre')
