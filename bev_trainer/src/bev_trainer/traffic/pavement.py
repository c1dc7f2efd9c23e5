"""Where vehicles may be, where people walk and where they cross, from a SUMO network."""

from __future__ import annotations

from dataclasses import dataclass

from shapely.geometry import MultiPolygon, Polygon
from shapely.ops import unary_union

from bev_trainer.traffic.net_file import NetFile
from bev_trainer.traffic.shapes import merged, ribbon

SEAM_M = 0.08


@dataclass(frozen=True, eq=False)
class Pavement:
    """The paved areas: `drivable` and `sidewalk` do not overlap; `crossing` is drivable."""

    drivable: MultiPolygon
    sidewalk: MultiPolygon
    crossing: MultiPolygon


def pave(net: NetFile) -> Pavement:
    """Returns the paved areas of a network."""
    walks = [_closed(lane.shape_m) for lane in net.lanes.values() if lane.kind == 'walkingarea']
    walks += [
        ribbon(lane.shape_m, lane.width_m)
        for lane in net.lanes.values()
        if lane.kind == 'sidewalk'
    ]
    roads = [
        ribbon(lane.shape_m, lane.width_m)
        for lane in net.lanes.values()
        if lane.kind in ('driving', 'parking', 'internal')
    ]
    roads += [_closed(shape) for shape in net.junction_shapes.values() if len(shape) > 2]
    stripes = [
        ribbon(lane.shape_m, lane.width_m)
        for lane in net.lanes.values()
        if lane.kind == 'crossing'
    ]
    sidewalk = _sealed(unary_union(walks))
    carriageway = _sealed(unary_union([*roads, *walks])).difference(sidewalk)
    drivable = merged([carriageway.buffer(-0.15).buffer(0.15)])
    crossing = merged([unary_union(stripes).intersection(drivable)]) if stripes else MultiPolygon()
    return Pavement(drivable, merged([sidewalk.difference(drivable)]), crossing)


def _closed(outline: object) -> Polygon:
    return Polygon(outline).buffer(0.0)  # type: ignore[arg-type]


def _sealed(area: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """Returns an area without the hairline gaps between lanes that bend."""
    return area.buffer(SEAM_M, join_style='mitre').buffer(-SEAM_M, join_style='mitre')
