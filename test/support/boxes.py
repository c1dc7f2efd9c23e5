"""Boxes from a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bev_trainer.labels.boxes import BoxArray
from bev_trainer.world.classes import SemanticClass


def box_array(
    poses: Any,
    size_m: tuple[float, float, float] = (4.0, 1.8, 1.5),
    classes: Sequence[SemanticClass] | None = None,
    velocity: Any = (0.0, 0.0),
) -> BoxArray:
    """Returns boxes that stand on the ground at (x, y, yaw), with instances from 1 on."""
    pose = np.reshape(np.asarray(poses, np.float64), (-1, 3))
    count = len(pose)
    height = np.full(count, 0.5 * size_m[2])
    return BoxArray(
        np.arange(1, count + 1).astype(np.uint16),
        np.array([SemanticClass.CAR] * count if classes is None else classes, np.uint8),
        np.column_stack([pose[:, :2], height]),
        np.tile(np.asarray(size_m, np.float64), (count, 1)),
        pose[:, 2],
        np.broadcast_to(np.asarray(velocity, np.float64), (count, 2)).copy(),
        np.zeros((count, 2)),
    )
