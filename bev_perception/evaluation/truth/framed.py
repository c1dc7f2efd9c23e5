"""Ground truth in whatever frame its source has, and the way into the base frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bev_perception.errors import TransformUnavailable
from bev_perception.evaluation.truth.frame import FloatArray, TruthFrame
from bev_perception.evaluation.truth.packed_layers import PackedLayer, PackedLayers
from bev_perception.geometry.grid import BevGrid
from bev_perception.inputs.calibration import TransformSource

_PARALLEL_RAD = 1e-3  # 5 cm at 50 m: nothing beside the size of a cell


@dataclass(frozen=True, eq=False)
class FramedTruth:
    """What a source says about one instant.

    Attributes:
        frame_id: frame of the objects and layers.
        frame: the rest; its layers are `PackedLayers`.
    """

    frame_id: str
    frame: TruthFrame


def in_base_frame(
    found: Sequence[FramedTruth], base_frame: str, transforms: TransformSource
) -> tuple[list[TruthFrame], list[str]]:
    """Returns the frames in the base frame of their stamps, and what had to be left out.

    Objects of another frame are moved there (velocities over ground are turned, not reduced by
    the vehicle's own). Grids can be moved only from a frame whose axes are parallel: their cells
    are never resampled.

    Returns:
        frames, in the same order; problems, one line for each reason.
    """
    frames, reasons = [], Counter[str]()
    for item in found:
        if item.frame_id.lstrip('/') == base_frame.lstrip('/'):
            frames.append(item.frame)
            continue
        try:
            pose = transforms.lookup(base_frame, item.frame_id, item.frame.stamp_ns)
            frames.append(_moved(item, base_frame, np.asarray(pose, np.float64)))
        except TransformUnavailable as error:
            reasons[_general(item, error)] += 1
    problems = [
        f'ground truth of {count} of {len(found)} messages is left out: {reason}'
        for reason, count in sorted(reasons.items())
    ]
    return frames, problems


def merged(frames: Iterable[TruthFrame]) -> list[TruthFrame]:
    """Returns one frame for each stamp, by rising stamps: objects and layers of all together.

    Of two that say the same thing about one stamp the later counts.
    """
    by_stamp: dict[int, TruthFrame] = {}
    for frame in frames:
        known = by_stamp.get(frame.stamp_ns)
        by_stamp[frame.stamp_ns] = frame if known is None else _together(known, frame)
    return [by_stamp[stamp_ns] for stamp_ns in sorted(by_stamp)]


def _together(first: TruthFrame, second: TruthFrame) -> TruthFrame:
    packed = {**_packed(first), **_packed(second)}
    return TruthFrame(
        first.stamp_ns,
        first.objects if second.objects is None else second.objects,
        first.odom_T_base if second.odom_T_base is None else second.odom_T_base,
        PackedLayers(packed),
        second.token or first.token,
    )


def _packed(frame: TruthFrame) -> dict[str, PackedLayer]:
    if isinstance(frame.layers, PackedLayers):
        return frame.layers.packed
    return {name: PackedLayer.of(layer) for name, layer in frame.layers.items()}


def _moved(item: FramedTruth, base_frame: str, base_T_frame: FloatArray) -> TruthFrame:
    frame = item.frame
    layers = {
        name: PackedLayer(
            _shifted(layer.grid, item.frame_id, base_frame, base_T_frame), layer.packed
        )
        for name, layer in _packed(frame).items()
    }
    objects = None if frame.objects is None else frame.objects.transformed(base_T_frame)
    return replace(frame, objects=objects, layers=PackedLayers(layers))


def _shifted(grid: BevGrid, frame_id: str, base_frame: str, base_T_frame: FloatArray) -> BevGrid:
    turn = float(np.abs(base_T_frame[:2, :2] - np.eye(2)).max())
    if turn > _PARALLEL_RAD:
        raise TransformUnavailable(
            f"a grid in '{frame_id}' is turned against '{base_frame}', and cells are not "
            f"resampled; record it in '{base_frame}'"
        )
    x_m, y_m = base_T_frame[:2, 3].tolist()
    return replace(grid, x_min_m=grid.x_min_m + x_m, y_min_m=grid.y_min_m + y_m)


def _general(item: FramedTruth, error: TransformUnavailable) -> str:
    """Returns the reason without what differs from stamp to stamp."""
    text = str(error)
    if 'is known only' in text:
        text = text.partition(' is known only')[0] + ' is not known at their time'
    return f"frame '{item.frame_id}': {text}"
