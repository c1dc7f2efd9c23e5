"""Which instances a view can see, and the draw commands for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bev_trainer.render.finishes import Kind
from bev_trainer.render.instances import Instances

FloatArray = NDArray[np.float64]

MAX_RANGE_M = 400.0
COMMAND_DTYPE = np.dtype('<u4')
COMMAND_WORDS = 5  # index count, instance count, first index, base vertex, base instance
_SMALLEST_PX = 0.7  # diameter below which an instance is left out


def visible(
    instances: Instances,
    eye_m: FloatArray,
    planes: FloatArray,
    focal_px: float,
) -> NDArray[np.int64]:
    """Returns the indices of the instances that lie in a view.

    Args:
        instances: in the world frame.
        eye_m: [3] world frame.
        planes: [4, 3] inward normals of the view's sides, world axes.
        focal_px: of the view.
    """
    way = instances.center_m - eye_m
    distance = np.sqrt(np.einsum('ij,ij->i', way, way))
    radius = instances.radius_m
    keep = distance - radius < MAX_RANGE_M
    keep &= 2.0 * radius * focal_px > _SMALLEST_PX * distance
    keep &= (way @ planes.T > -radius[:, None]).all(axis=1)
    return np.flatnonzero(keep)


@dataclass(frozen=True, eq=False)
class DrawList:
    """Instances of one view, near before far, and where their commands lie.

    Attributes:
        rows: [n] of `INSTANCE_DTYPE`, equal models side by side.
        commands: uint32 [k, 5], those of each `Kind` together.
        spans: by `Kind`: (first command, count).
    """

    rows: NDArray[np.void]
    commands: NDArray[np.uint32]
    spans: tuple[tuple[int, int], ...]


def draw_list(
    rows: NDArray[np.void],
    model: NDArray[np.int64],
    distance_m: FloatArray,
    ranges: NDArray[np.int64],
    first_row: int,
) -> DrawList:
    """Returns what to draw, the model with the nearest instance first.

    Args:
        rows: [n] instances.
        model: [n] index of their meshes.
        distance_m: [n] from the eye.
        ranges: of `MeshStore`.
        first_row: where these rows will lie in the instance buffer.
    """
    if len(rows) == 0:
        return DrawList(rows, np.zeros((0, COMMAND_WORDS), np.uint32), ((0, 0),) * len(Kind))
    order = np.lexsort([distance_m, model])
    rows, model, distance_m = rows[order], model[order], distance_m[order]
    first = np.flatnonzero(np.concatenate([[True], model[1:] != model[:-1]]))
    count = np.diff(np.append(first, len(model)))
    near = np.argsort(distance_m[first], kind='stable')
    first, count = first[near], count[near]
    parts = ranges[model[first]]
    commands: list[NDArray[np.uint32]] = []
    spans: list[tuple[int, int]] = []
    for kind in Kind:
        there = parts[:, kind, 1] > 0
        block = np.zeros((int(there.sum()), COMMAND_WORDS), np.uint32)
        block[:, 0] = parts[there, kind, 1]
        block[:, 1] = count[there]
        block[:, 2] = parts[there, kind, 0]
        block[:, 4] = first[there] + first_row
        spans.append((sum(len(part) for part in commands), len(block)))
        commands.append(block)
    return DrawList(rows, np.concatenate(commands), tuple(spans))
