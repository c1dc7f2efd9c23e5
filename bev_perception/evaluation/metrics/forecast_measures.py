"""How far off the forecasts of matched objects are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.metrics.forecast_matching import GROUPS, groups_of
from bev_perception.evaluation.metrics.forecast_paths import (
    FloatArray,
    constant_velocity,
    predicted_paths,
)
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.frame import MOVING_SPEED_MPS, BevObject

MODES = (1, 3)
# Of every measure: the best of so many modes, of all modes, and constant velocity.
COLUMNS = len(MODES) + 2


def measured(
    found: Sequence[BevObject], truth_m: FloatArray, times_s: FloatArray
) -> dict[str, NDArray[np.float32]]:
    """Returns the measures of objects by their names in `ForecastRecord`; truth is [M, T, 2]."""
    count, steps = len(found), len(times_s)
    table = {name: np.full((count, COLUMNS), np.nan) for name in ('ade_m', 'fde_m', 'worst_m')}
    names = ('probable_m', 'best_m', 'constant_m')
    lines = {name: np.full((count, steps), np.nan) for name in names}
    for row, item in enumerate(found):
        away_m = np.linalg.norm(predicted_paths(item, times_s) - truth_m[row], axis=-1)
        constant_m = np.linalg.norm(constant_velocity(item, times_s) - truth_m[row], axis=-1)
        for column, k in enumerate((*MODES, len(away_m))):
            _measure(table, row, column, away_m[:k])
        _measure(table, row, COLUMNS - 1, constant_m[None])
        lines['probable_m'][row] = away_m[0]
        lines['best_m'][row] = away_m[np.argmin(np.nanmean(away_m, axis=-1))]
        lines['constant_m'][row] = constant_m
    return {name: values.astype(np.float32) for name, values in (table | lines).items()}


def _measure(table: dict[str, FloatArray], row: int, column: int, away_m: FloatArray) -> None:
    """Writes the measures of the best of some modes [K, T], some step of which is known."""
    table['ade_m'][row, column] = np.nanmean(away_m, axis=-1).min()
    if np.isfinite(away_m).all():
        table['fde_m'][row, column] = away_m[:, -1].min()
        table['worst_m'][row, column] = away_m.max(axis=-1).min()


def moving_vehicles(
    truth: TruthObjects, paths_m: FloatArray, times_s: FloatArray
) -> NDArray[np.bool_]:
    """Returns bool [M]; where the velocity is unknown it is that up to the first known place."""
    speed_mps = np.linalg.norm(truth.velocity_mps, axis=-1)
    known = np.isfinite(paths_m).all(axis=-1)
    step = np.argmax(known, axis=-1)
    way_m = np.linalg.norm(paths_m[np.arange(len(truth)), step] - truth.center_m[:, :2], axis=-1)
    speed_mps = np.where(np.isfinite(speed_mps), speed_mps, way_m / times_s[step])
    with np.errstate(invalid='ignore'):
        moving = speed_mps >= MOVING_SPEED_MPS
    return np.asarray(moving & (groups_of(truth.class_name) == GROUPS.index('vehicle')))
