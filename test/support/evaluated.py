"""Predicted objects beside true ones, for metrics of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bev_perception.evaluation.metric import ScoredFrame
from bev_perception.evaluation.truth.frame import FloatArray, TruthFrame, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevObject, ClassScore
from bev_perception.geometry.grid import BevGrid
from support.truth import bev_frame

PERIOD_NS = 500_000_000
_GRID = BevGrid(-1.0, -1.0, 1.0, 2, 2)


def as_predicted(truth: TruthObjects, score: float | Sequence[float] = 0.9) -> list[BevObject]:
    """Returns predictions that are the truth; identities are made of tracks."""
    scores = [score] * len(truth) if isinstance(score, float) else score
    found = []
    for row in range(len(truth)):
        velocity = truth.velocity_mps[row]
        found.append(
            BevObject(
                object_id=identity(truth.track[row]),
                age_frames=1,
                existence_probability=scores[row],
                classes=(ClassScore(0, truth.class_name[row], 1.0),),
                center_m=tuple(truth.center_m[row].tolist()),
                size_m=tuple(truth.size_m[row].tolist()),
                yaw_rad=float(truth.yaw_rad[row]),
                velocity_mps=None if np.isnan(velocity).any() else tuple(velocity.tolist()),
            )
        )
    return found


def identity(name: str) -> bytes:
    """Returns 16 bytes that begin with the name."""
    return name.encode().ljust(16, b'.')


def moved(item: BevObject, x_m: float = 0.0, y_m: float = 0.0, **changes: object) -> BevObject:
    """Returns an object moved, and with other changes."""
    x, y, z = item.center_m
    return replace(item, center_m=(x + x_m, y + y_m, z), **changes)  # type: ignore[arg-type]


def scored_frames(
    truths: Sequence[TruthObjects],
    predictions: Sequence[Sequence[BevObject]],
    poses: Sequence[FloatArray | None] | None = None,
) -> list[ScoredFrame]:
    """Returns the frames of a scene, half a second apart; the vehicle stands at the origin."""
    frames = [
        TruthFrame(index * PERIOD_NS, objects, np.eye(4) if poses is None else poses[index])
        for index, objects in enumerate(truths)
    ]
    scene = SceneTruth(frames)
    return [
        ScoredFrame(bev_frame(_GRID, stamp_ns=frame.stamp_ns, objects=tuple(found)), frame, scene)
        for frame, found in zip(frames, predictions, strict=True)
    ]
