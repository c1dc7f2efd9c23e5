"""Instances now and ahead, predicted and true, on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import (
    class_group,
    common_class,
    layer_classes,
    model_class,
)
from bev_perception.evaluation.metric import Predicts, ScoredFrame
from bev_perception.evaluation.ranges import RANGES, on_grid, range_grid
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.evaluation.truth.hidden import Hidden, is_hidden
from bev_perception.evaluation.truth.raster import draw_instances, followed_objects
from bev_perception.frame import BevFrame
from bev_perception.geometry.grid import BevGrid

# Of road users: all that a model is to show, or cars, trucks, buses and the like alone.
Group = Literal['all', 'vehicles']
GROUPS: tuple[Group, ...] = ('all', 'vehicles')


@dataclass(frozen=True, eq=False)
class FutureWindow:
    """The present and T steps ahead in the present base frame.

    Attributes:
        predicted: int32 [T + 1, Y, X] labels, 0 = none.
        truth: int32 [T + 1, Y, X] likewise; empty where not known.
        counts: bool [T + 1, Y, X], the cell is scored.
        known: bool [T + 1], the ground truth reaches to the step.
    """

    predicted: NDArray[np.int32]
    truth: NDArray[np.int32]
    counts: NDArray[np.bool_]
    known: NDArray[np.bool_]


def can_move(objects: TruthObjects, predicts: Predicts) -> NDArray[np.bool_]:
    """Returns bool [M]: which objects a model is to show among its instances.

    Those that it has a class for; for models without objects those of its layers of movable
    things; for models without either all road users.
    """
    layers = predicts.layers
    members = frozenset[str]().union(*(layer_classes(name, layers) or () for name in layers))

    def wanted(name: str) -> bool:
        if predicts.object_classes:
            return model_class(name, predicts.object_classes) is not None
        return common_class(name) in members if members else class_group(name) is not None

    return np.array([wanted(name) for name in objects.class_name], np.bool_)


def in_group(objects: TruthObjects, group: Group) -> NDArray[np.bool_]:
    """Returns bool [M]: which objects are of a group of road users."""
    names = objects.class_name
    return np.array([group == 'all' or class_group(n) == 'vehicle' for n in names], np.bool_)


def instances_of(prediction: BevFrame, group: Group) -> NDArray[np.int32]:
    """Returns int32 [T + 1, Y, X], the instances without those that are taken for others.

    An instance is of what its objects are; of every group without any.
    """
    assert prediction.instances is not None
    if group == 'all':
        return prediction.instances
    said: dict[int, set[bool]] = {}
    for item in prediction.objects or ():
        vehicle = class_group(item.classes[0].name) == 'vehicle'
        said.setdefault(item.instance, set()).add(vehicle)
    others = [label for label, answers in said.items() if answers == {False}]
    return np.where(np.isin(prediction.instances, others), 0, prediction.instances)


def has_window(frame: ScoredFrame, predicts: Predicts) -> bool:
    """Returns whether a frame predicts instances over the whole horizon of its model."""
    instances = frame.prediction.instances
    return (
        predicts.motion_steps > 0
        and instances is not None
        and frame.prediction.instance_grid is not None
        and len(instances) == predicts.motion_steps + 1
    )


def future_windows(
    frame: ScoredFrame,
    predicts: Predicts,
    hidden: Hidden,
    min_visibility: float,
    group: Group = 'all',
) -> dict[str, FutureWindow]:
    """Returns prediction and ground truth at the ranges that the model covers, by their names.

    Args:
        frame: one that `has_window`.
        predicts: what its model predicts.
        hidden: what becomes of objects that are hidden at the time in question.
        min_visibility: see `is_hidden`.
        group: 'vehicles': cells of others that the model is to show do not count, and instances
            that it takes for others are not there.
    """
    prediction = frame.prediction
    assert prediction.instances is not None and prediction.instance_grid is not None
    times_s = [predicts.motion_step_s * step for step in range(predicts.motion_steps + 1)]
    followed = followed_objects(frame.scene, frame.truth, times_s)
    known = np.array([item is not None for item in followed], np.bool_)

    def shown(objects: TruthObjects) -> NDArray[np.bool_]:
        wanted = can_move(objects, predicts) & in_group(objects, group)
        return wanted if hidden == 'keep' else wanted & ~is_hidden(objects, min_visibility)

    def ignored(objects: TruthObjects) -> NDArray[np.bool_]:
        others = ~in_group(objects, group)
        if hidden == 'ignore':
            others |= is_hidden(objects, min_visibility)
        return can_move(objects, predicts) & others

    instances = instances_of(prediction, group)
    grids = {name: range_grid(name, prediction.instance_grid) for name in RANGES}
    windows: dict[BevGrid, FutureWindow] = {}
    for grid in filter(None, dict.fromkeys(grids.values())):
        truth = draw_instances(followed, grid, shown)
        counts = (truth > 0) | (draw_instances(followed, grid, ignored) == 0)
        predicted = on_grid(instances, prediction.instance_grid, grid)
        windows[grid] = FutureWindow(predicted, truth, counts, known)
    return {name: windows[grid] for name, grid in grids.items() if grid is not None}
