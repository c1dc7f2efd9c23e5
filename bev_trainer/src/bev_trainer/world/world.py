"""A road network with everything in it over a span of time, and one drive through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import Matrix, pose_from_yaw
from bev_trainer.world.road_map import RoadMap, SignalPlan
from bev_trainer.world.scenery import Prop
from bev_trainer.world.tracks import MotionState, Track
from bev_trainer.world.weather import Weather


@dataclass(frozen=True, eq=False)
class EgoDrive:
    """A way through the world for the vehicle under test.

    Attributes:
        track: of its box, from a margin before `start_s` to a margin after the drive's end.
        start_s: world time of the first reference instant.
        replaces: name of the road user in `World.tracks` whose place it takes.
    """

    track: Track
    start_s: float
    replaces: str


@dataclass(frozen=True, eq=False)
class World:
    """One road network, its scenery and its traffic.

    Attributes:
        name: of the network.
        road_map: pavement, paint, lanes.
        props: scenery.
        tracks: all road users, parked ones included; those that an ego drive replaces, too.
        signals: states of the traffic lights.
        start_s: world time from which traffic is dense.
        end_s: world time up to which tracks were made.
        ego_drives: what a vehicle under test may drive here.
    """

    name: str
    road_map: RoadMap
    props: tuple[Prop, ...]
    tracks: tuple[Track, ...]
    signals: SignalPlan
    start_s: float
    end_s: float
    ego_drives: tuple[EgoDrive, ...]


@dataclass(frozen=True, eq=False)
class Scenario:
    """One drive: the world seen from one vehicle for a while.

    Instance ids are positions in `others` plus 1, for the whole drive.

    Attributes:
        world: where it takes place.
        ego: track of the ego vehicle's box.
        base_offset_m: from the ego box's centre back to base_link, along its heading.
        others: the tracks of everyone else that is near at some time; at most 65535.
        start_s: world time of the first reference instant.
        duration_s: of the drive.
        weather: constant over the drive.
    """

    world: World
    ego: Track
    base_offset_m: float
    others: tuple[Track, ...]
    start_s: float
    duration_s: float
    weather: Weather

    def world_T_base(self, time_s: float) -> Matrix:
        """Returns the pose [4, 4] of base_link (on the ground) at a world time."""
        state = self.ego.state(time_s)
        x = state.x_m - self.base_offset_m * np.cos(state.yaw_rad)
        y = state.y_m - self.base_offset_m * np.sin(state.yaw_rad)
        return pose_from_yaw(x, y, 0.0, state.yaw_rad)

    def states(self, time_s: float) -> tuple[NDArray[np.uint16], list[MotionState]]:
        """Returns (instance ids [n], states) of the road users that exist at a world time."""
        present = [i for i, track in enumerate(self.others) if track.exists(time_s)]
        ids = np.array([index + 1 for index in present], np.uint16)
        return ids, [self.others[index].state(time_s) for index in present]
