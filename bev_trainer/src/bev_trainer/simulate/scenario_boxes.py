"""Boxes of a scenario's road users at any instant."""

from __future__ import annotations

import numpy as np

from bev_perception.geometry.pose import wrap_angle
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.world import Scenario


def boxes_at(scenario: Scenario, time_s: float) -> BoxArray:
    """Returns the boxes, world frame, of all that exist at a world time, by rising instance."""
    instances, states = scenario.states(time_s)
    tracks = [scenario.others[int(instance) - 1] for instance in instances]
    size_m = [(track.length_m, track.width_m, track.height_m) for track in tracks]
    center_m = [
        (state.x_m, state.y_m, track.height_m / 2.0)
        for state, track in zip(states, tracks, strict=True)
    ]
    return BoxArray(
        instance=instances,
        class_id=np.array([track.object_class for track in tracks], np.uint8),
        center_m=np.array(center_m, np.float64).reshape(-1, 3),
        size_m=np.array(size_m, np.float64).reshape(-1, 3),
        yaw_rad=wrap_angle(np.array([state.yaw_rad for state in states], np.float64)),
        velocity_mps=_pairs([(state.vx_mps, state.vy_mps) for state in states]),
        acceleration_mps2=_pairs([(state.ax_mps2, state.ay_mps2) for state in states]),
    )


def _pairs(values: list[tuple[float, float]]) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1, 2)
