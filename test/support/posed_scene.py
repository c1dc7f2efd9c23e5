"""Everything that stands or moves in a scenario as triangles in the world frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bev_trainer.render.meshes import mesh_of
from bev_trainer.render.posing import posed_positions
from bev_trainer.world.scenery import PROP_CLASSES
from bev_trainer.world.world import Scenario
from numpy.typing import NDArray


@dataclass(frozen=True)
class PosedObject:
    """One road user or piece of scenery at an instant.

    `instance` is 0 for scenery; `points_m` [3 t, 3] are the corners of its triangles.
    """

    instance: int
    class_id: int
    points_m: NDArray[np.float64]


def posed_objects(scenario: Scenario, time_s: float) -> list[PosedObject]:
    """Returns all objects at a world time."""
    made = []
    for prop in scenario.world.props:
        local = posed_positions(
            mesh_of(prop.model), prop.length_m, prop.width_m, prop.height_m, 0.0
        )
        place = (prop.x_m, prop.y_m, prop.yaw_rad)
        made.append(PosedObject(0, int(PROP_CLASSES[prop.model]), _placed(local, *place)))
    for index, track in enumerate(scenario.others):
        if not track.exists(time_s):
            continue
        state = track.state(time_s)
        size = (track.length_m, track.width_m, track.height_m)
        local = posed_positions(mesh_of(track.model), *size, state.travelled_m)
        points = _placed(local, state.x_m, state.y_m, state.yaw_rad)
        made.append(PosedObject(index + 1, int(track.object_class), points))
    return made


def _placed(
    points: NDArray[np.float64], x_m: float, y_m: float, yaw_rad: float
) -> NDArray[np.float64]:
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    x = points[:, 0] * cos - points[:, 1] * sin + x_m
    y = points[:, 0] * sin + points[:, 1] * cos + y_m
    return np.stack([x, y, points[:, 2]], axis=1)
