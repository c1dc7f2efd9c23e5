"""The road map of a SUMO network."""

from __future__ import annotations

import numpy as np

from bev_trainer.traffic.net_file import NetFile, NetLane
from bev_trainer.traffic.paint import draw_style, paint_streets
from bev_trainer.traffic.pavement import pave
from bev_trainer.traffic.signal_heads import place_signals
from bev_trainer.world.road_map import Lane, LaneKind, RoadMap

_KINDS: dict[str, LaneKind] = {'driving': 'driving', 'parking': 'parking', 'sidewalk': 'sidewalk'}


def build_road_map(net: NetFile, rng: np.random.Generator) -> RoadMap:
    """Returns pavement, paint, lanes and lights of a network; `rng` draws the paint's style."""
    pavement = pave(net)
    paint = paint_streets(net, pavement.drivable, draw_style(rng))
    lanes = [_lane(lane) for lane in net.lanes.values() if lane.kind in _KINDS]
    return RoadMap(
        pavement.drivable,
        pavement.sidewalk,
        pavement.crossing,
        paint.white,
        paint.yellow,
        tuple(lanes),
        place_signals(net),
    )


def _lane(lane: NetLane) -> Lane:
    kind = _KINDS[lane.kind]
    return Lane(lane.lane_id, lane.edge_id, kind, lane.shape_m, lane.width_m, lane.speed_mps)
