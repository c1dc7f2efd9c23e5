"""Where the traffic lights stand."""

from __future__ import annotations

import numpy as np

from bev_trainer.traffic.net_file import NetConnection, NetFile
from bev_trainer.traffic.shapes import at, lengths
from bev_trainer.world.road_map import SignalHead

BESIDE_M = 0.6


def place_signals(net: NetFile) -> tuple[SignalHead, ...]:
    """Returns one light per approach, on the sidewalk beside its stop line."""
    heads = []
    for lanes in net.edges.values():
        paved = [lane for lane in lanes if lane.kind in ('driving', 'parking')]
        ways = [way for lane in paved for way in net.onward.get(lane.lane_id, ())]
        lit = [way for way in ways if way.controller]
        if not lit:
            continue
        way = min(lit, key=_order)
        outer = paved[0]
        place, forward = at(outer.shape_m, float(lengths(outer.shape_m)[-1]) - 0.9)
        right = np.array([forward[1], -forward[0]])
        x, y = place + (outer.width_m / 2 + BESIDE_M) * right
        yaw = float(np.arctan2(-forward[1], -forward[0]))
        heads.append(SignalHead(float(x), float(y), yaw, way.controller, way.link))
    return tuple(heads)


def _order(way: NetConnection) -> tuple[int, int]:
    """Sorts straight on before turns, as the light shows what most follow."""
    return 'srlRLt'.find(way.direction), way.link
