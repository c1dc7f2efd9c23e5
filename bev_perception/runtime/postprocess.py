"""Raw network outputs of one frame to grids and objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.decode.instances import MotionMaps, decode_instances
from bev_perception.decode.objects import ObjectMaps, decode_objects
from bev_perception.decode.trajectories import attach_trajectories
from bev_perception.frame import BevObject
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config import HeadsSection
from bev_perception.model.outputs import ModelOutputs


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """Returns the only element of a batch as contiguous float32 on the host."""
    return np.ascontiguousarray(tensor[0].detach().float().cpu().numpy())


def probabilities(logits: Tensor) -> NDArray[np.float32]:
    """Returns the sigmoid of the only element of a batch."""
    return to_numpy(logits.sigmoid())


def occupancy(
    outputs: ModelOutputs,
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Returns occupancy [Y, X] and semantics [C, Y, X]; None when the head was not asked for."""
    if outputs.occupancy_logits is None or outputs.semantic_logits is None:
        return None, None
    return probabilities(outputs.occupancy_logits)[0], probabilities(outputs.semantic_logits)


def motion_maps(outputs: ModelOutputs) -> MotionMaps | None:
    """Returns the motion head's maps; None when the head was not asked for."""
    if outputs.motion_logits is None or outputs.motion_flow is None:
        return None
    return MotionMaps(probabilities(outputs.motion_logits), to_numpy(outputs.motion_flow))


def objects(
    outputs: ModelOutputs, heads: HeadsSection, grid: BevGrid, min_score: float | None
) -> tuple[BevObject, ...] | None:
    """Returns the decoded objects; None when the head was not asked for."""
    if outputs.heatmap_logits is None:
        return None
    assert outputs.center_offset is not None and outputs.center_z is not None
    assert outputs.log_size is not None and outputs.yaw_sin_cos is not None
    assert outputs.velocity is not None
    maps = ObjectMaps(
        probabilities(outputs.heatmap_logits),
        to_numpy(outputs.center_offset),
        to_numpy(outputs.center_z)[0],
        to_numpy(outputs.log_size),
        to_numpy(outputs.yaw_sin_cos),
        to_numpy(outputs.velocity),
    )
    section = heads.objects
    return decode_objects(
        maps,
        grid,
        section.classes,
        section.score_threshold if min_score is None else min_score,
        section.max_objects,
        section.nms_radius_m,
    )


def instances(motion: MotionMaps, heads: HeadsSection, grid: BevGrid) -> NDArray[np.int32]:
    """Returns int32 [T + 1, Y, X] labels of movable objects, now and ahead."""
    return decode_instances(motion, grid, heads.motion.threshold)


def with_trajectories(
    found: tuple[BevObject, ...],
    labels: NDArray[np.int32],
    motion: MotionMaps,
    heads: HeadsSection,
    grid: BevGrid,
) -> tuple[BevObject, ...]:
    """Returns the objects with their label in the instance maps and their predicted path."""
    return attach_trajectories(found, labels, grid, motion.probability, heads.motion.step_s)
