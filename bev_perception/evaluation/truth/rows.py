"""Objects of one instant one by one, before they become arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.geometry.pose import wrap_angle

UNKNOWN_VELOCITY = (float('nan'), float('nan'))


@dataclass(frozen=True)
class TruthRow:
    """One object; see `TruthObjects` for units, frames and what stands for the unknown."""

    class_name: str
    center_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    yaw_rad: float
    track: str = ''
    velocity_mps: tuple[float, float] = UNKNOWN_VELOCITY
    visibility: float = float('nan')
    points: int = -1


def objects_of(rows: Sequence[TruthRow]) -> TruthObjects:
    """Returns the rows as arrays, in the same order, headings in [-pi, pi)."""
    return TruthObjects(
        # A drive names the same few objects in every frame: one string each is enough.
        tuple(sys.intern(row.track) for row in rows),
        tuple(sys.intern(row.class_name) for row in rows),
        _matrix([row.center_m for row in rows], 3),
        _matrix([row.size_m for row in rows], 3),
        wrap_angle(np.array([row.yaw_rad for row in rows], np.float64)),
        _matrix([row.velocity_mps for row in rows], 2),
        np.array([row.visibility for row in rows], np.float64),
        np.array([row.points for row in rows], np.int64),
    )


def _matrix(values: Sequence[Sequence[float]], columns: int) -> NDArray[np.float64]:
    return np.array(values, np.float64).reshape(-1, columns)
