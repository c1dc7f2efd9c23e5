"""Raw network outputs of one frame to grids and objects."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bev_perception.decode.instances import MotionMaps, decode_instances
from bev_perception.decode.objects import ObjectMaps, decode_objects
from bev_perception.decode.trajectories import attach_trajectories
from bev_perception.frame import BevObject
from bev_perception.geometry.grid import BevGrid
from bev_perception.model.config_heads import MotionSection, ObjectsSection
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
    outputs: ModelOutputs, section: ObjectsSection, grid: BevGrid, min_score: float | None
) -> tuple[BevObject, ...] | None:
    """Returns the decoded objects; None when the head was not asked for."""
    if outputs.heatmap_logits is None:
        return None
    assert outputs.center_offset is not None and outputs.center_z is not None
    assert outputs.log_size is not None and outputs.yaw_sin_cos is not None
    assert outputs.velocity is not None and outputs.existence_logits is not None
    maps = ObjectMaps(
        probabilities(outputs.heatmap_logits),
        to_numpy(outputs.center_offset),
        to_numpy(outputs.center_z)[0],
        to_numpy(outputs.log_size),
        to_numpy(outputs.yaw_sin_cos),
        to_numpy(outputs.velocity),
        probabilities(outputs.existence_logits)[0],
    )
    return decode_objects(
        maps,
        grid,
        section.classes,
        section.score_threshold if min_score is None else min_score,
        section.max_objects,
        section.nms_radius_m,
        existence_power=section.existence_power,
    )


def instances(motion: MotionMaps, section: MotionSection, grid: BevGrid) -> NDArray[np.int32]:
    """Returns int32 [T + 1, Y, X] labels of movable objects, now and ahead."""
    return decode_instances(
        motion,
        grid,
        section.threshold,
        vote_radius_m=section.vote_radius_m,
        instance_threshold=section.instance_threshold or 0.0,
    )


def with_flow_paths(
    found: tuple[BevObject, ...],
    labels: NDArray[np.int32],
    motion: MotionMaps,
    section: MotionSection,
    grid: BevGrid,
) -> tuple[BevObject, ...]:
    """Returns the objects with their label in the instance maps and their predicted path."""
    return attach_trajectories(found, labels, grid, motion.probability, section.step_s)


def places(found: Sequence[BevObject]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns [1, M, 4] (x_m, y_m, sine and cosine of the yaw) and velocities [1, M, 2] in m/s.

    An unknown velocity counts as standing still.
    """
    place = [
        (*item.center_m[:2], math.sin(item.yaw_rad), math.cos(item.yaw_rad)) for item in found
    ]
    velocity = [item.velocity_mps or (0.0, 0.0) for item in found]
    return (
        np.array(place, np.float32).reshape(1, -1, 4),
        np.array(velocity, np.float32).reshape(1, -1, 2),
    )
