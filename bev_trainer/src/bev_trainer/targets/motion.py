"""Targets of the motion head: future instances with backward centripetal flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.decode.instances import BoxTracks, MotionMaps, encode_instances
from bev_perception.evaluation.class_map import model_class
from bev_perception.geometry.grid import BevGrid
from bev_trainer.targets.labels import ObjectLabels

FloatArray = NDArray[np.float64]


def motion_targets(
    labels: ObjectLabels, grid: BevGrid, classes: Sequence[str]
) -> tuple[MotionMaps, NDArray[np.int32]]:
    """Returns the maps of a perfect motion head and instance labels int32 [T + 1, Y, X].

    Of the visible road users of known classes, wherever they are at each step (FIERY, Hu et al.
    2021, section 4; the flow is that of PowerBEV, Li et al. 2023, section 3.2). The paths of
    `labels` are those at the steps of the head, the present first.
    """
    known = np.array([model_class(name, classes) is not None for name in labels.class_name], bool)
    rows = np.flatnonzero(labels.visible & known)
    tracks = BoxTracks(
        labels.label[rows],
        labels.path_m[:, rows],
        labels.path_yaw_rad[:, rows],
        labels.size_m[rows, :2],
    )
    return encode_instances(tracks, grid)


def unasked_cells(labels: ObjectLabels, grid: BevGrid) -> NDArray[np.bool_]:
    """Returns bool [T + 1, Y, X]: cells of road users that no camera shows now.

    What a model says there is neither right nor wrong.
    """
    rows = np.flatnonzero(~labels.visible)
    tracks = BoxTracks(
        labels.label[rows],
        labels.path_m[:, rows],
        labels.path_yaw_rad[:, rows],
        labels.size_m[rows, :2],
    )
    return np.asarray(encode_instances(tracks, grid)[1] > 0)
