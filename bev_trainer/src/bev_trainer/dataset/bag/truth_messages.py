"""Ground truth as ROS messages: objects, and maps of what is where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bev_perception.frame import MOVING_SPEED_MPS, BevObject, Trajectory
from bev_perception.geometry.grid import BevGrid
from bev_perception.units import NS_PER_S
from bev_trainer.dataset.bag.messages import (
    header_message,
    posed,
    time_message,
    twisted,
    upright_pose_message,
    vector_message,
)
from bev_trainer.dataset.bag.typestore import new_message

# Constants of BevObject.msg.
_ORIENTATION_AVAILABLE, _MOVING, _STATIONARY = 2, 1, 2
MODEL_ID = 'ground_truth'


def object_array_message(objects: Sequence[BevObject], stamp_ns: int, frame_id: str) -> Any:
    """Returns bev_perception/BevObjectArray of `truth_objects`, in the same order."""
    return new_message(
        'bev_perception/BevObjectArray',
        header=header_message(stamp_ns, frame_id),
        model_id=MODEL_ID,
        objects=[_object_message(item) for item in objects],
    )


def detection_array_message(objects: Sequence[BevObject], stamp_ns: int, frame_id: str) -> Any:
    """Returns vision_msgs/Detection3DArray; the score is the existence probability."""
    header = header_message(stamp_ns, frame_id)
    return new_message(
        'vision_msgs/Detection3DArray',
        header=header,
        detections=[_detection_message(item, header) for item in objects],
    )


def grid_message(
    filled: NDArray[np.bool_],
    observed: NDArray[np.bool_],
    grid: BevGrid,
    stamp_ns: int,
    frame: str,
) -> Any:
    """Returns nav_msgs/OccupancyGrid of [Y, X]: 100 or 0, and -1 where no camera saw the cell."""
    cells = np.where(filled, 100, 0).astype(np.int8)
    cells[~observed] = -1
    info = new_message(
        'nav_msgs/MapMetaData',
        map_load_time=time_message(stamp_ns),
        resolution=float(grid.resolution_m),
        width=grid.size_x,
        height=grid.size_y,
        origin=upright_pose_message((grid.x_min_m, grid.y_min_m, 0.0), 0.0),
    )
    header = header_message(stamp_ns, frame)
    return new_message('nav_msgs/OccupancyGrid', header=header, info=info, data=cells.ravel())


def _object_message(item: BevObject) -> Any:
    assert item.velocity_mps is not None
    twist = new_message(
        'geometry_msgs/Twist',
        linear=vector_message((*item.velocity_mps, 0.0)),
        angular=vector_message(np.zeros(3)),
    )
    return new_message(
        'bev_perception/BevObject',
        object_id=new_message(
            'unique_identifier_msgs/UUID', uuid=np.frombuffer(item.object_id, np.uint8)
        ),
        age_frames=item.age_frames,
        existence_probability=item.existence_probability,
        classes=[
            new_message(
                'bev_perception/ClassScore',
                class_index=score.index,
                class_name=score.name,
                probability=score.probability,
            )
            for score in item.classes
        ],
        pose=posed(upright_pose_message(item.center_m, item.yaw_rad)),
        has_pose_covariance=False,
        orientation_availability=_ORIENTATION_AVAILABLE,
        dimensions=vector_message(item.size_m),
        twist=twisted(twist),
        has_twist=True,
        has_twist_covariance=False,
        motion_state=(
            _MOVING if math.hypot(*item.velocity_mps) >= MOVING_SPEED_MPS else _STATIONARY
        ),
        trajectories=[_trajectory_message(path) for path in item.trajectories],
    )


def _trajectory_message(path: Trajectory) -> Any:
    return new_message(
        'bev_perception/BevTrajectory',
        probability=path.probability,
        time_step=_duration_message(path.time_step_s),
        start_offset=_duration_message(path.start_offset_s),
        poses=[
            upright_pose_message(position, yaw)
            for position, yaw in zip(path.positions_m, path.yaws_rad.tolist(), strict=True)
        ],
    )


def _duration_message(duration_s: float) -> Any:
    sec, nanosec = divmod(round(duration_s * NS_PER_S), NS_PER_S)
    return new_message('builtin_interfaces/Duration', sec=sec, nanosec=nanosec)


def _detection_message(item: BevObject, header: Any) -> Any:
    pose = upright_pose_message(item.center_m, item.yaw_rad)
    hypothesis = new_message(
        'vision_msgs/ObjectHypothesis',
        class_id=item.classes[0].name,
        score=item.existence_probability,
    )
    result = new_message(
        'vision_msgs/ObjectHypothesisWithPose', hypothesis=hypothesis, pose=posed(pose)
    )
    box = new_message('vision_msgs/BoundingBox3D', center=pose, size=vector_message(item.size_m))
    return new_message(
        'vision_msgs/Detection3D',
        header=header,
        results=[result],
        bbox=box,
        id=item.object_id.hex(),
    )
