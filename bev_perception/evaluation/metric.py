"""What every family of metrics offers to the evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.figure import Figure
from bev_perception.evaluation.truth.frame import TruthFrame
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevFrame


@dataclass(frozen=True, eq=False)
class ScoredFrame:
    """A prediction beside what was really there.

    Attributes:
        prediction: in the base frame of its stamp.
        truth: at the same instant, in the same frame, as far as the source allows.
        scene: all ground truth of the scene, for what comes later.
    """

    prediction: BevFrame
    truth: TruthFrame
    scene: SceneTruth


R = TypeVar('R')


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of the report.

    Attributes:
        x, y: [n]; y may hold NaN where nothing is defined.
        x_label, y_label: with unit.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_label: str
    y_label: str


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often something was taken for something.

    Attributes:
        truth: names of the rows; the last may be 'nothing'.
        predicted: names of the columns; likewise.
        counts: int64 [rows, columns].
    """

    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Predicts:
    """What a model predicts, which is what the figures of an evaluation are made for.

    Attributes:
        object_classes: empty without objects.
        layers: semantic classes; empty without.
        layer_thresholds: probability of each from which on a cell counts as of it; empty: 0.5.
        occupancy: whether there is a probability of being occupied.
        motion_steps: instants ahead with instances; 0 without.
        motion_step_s: between them.
        path_steps: instants ahead of the objects' paths; 0 without.
        path_step_s: between them.
    """

    object_classes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    layer_thresholds: tuple[float, ...] = ()
    occupancy: bool = False
    motion_steps: int = 0
    motion_step_s: float = 0.0
    path_steps: int = 0
    path_step_s: float = 0.0


class Metric(Protocol[R]):
    """A family of metrics, for example nuScenes detection.

    A record is what remains of a frame: a frozen dataclass whose fields are numpy arrays with
    fixed dtypes and numbers of dimensions (sizes may differ from frame to frame), so that all
    records of a scene can be kept, stored and pooled without the frames. Every number of the
    family comes from records alone, whatever scenes they are of.

    Attributes:
        name: of the family, the first part of the names of its figures.
        record: type of its records.
    """

    name: str
    record: type[R]

    def score(self, frame: ScoredFrame) -> R | None:
        """Returns the record of a frame; None where there is nothing to be scored."""

    def summarise(self, scenes: Sequence[Sequence[R]]) -> Mapping[str, Figure]:
        """Returns figures by name, pooled over the frames of scenes as the metric defines it.

        The names do not depend on the records: what is not defined is n/a.
        """

    def confusions(self, scenes: Sequence[Sequence[R]]) -> Mapping[str, Confusion]:
        """Returns tables of what was taken for what, by name; empty when there are none."""

    def curves(self, scenes: Sequence[Sequence[R]]) -> Mapping[str, Curve]:
        """Returns lines for the report, by name; empty when there are none."""
