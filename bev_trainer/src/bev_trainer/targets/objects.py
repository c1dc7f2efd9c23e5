"""Targets of the object head and of the trajectory head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.objects import UNTRACKED_ID, ObjectMaps, encode_objects
from bev_perception.evaluation.class_map import model_class
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid
from bev_trainer.targets.labels import ObjectLabels


@dataclass(frozen=True, eq=False)
class PathTargets:
    """What the trajectory head is asked: where from, and where to.

    Attributes:
        places: float32 [M, 4]: x_m, y_m, sine and cosine of the heading.
        velocity: float32 [M, 2] in m/s.
        offsets_m: float32 [M, T, 2] from the centre now, axes of the base frame.
        valid: bool [M, T], the place at that step is known.
    """

    places: NDArray[np.float32]
    velocity: NDArray[np.float32]
    offsets_m: NDArray[np.float32]
    valid: NDArray[np.bool_]


def bev_objects(labels: ObjectLabels, classes: Sequence[str]) -> tuple[BevObject, ...]:
    """Returns the visible road users of known classes as a perfect model would report them."""
    found = []
    for row in np.flatnonzero(labels.visible).tolist():
        name = model_class(labels.class_name[row], classes)
        if name is None:
            continue
        x, y, z = labels.center_m[row].tolist()
        length, width, height = labels.size_m[row].tolist()
        velocity = labels.velocity_mps[row]
        found.append(
            BevObject(
                object_id=UNTRACKED_ID,
                age_frames=0,
                existence_probability=1.0,
                classes=(ClassScore(classes.index(name), name, 1.0),),
                center_m=(x, y, z),
                size_m=(length, width, height),
                yaw_rad=float(labels.yaw_rad[row]),
                velocity_mps=(float(velocity[0]), float(velocity[1]))
                if np.isfinite(velocity).all()
                else None,
            )
        )
    return tuple(found)


def object_targets(labels: ObjectLabels, grid: BevGrid, classes: Sequence[str]) -> ObjectMaps:
    """Returns the maps that a perfect object head gives."""
    return encode_objects(bev_objects(labels, classes), grid, classes)


def path_targets(labels: ObjectLabels, grid: BevGrid, classes: Sequence[str]) -> PathTargets:
    """Returns the ways of the visible road users of known classes inside a grid.

    The paths of `labels` are those at the steps of the head, the present first.
    """
    known = np.array([model_class(name, classes) is not None for name in labels.class_name], bool)
    _, _, inside = grid.to_cell(labels.center_m[:, 0], labels.center_m[:, 1])
    rows = np.flatnonzero(labels.visible & known & inside)
    yaw = labels.yaw_rad[rows]
    place = np.column_stack([labels.center_m[rows, :2], np.sin(yaw), np.cos(yaw)])
    offsets_m = labels.path_m[1:, rows].transpose(1, 0, 2) - labels.center_m[rows, None, :2]
    valid = np.isfinite(offsets_m).all(axis=-1)
    return PathTargets(
        place.astype(np.float32),
        np.nan_to_num(labels.velocity_mps[rows]).astype(np.float32),
        np.where(valid[..., None], offsets_m, 0.0).astype(np.float32),
        valid,
    )
