"""Ground truth and predictions of hand-made scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bev_perception.evaluation.truth.frame import TruthFrame, TruthObjects
from bev_perception.evaluation.truth.scene_truth import SceneTruth
from bev_perception.frame import BevFrame
from bev_perception.geometry.grid import BevGrid


def truth_objects(
    boxes: Sequence[tuple[float, ...]],
    class_name: str | Sequence[str] = 'car',
    track: Sequence[str] | None = None,
    velocity_mps: Sequence[tuple[float, float]] | None = None,
    visibility: Sequence[float] | None = None,
    points: Sequence[int] | None = None,
) -> TruthObjects:
    """Returns objects of (x, y, length, width, yaw) each; tracks are 'a', 'b', ... by default."""
    count = len(boxes)
    table = np.array(boxes, np.float64).reshape(count, 5)
    names = (class_name,) * count if isinstance(class_name, str) else tuple(class_name)
    return TruthObjects(
        tuple('abcdefghijklmnopqrstuvwxyz'[:count]) if track is None else tuple(track),
        names,
        np.column_stack([table[:, :2], np.ones(count)]),
        np.column_stack([table[:, 2:4], np.full(count, 1.5)]),
        table[:, 4],
        np.full((count, 2), np.nan)
        if velocity_mps is None
        else np.array(velocity_mps, np.float64).reshape(count, 2),
        np.full(count, np.nan) if visibility is None else np.array(visibility, np.float64),
        np.full(count, -1, np.int64) if points is None else np.array(points, np.int64),
    )


def bev_frame(grid: BevGrid, **changes: Any) -> BevFrame:
    """Returns a frame over a grid that every camera sees and nothing is predicted for."""
    content: dict[str, Any] = {
        'stamp_ns': 0,
        'frame_id': 'base_link',
        'grid': grid,
        'observed': np.ones(grid.shape, np.bool_),
        'occupancy': None,
        'semantics': None,
        'semantic_classes': (),
        'future_occupancy': None,
        'instances': None,
        'time_step_s': 0.0,
        'objects': None,
        'cameras': (),
    }
    return BevFrame(**(content | changes))


def standing_scene(objects: TruthObjects, stamps_s: Sequence[float]) -> SceneTruth:
    """Returns a scene in which neither the objects nor the vehicle move."""
    return SceneTruth([TruthFrame(round(t * 1e9), objects, np.eye(4)) for t in stamps_s])
