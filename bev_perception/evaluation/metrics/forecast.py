"""How far objects end up from where they were predicted to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import model_class
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.forecast_matching import GROUPS, groups_of, matched_rows
from bev_perception.evaluation.metrics.forecast_measures import (
    COLUMNS,
    MODES,
    measured,
    moving_vehicles,
)
from bev_perception.evaluation.metrics.forecast_paths import true_paths
from bev_perception.evaluation.truth.frame import TruthObjects
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY, Hidden, is_hidden

FloatArray = NDArray[np.float64]

MISS_M = 2.0
_FORECASTS = (*(f'_{k}' for k in MODES), '')


@dataclass(frozen=True, eq=False)
class ForecastRecord:
    """Forecasts of one frame: M detected objects whose true one is known for some time ahead.

    Columns of the measures are the best of 1, 3 and all modes, then constant velocity.

    Attributes:
        ade_m: float32 [M, 4], displacement, mean over the steps that are known.
        fde_m: float32 [M, 4], at the last step; NaN unless all steps are known.
        worst_m: float32 [M, 4], largest over all steps; likewise.
        probable_m: float32 [M, T], of the most probable mode; NaN where not known.
        best_m: float32 [M, T], of the mode with the least mean displacement.
        constant_m: float32 [M, T], of constant velocity.
        moving: bool [M], it is a moving vehicle.
        groups: int64 [3, 3] by group: true objects, hits, false positives (see `ForecastMetric`).
    """

    ade_m: NDArray[np.float32]
    fde_m: NDArray[np.float32]
    worst_m: NDArray[np.float32]
    probable_m: NDArray[np.float32]
    best_m: NDArray[np.float32]
    constant_m: NDArray[np.float32]
    moving: NDArray[np.bool_]
    groups: NDArray[np.int64]


class ForecastMetric:
    """minADE_k, minFDE_k, miss rate and EPA of predicted paths, beside constant velocity.

    Detected objects are matched as `matched_rows` says; unmatched ones count in EPA alone. Of a
    matched object, over the steps t = 1..T of the model's horizon (T = `path_steps`):

    - minADE_k: the least, over the k most probable modes, of the mean distance to the truth,
      over as much of the horizon as is known; minFDE_k: of the distance at its end.
    - miss_rate_k: share of objects for which all k modes are off by 2 m or more at some step
      (nuscenes-devkit, `MissRateTopK`). Without k: all modes.
    - EPA = (hits - 0.5 false positives) / true objects, not clipped at 0 (ViP3D, Gu et al. 2023,
      which clips; UniAD's program, which does not). A hit is a match with minFDE <= 2 m, a false
      positive a detected road user that is matched to none. True objects are visible ones of
      classes that the model has, on its grid, whose path is known to the end. Only in frames
      whose horizon the ground truth covers.

    The error of the detection itself is in all of them, and in those of constant velocity, which
    starts from the same detections with their velocities.

    Args:
        predicts: what the model predicts.
        hidden: 'keep' asks for hidden objects as well. Otherwise they are not asked for; who
            finds one that is to be ignored is not wrong.
        min_visibility: see `is_hidden`.
    """

    name = 'forecast'
    record = ForecastRecord

    def __init__(
        self,
        predicts: Predicts,
        hidden: Hidden = 'ignore',
        min_visibility: float = MIN_VISIBILITY,
    ) -> None:
        self._predicts, self._hidden, self._min_visibility = predicts, hidden, min_visibility
        steps = np.arange(1, predicts.path_steps + 1)
        self._times_s = np.asarray(steps * predicts.path_step_s, np.float64)

    def score(self, frame: ScoredFrame) -> ForecastRecord | None:
        found, truth = frame.prediction.objects, frame.truth.objects
        if not len(self._times_s) or found is None or truth is None:
            return None
        hidden = is_hidden(truth, self._min_visibility)
        hidden &= self._hidden != 'keep'
        there = np.flatnonzero(~hidden) if self._hidden == 'drop' else np.arange(len(truth))
        paths_m, whole = true_paths(frame, self._times_s)
        truth, paths_m, hidden = truth.selected(there), paths_m[there], hidden[there]

        group = groups_of([item.classes[0].name for item in found])
        found = tuple(item for item, kind in zip(found, group, strict=True) if kind >= 0)
        group = group[group >= 0]
        match = matched_rows(found, group, truth)
        known = np.asarray(np.isfinite(paths_m).all(axis=-1), np.bool_)
        rows = [
            row
            for row, true in enumerate(match.tolist())
            if true >= 0 and not hidden[true] and known[true].any()
        ]
        measures = measured([found[row] for row in rows], paths_m[match[rows]], self._times_s)
        asked = self._asked(frame, truth) & ~hidden & known.all(axis=-1)
        near = np.zeros(len(truth), np.bool_)
        near[match[rows]] = measures['fde_m'][:, len(MODES)] <= MISS_M
        return ForecastRecord(
            **measures,
            moving=moving_vehicles(truth, paths_m, self._times_s)[match[rows]],
            groups=_group_counts(truth, asked, asked & near, group[match < 0], whole),
        )

    def summarise(self, scenes: Sequence[Sequence[ForecastRecord]]) -> Mapping[str, Figure]:
        records = [record for scene in scenes for record in scene]
        groups = sum((record.groups for record in records), np.zeros((3, 3), np.int64))
        figures = {'forecast/EPA': _epa(groups.sum(axis=0))}
        figures |= {
            f'forecast/EPA/{name}': _epa(row) for name, row in zip(GROUPS, groups, strict=True)
        }
        moving = np.concatenate([np.zeros(0, np.bool_), *(r.moving for r in records)])
        ade_m, fde_m, worst_m = (
            _joined([getattr(record, name) for record in records], COLUMNS)
            for name in ('ade_m', 'fde_m', 'worst_m')
        )
        for prefix, rows in (('', np.ones_like(moving)), ('moving_vehicles/', moving)):
            figures |= _displacement_figures(
                f'forecast/{prefix}', ade_m[rows], fde_m[rows], worst_m[rows]
            )
        return figures

    def confusions(self, scenes: Sequence[Sequence[ForecastRecord]]) -> Mapping[str, Confusion]:
        return {}

    def curves(self, scenes: Sequence[Sequence[ForecastRecord]]) -> Mapping[str, Curve]:
        if not len(self._times_s):
            return {}
        records = [record for scene in scenes for record in scene]
        curves = {}
        for name, attribute in (
            ('most probable', 'probable_m'),
            ('best of all modes', 'best_m'),
            ('constant velocity', 'constant_m'),
        ):
            table = _joined([getattr(record, attribute) for record in records], len(self._times_s))
            y = np.array([np.nan if v is None else v for v in map(_mean, table.T)], np.float64)
            curves[f'forecast/displacement/{name}'] = Curve(
                self._times_s, y, 'horizon in s', 'displacement in m'
            )
        return curves

    def _asked(self, frame: ScoredFrame, truth: TruthObjects) -> NDArray[np.bool_]:
        """Returns bool [M]: objects on the model's grid of classes that the model has."""
        _, _, inside = frame.prediction.grid.to_cell(truth.center_m[:, 0], truth.center_m[:, 1])
        classes = self._predicts.object_classes
        has = [model_class(name, classes) is not None for name in truth.class_name]
        return np.asarray(inside & np.array(has, np.bool_) & (groups_of(truth.class_name) >= 0))


def _group_counts(
    truth: TruthObjects,
    asked: NDArray[np.bool_],
    hit: NDArray[np.bool_],
    unmatched: NDArray[np.int64],
    whole: bool,
) -> NDArray[np.int64]:
    """Returns int64 [3, 3] as in `ForecastRecord`; `unmatched` [n] are groups of detections."""
    if not whole:
        return np.zeros((len(GROUPS), 3), np.int64)
    group = groups_of(truth.class_name)
    columns = (group[asked], group[hit], unmatched)
    return np.stack([np.bincount(part, minlength=len(GROUPS)) for part in columns], -1).astype(
        np.int64
    )


def _epa(counts: NDArray[np.int64]) -> Figure:
    true, hits, false = counts.tolist()
    return Figure((hits - 0.5 * false) / true if true else None)


def _joined(parts: Sequence[NDArray], columns: int) -> FloatArray:
    """Returns float64 [sum of rows, columns]."""
    return np.concatenate([np.zeros((0, columns)), *parts]).astype(np.float64)


def _mean(values: FloatArray) -> float | None:
    """Returns the mean of what is known; None without anything."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _displacement_figures(
    prefix: str, ade_m: FloatArray, fde_m: FloatArray, worst_m: FloatArray
) -> dict[str, Figure]:
    """Returns the figures of objects, whose measures are [M, columns]."""
    missed = np.where(np.isfinite(worst_m), worst_m >= MISS_M, np.nan)
    figures: dict[str, Figure] = {}
    for measure, table, unit in (
        ('minADE', ade_m, 'm'), ('minFDE', fde_m, 'm'), ('miss_rate', missed, '')
    ):  # fmt: skip
        means = [_mean(column) for column in table.T]
        for suffix, mean in zip(_FORECASTS, means, strict=False):
            figures[f'{prefix}{measure}{suffix}'] = Figure(mean, 'lower', unit)
        figures[f'{prefix}constant_velocity/{measure}'] = Figure(means[-1], 'lower', unit)
        if measure != 'miss_rate':
            for suffix, mean in zip(_FORECASTS, means, strict=False):
                share = mean / means[-1] if mean is not None and means[-1] else None
                figures[f'{prefix}to_constant_velocity/{measure}{suffix}'] = Figure(share, 'lower')
    return figures
