"""The road network as polygons and lines on the flat ground of the world frame, metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon

FloatArray = NDArray[np.float64]
LaneKind = Literal['driving', 'parking', 'sidewalk']


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane between two junctions.

    Attributes:
        lane_id: unique in the network.
        edge_id: the lanes of one direction of a street share it.
        kind: who it is for.
        centerline_m: [n, 2] in driving direction.
        width_m: full width.
        speed_mps: speed limit.
    """

    lane_id: str
    edge_id: str
    kind: LaneKind
    centerline_m: FloatArray
    width_m: float
    speed_mps: float


@dataclass(frozen=True)
class SignalHead:
    """One traffic light for one approach.

    Attributes:
        x_m: of the pole, world frame.
        y_m: likewise.
        yaw_rad: direction in which its lamps shine (towards oncoming traffic).
        controller: id of the controller in the `SignalPlan`.
        link: index of its letter in the controller's state.
    """

    x_m: float
    y_m: float
    yaw_rad: float
    controller: str
    link: int


@dataclass(frozen=True, eq=False)
class RoadMap:
    """Everything painted or paved. Polygons do not depend on the order of drawing.

    Attributes:
        drivable: where vehicles may be, parking lanes and junctions included.
        sidewalk: where pedestrians walk; does not overlap `drivable`.
        crossing: pedestrian crossings, gaps between stripes included; inside `drivable`.
        white_paint: lane markings: dashes, edge and stop lines, arrows, crossing stripes.
        yellow_paint: lines between opposing directions.
        lanes: outside junctions.
        signals: traffic lights.
    """

    drivable: MultiPolygon
    sidewalk: MultiPolygon
    crossing: MultiPolygon
    white_paint: MultiPolygon
    yellow_paint: MultiPolygon
    lanes: tuple[Lane, ...]
    signals: tuple[SignalHead, ...]


@dataclass(frozen=True, eq=False)
class SignalPlan:
    """States of all traffic lights over time.

    Attributes:
        controllers: per controller (switching times [n] in world seconds, rising, and one SUMO
            state string each, for example 'GGrryyrr'); a state holds until the next time.
    """

    controllers: dict[str, tuple[FloatArray, tuple[str, ...]]]

    def letter(self, controller: str, link: int, time_s: float) -> str:
        """Returns 'r', 'y', 'g' or 'o' (dark), as shown by one link at a time."""
        times_s, states = self.controllers[controller]
        index = int(np.searchsorted(times_s, time_s, side='right')) - 1
        letter = states[max(index, 0)][link].lower()
        return {'u': 'y', 's': 'g'}.get(letter, letter if letter in 'ryg' else 'o')
