"""Boxes that nuScenes' benchmarks look at, predicted and true, in the axes of the odom frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bev_perception.evaluation.class_map import DETECTION_CLASSES, detection_class
from bev_perception.evaluation.truth.frame import FloatArray, TruthFrame, TruthObjects
from bev_perception.evaluation.truth.hidden import Hidden, is_hidden
from bev_perception.frame import BevFrame, BevObject

# Objects count nearer than this to the vehicle (nuScenes, `detection_cvpr_2019.json`).
RANGE_M = {
    'car': 50.0,
    'truck': 50.0,
    'bus': 50.0,
    'trailer': 50.0,
    'construction_vehicle': 50.0,
    'pedestrian': 40.0,
    'motorcycle': 40.0,
    'bicycle': 40.0,
    'traffic_cone': 30.0,
    'barrier': 30.0,
}
# Most boxes of a frame.
MAX_BOXES = 500

_RANGES_M = np.array([RANGE_M[name] for name in DETECTION_CLASSES])
_TWO_WHEELERS = [DETECTION_CLASSES.index(name) for name in ('motorcycle', 'bicycle')]
_RACK = 'static_object.bicycle_rack'


@dataclass(frozen=True, eq=False)
class Boxes:
    """N objects of nuScenes' detection classes at one instant.

    Attributes:
        kind: int64 [N], index into `DETECTION_CLASSES`.
        objects: N, in the odom frame; in the base frame where the ego pose is unknown.
        score: [N]; NaN for true objects.
        counts: bool [N]: within the range of the class, not in a bicycle rack, and not without
            any lidar or radar point (unless hidden).
        hidden: bool [N]: neither found nor missed.
    """

    kind: NDArray[np.int64]
    objects: TruthObjects
    score: FloatArray
    counts: NDArray[np.bool_]
    hidden: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.kind)

    def selected(self, mask: NDArray[np.bool_]) -> Boxes:
        """Returns the boxes of a mask [N]."""
        return Boxes(
            self.kind[mask],
            self.objects.selected(mask),
            self.score[mask],
            self.counts[mask],
            self.hidden[mask],
        )


def true_boxes(
    truth: TruthFrame,
    classes: Sequence[str] = DETECTION_CLASSES,
    hidden: Hidden = 'keep',
    min_visibility: float = 0.0,
) -> Boxes:
    """Returns the true objects of some detection classes, in the order of the source.

    Args:
        truth: of an instant.
        classes: detection classes.
        hidden: what becomes of hidden objects; without a point on them they are dropped even
            when hidden ones are kept, as in nuScenes.
        min_visibility: see `is_hidden`.
    """
    objects = truth.objects or TruthObjects.none()
    small = is_hidden(objects, min_visibility)
    if hidden == 'drop':
        objects = objects.selected(~small)
    boxes, rows = _boxes(objects, truth, classes)
    if hidden == 'ignore':
        return replace(boxes, hidden=small[rows])
    return replace(boxes, counts=boxes.counts & (boxes.objects.points != 0))


def predicted_boxes(
    prediction: BevFrame,
    truth: TruthFrame,
    classes: Sequence[str] = DETECTION_CLASSES,
    *,
    tracked: bool = False,
) -> Boxes:
    """Returns the predicted objects of some detection classes in the order of the frame.

    An object is of its most probable class; its score is its probability of existence. Of more
    than `MAX_BOXES` the ones with the highest scores are taken.

    Args:
        prediction: with objects.
        truth: of the same instant, for the ego pose and bicycle racks.
        classes: detection classes.
        tracked: leave out objects without an identity.
    """
    found = [
        item
        for item in prediction.objects or ()
        if detection_class(item.classes[0].name) in classes
        and (any(item.object_id) or not tracked)
    ]
    score = np.array([item.existence_probability for item in found], np.float64)
    best = np.sort(np.argsort(-score, kind='stable')[:MAX_BOXES])
    objects = _as_objects([found[row] for row in best.tolist()])
    return replace(_boxes(objects, truth, classes)[0], score=score[best])


def ego_xy_m(truth: TruthFrame) -> FloatArray:
    """Returns [2], where the vehicle is in the frame of the boxes."""
    return np.zeros(2) if truth.odom_T_base is None else truth.odom_T_base[:2, 3]


def _boxes(
    objects: TruthObjects, truth: TruthFrame, classes: Sequence[str]
) -> tuple[Boxes, NDArray[np.int64]]:
    """Returns (boxes without scores, rows of the objects that they are)."""
    names = [detection_class(name) for name in objects.class_name]
    rows = np.array([row for row, name in enumerate(names) if name in classes], np.int64)
    kind = np.array([DETECTION_CLASSES.index(n) for n in names if n in classes], np.int64)
    placed = _placed(objects.selected(rows), truth)
    away_m = np.hypot(*(placed.center_m[:, :2] - ego_xy_m(truth)).T)
    counts = away_m < _RANGES_M[kind]
    counts &= ~(np.isin(kind, _TWO_WHEELERS) & _in_a_rack(placed, truth))
    count = len(rows)
    return Boxes(kind, placed, np.full(count, np.nan), counts, np.zeros(count, np.bool_)), rows


def _placed(objects: TruthObjects, truth: TruthFrame) -> TruthObjects:
    return objects if truth.odom_T_base is None else objects.transformed(truth.odom_T_base)


def _in_a_rack(objects: TruthObjects, truth: TruthFrame) -> NDArray[np.bool_]:
    """Returns bool [N]: the centre is within the box of a true bicycle rack.

    nuScenes' development kit leaves two-wheelers there out (`eval/common/loaders.py`).
    """
    inside = np.zeros(len(objects), np.bool_)
    everything = truth.objects or TruthObjects.none()
    is_rack = [name.lower() == _RACK for name in everything.class_name]
    racks = _placed(everything.selected(np.array(is_rack, np.bool_)), truth)
    for center_m, size_m, yaw in zip(racks.center_m, racks.size_m, racks.yaw_rad, strict=True):
        away = objects.center_m - center_m
        along = away[:, 0] * np.cos(yaw) + away[:, 1] * np.sin(yaw)
        across = away[:, 1] * np.cos(yaw) - away[:, 0] * np.sin(yaw)
        local = np.abs(np.stack([along, across, away[:, 2]], axis=1))
        inside |= (local <= size_m / 2.0).all(axis=1)
    return inside


def _as_objects(found: Sequence[BevObject]) -> TruthObjects:
    """Returns predicted objects; tracks are ids in hexadecimal, empty when not tracked."""
    count = len(found)
    unknown = (np.nan, np.nan)
    return TruthObjects(
        tuple(item.object_id.hex() if any(item.object_id) else '' for item in found),
        tuple(item.classes[0].name for item in found),
        np.array([item.center_m for item in found], np.float64).reshape(count, 3),
        np.array([item.size_m for item in found], np.float64).reshape(count, 3),
        np.array([item.yaw_rad for item in found], np.float64),
        np.array([item.velocity_mps or unknown for item in found], np.float64).reshape(count, 2),
        np.full(count, np.nan),
        np.full(count, -1, np.int64),
    )
