"""IoU of cells, per class, at the published ranges and over distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import common_class, layer_classes, source_layer
from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.metric import Confusion, Curve, Predicts, ScoredFrame
from bev_perception.evaluation.metrics.future_window import can_move
from bev_perception.evaluation.metrics.iou_cells import (
    BoolArray,
    CellTruth,
    Counts,
    cell_counts,
    iou,
    ring_counts,
    truth_of_layer,
    truth_of_objects,
)
from bev_perception.evaluation.ranges import RANGES, on_grid, range_grid
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.hidden import MIN_VISIBILITY, Hidden, is_hidden
from bev_perception.frame import BevFrame
from bev_perception.geometry.grid import BevGrid

OCCUPIED, MOVABLE = 'occupied', 'movable'
RING_M = 5.0
RING_COUNT = 12


@dataclass(frozen=True, eq=False)
class IouRecord:
    """Cells of one frame: in both, predicted only, true only; 0 where nothing was compared.

    Attributes:
        cells: int64 [ranges, layers, 3].
        observed: int64 [ranges, layers, 3], of cells that a camera sees.
        rings: int64 [layers, RING_COUNT, 3] by distance, of the model's whole grid.
    """

    cells: Counts
    observed: Counts
    rings: Counts


@dataclass(frozen=True, eq=False)
class _Layer:
    """A predicted class: bool [Y, X] over a grid."""

    predicted: BoolArray
    grid: BevGrid


class IouMetric:
    """IoU = TP / (TP + FP + FN), pooled over all cells of all frames (not averaged over frames).

    As in Lift-Splat-Shoot (Philion and Fidler 2020) and its successors; a class is predicted
    where its probability reaches the threshold that belongs to the model, 0.5 if it has none.
    Classes are the model's semantic layers: those of movable things are compared with the objects'
    footprints, the others with the maps of the source. Beside them 'occupied', the occupancy
    against the source's own occupancy, and 'movable', the instances now against all objects that
    the model is to find.

    What no camera sees counts as not predicted; '.../observed' looks at seen cells alone. What
    the source does not know is not scored.

    Args:
        predicts: what the model predicts.
        hidden: what becomes of hidden objects; see `Hidden`.
        min_visibility: see `is_hidden`.
        threshold: least probability of what is occupied, and of layers that have none.
    """

    name = 'iou'
    record = IouRecord

    def __init__(
        self,
        predicts: Predicts,
        hidden: Hidden = 'ignore',
        min_visibility: float = MIN_VISIBILITY,
        threshold: float = 0.5,
    ) -> None:
        self._predicts, self._hidden = predicts, hidden
        self._min_visibility, self._threshold = min_visibility, threshold
        own = predicts.layer_thresholds or (threshold,) * len(predicts.layers)
        self._thresholds = dict(zip(predicts.layers, own, strict=True))
        self.layers = (
            *predicts.layers,
            *((OCCUPIED,) if predicts.occupancy else ()),
            *((MOVABLE,) if predicts.motion_steps else ()),
        )

    def score(self, frame: ScoredFrame) -> IouRecord | None:
        shape = len(RANGES), len(self.layers), 3
        cells, observed = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        rings = np.zeros((len(self.layers), RING_COUNT, 3), np.int64)
        prediction, scored = frame.prediction, False
        seen_on: dict[BevGrid, BoolArray] = {}
        for index, name in enumerate(self.layers):
            layer = self._predicted(name, prediction)
            if layer is None:
                continue
            for place, range_name in enumerate(RANGES):
                grid = range_grid(range_name, layer.grid)
                truth = None if grid is None else self._truth(name, frame.truth, grid)
                if grid is None or truth is None:
                    continue
                if grid not in seen_on:
                    seen_on[grid] = on_grid(prediction.observed, prediction.grid, grid)
                seen = seen_on[grid]
                found = on_grid(layer.predicted, layer.grid, grid) & seen
                cells[place, index] = cell_counts(found, truth.there, truth.counts)
                observed[place, index] = cell_counts(found, truth.there, truth.counts & seen)
                scored = True
                if range_name == 'model':
                    ring = _rings(grid)
                    rings[index] = ring_counts(found, truth.there, truth.counts, ring, RING_COUNT)
        return IouRecord(cells, observed, rings) if scored else None

    def summarise(self, scenes: Sequence[Sequence[IouRecord]]) -> Mapping[str, Figure]:
        shape = len(RANGES), len(self.layers), 3
        cells, observed = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for record in (record for scene in scenes for record in scene):
            cells += record.cells
            observed += record.observed
        figures: dict[str, Figure] = {}
        for place, range_name in enumerate(RANGES):
            for index, layer in enumerate(self.layers):
                name = f'iou/{range_name}/{layer}'
                figures[name] = iou(cells[place, index])
                figures[f'{name}/observed'] = iou(observed[place, index])
            values = [
                figures[f'iou/{range_name}/{layer}'].value for layer in self._predicts.layers
            ]
            known = [value for value in values if value is not None]
            mean = sum(known) / len(known) if known else None
            figures[f'iou/{range_name}/mean'] = Figure(mean)
        return figures

    def confusions(self, scenes: Sequence[Sequence[IouRecord]]) -> Mapping[str, Confusion]:
        return {}

    def curves(self, scenes: Sequence[Sequence[IouRecord]]) -> Mapping[str, Curve]:
        rings = np.zeros((len(self.layers), RING_COUNT, 3), np.int64)
        for record in (record for scene in scenes for record in scene):
            rings += record.rings
        distance_m = np.asarray((np.arange(RING_COUNT) + 0.5) * RING_M, np.float64)
        return {
            f'iou/distance/{layer}': Curve(
                distance_m,
                np.array([np.nan if v is None else v for v in values], np.float64),
                'distance in m',
                'IoU',
            )
            for layer, counts in zip(self.layers, rings, strict=True)
            for values in [[iou(ring).value for ring in counts]]
        }

    def _predicted(self, name: str, prediction: BevFrame) -> _Layer | None:
        if name == OCCUPIED and name not in self._predicts.layers:
            if prediction.occupancy is None:
                return None
            return _Layer(prediction.occupancy >= self._threshold, prediction.grid)
        if name == MOVABLE and name not in self._predicts.layers:
            if prediction.instances is None or prediction.instance_grid is None:
                return None
            return _Layer(prediction.instances[0] > 0, prediction.instance_grid)
        if prediction.semantics is None or name not in prediction.semantic_classes:
            return None
        index = prediction.semantic_classes.index(name)
        if index >= len(prediction.semantics):
            return None
        return _Layer(prediction.semantics[index] >= self._thresholds[name], prediction.grid)

    def _truth(self, name: str, truth: TruthFrame, grid: BevGrid) -> CellTruth | None:
        """Returns what is true on a grid; None when the source does not say."""
        objects = truth.objects
        if objects is not None:
            if name == MOVABLE:
                wanted: BoolArray | None = can_move(objects, self._predicts)
            else:
                wanted = _members(objects.class_name, name, self._predicts.layers)
            if wanted is not None:
                chosen = objects.selected(wanted)
                hidden = is_hidden(chosen, self._min_visibility)
                return truth_of_objects(chosen, hidden, self._hidden, grid)
        source = source_layer('occupancy' if name == OCCUPIED else name, tuple(truth.layers))
        return None if source is None else truth_of_layer(truth.layers[source], grid)


def _members(names: Sequence[str], layer: str, layers: Sequence[str]) -> BoolArray | None:
    """Returns bool [M], which objects are in a layer; None if it is none of movable things."""
    members = layer_classes(layer, layers)
    if members is None:
        return None
    return np.array([common_class(name) in members for name in names], np.bool_)


@lru_cache(maxsize=16)
def _rings(grid: BevGrid) -> NDArray[np.int64]:
    """Returns int64 [Y, X], in which ring around the base a cell's centre is."""
    distance_m = np.linalg.norm(grid.cell_centers(), axis=-1)
    return np.asarray(distance_m / RING_M, np.int64)
