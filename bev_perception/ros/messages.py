"""The package's own messages and `nav_msgs/OccupancyGrid`, from the pipeline's types.

`replay/result_messages.py` reads them back.

What a message loses (asserted in the tests): numbers declared float32 (probabilities, the grid's
resolution, `observed_share`) are rounded to float32, durations to nanoseconds, angles to the last
digits of a quaternion; `BevObject.instance` points into arrays that are not published, so it is
not sent; grids keep whole per cent, and nothing of the cells that no camera observed.

Arrays enter messages as `array.array` (or ndarray where the field has a fixed size): assigning a
list or an ndarray to an unbounded field makes rclpy go through it element by element.
"""

from __future__ import annotations

import array
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from nav_msgs.msg import MapMetaData, OccupancyGrid
from numpy.typing import NDArray
from std_msgs.msg import Header
from unique_identifier_msgs.msg import UUID

import bev_perception.msg as bev_msgs
from bev_perception.frame import (
    MOVING_SPEED_MPS,
    BevFrame,
    BevObject,
    CameraReport,
    Trajectory,
    occupancy_to_int8,
)
from bev_perception.geometry.grid import BevGrid
from bev_perception.units import NS_PER_S

_ROTATION_TOLERANCE = 1e-6

T = TypeVar('T')


@dataclass(frozen=True)
class FrameStatusData:
    """How one frame came about; becomes `FrameStatus.msg`.

    Attributes:
        stamp_ns: same as that of the outputs.
        frame_id: same as that of the outputs.
        model_id: name and content hash of the model.
        reports: one per camera, in rig order.
        past_dropped: as in `BevFrame`.
        observed_share: share of grid cells seen by at least one used camera.
        stage_s: seconds spent per stage, in order of execution.
        latency_s: from the newest used image's arrival to publication, on a steady clock.
        sets_received: camera sets released by the synchroniser since activation.
        sets_processed: sets that became a frame.
        sets_dropped: whole sets skipped because a newer one was waiting.
    """

    stamp_ns: int
    frame_id: str
    model_id: str
    reports: tuple[CameraReport, ...]
    past_dropped: str
    observed_share: float
    stage_s: Mapping[str, float]
    latency_s: float
    sets_received: int
    sets_processed: int
    sets_dropped: int


@dataclass(frozen=True)
class ModelDescription:
    """The model behind the outputs; becomes `ModelInfo.msg`, whose fields have these names.

    Attributes:
        stamp_ns: when the model was loaded.
        frame_id: base frame.
        trained: False for seeded weights, whose outputs carry no meaning.
        training: what it was trained on, one line.
        grid: geometry of every grid output.
        time_step_s: between predicted steps.
        score_threshold: objects below it are not published.
    """

    stamp_ns: int
    frame_id: str
    model_id: str
    name: str
    version: str
    licence: str
    weights_hash: str
    trained: bool
    training: str
    object_classes: tuple[str, ...]
    semantic_classes: tuple[str, ...]
    grid: BevGrid
    time_step_s: float
    horizon_steps: int
    score_is_calibrated: bool
    score_threshold: float


def time_msg(stamp_ns: int) -> Time:
    """Returns integer nanoseconds as builtin_interfaces/Time (`stamp_to_ns` is its inverse)."""
    sec, nanosec = divmod(int(stamp_ns), NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def duration_msg(duration_s: float) -> Duration:
    """Returns seconds, rounded to nanoseconds; of negative ones `sec` is negative alone."""
    sec, nanosec = divmod(round(float(duration_s) * NS_PER_S), NS_PER_S)
    return Duration(sec=sec, nanosec=nanosec)


def header_msg(stamp_ns: int, frame_id: str) -> Header:
    """Returns std_msgs/Header."""
    return Header(stamp=time_msg(stamp_ns), frame_id=frame_id)


def pose_msg(position_m: Iterable[float], yaw_rad: float) -> Pose:
    """Returns geometry_msgs/Pose at (x, y, z), turned by `yaw_rad` about z."""
    x, y, z = map(float, position_m)
    half = 0.5 * float(yaw_rad)
    return Pose(
        position=Point(x=x, y=y, z=z), orientation=Quaternion(z=math.sin(half), w=math.cos(half))
    )


def motion_state(velocity_mps: tuple[float, float] | None) -> int:
    """Returns `BevObject.msg`'s motion state: moving from `MOVING_SPEED_MPS` on."""
    if velocity_mps is None:
        return bev_msgs.BevObject.MOTION_UNKNOWN
    if math.hypot(*velocity_mps) >= MOVING_SPEED_MPS:
        return bev_msgs.BevObject.MOTION_MOVING
    return bev_msgs.BevObject.MOTION_STATIONARY


def object_array_msg(frame: BevFrame) -> bev_msgs.BevObjectArray:
    """Returns all objects of a frame in its base frame.

    Raises:
        ValueError: the frame was computed without objects.
    """
    return bev_msgs.BevObjectArray(
        header=header_msg(frame.stamp_ns, frame.frame_id),
        model_id=frame.model_id,
        objects=[_object_msg(item) for item in asked_for(frame.objects, 'objects')],
    )


def occupancy_grid_msg(frame: BevFrame) -> OccupancyGrid:
    """Returns the present occupancy: 0..100 per cent, -1 where no camera looks.

    Raises:
        ValueError: the frame was computed without occupancy.
    """
    return _grid_msg(frame, asked_for(frame.occupancy, 'occupancy'))


def occupancy_sequence_msg(frame: BevFrame) -> bev_msgs.OccupancySequence:
    """Returns occupancy now (`grids[0]`) and ahead, each as in `occupancy_grid_msg`.

    Raises:
        ValueError: the frame was computed without occupancy or without its future.
    """
    ahead = asked_for(frame.future_occupancy, 'future_occupancy')
    return bev_msgs.OccupancySequence(
        header=header_msg(frame.stamp_ns, frame.frame_id),
        time_step=duration_msg(frame.time_step_s),
        grids=[occupancy_grid_msg(frame), *(_grid_msg(frame, step) for step in ahead)],
    )


def frame_status_msg(status: FrameStatusData) -> bev_msgs.FrameStatus:
    """Returns which cameras a frame rests on and where the time went."""
    return bev_msgs.FrameStatus(
        header=header_msg(status.stamp_ns, status.frame_id),
        model_id=status.model_id,
        cameras=[_camera_status_msg(report) for report in status.reports],
        past_dropped=status.past_dropped,
        observed_share=float(status.observed_share),
        stages=[
            bev_msgs.StageDuration(name=name, seconds=float(seconds))
            for name, seconds in status.stage_s.items()
        ],
        latency_s=float(status.latency_s),
        sets_received=int(status.sets_received),
        sets_processed=int(status.sets_processed),
        sets_dropped=int(status.sets_dropped),
    )


def model_info_msg(model: ModelDescription) -> bev_msgs.ModelInfo:
    """Returns the description that is published once, for late joiners too."""
    return bev_msgs.ModelInfo(
        header=header_msg(model.stamp_ns, model.frame_id),
        model_id=model.model_id,
        name=model.name,
        version=model.version,
        licence=model.licence,
        weights_hash=model.weights_hash,
        trained=bool(model.trained),
        training=model.training,
        object_classes=list(model.object_classes),
        semantic_classes=list(model.semantic_classes),
        grid=_map_info(model.grid, model.stamp_ns),
        time_step=duration_msg(model.time_step_s),
        horizon_steps=int(model.horizon_steps),
        score_is_calibrated=bool(model.score_is_calibrated),
        score_threshold=float(model.score_threshold),
    )


def asked_for(output: T | None, name: str) -> T:
    """Returns an output of a frame; ValueError when it was not computed."""
    if output is None:
        raise ValueError(f'the frame was computed without {name}; ask the pipeline for its head')
    return output


def _map_info(grid: BevGrid, stamp_ns: int) -> MapMetaData:
    return MapMetaData(
        map_load_time=time_msg(stamp_ns),
        resolution=float(grid.resolution_m),
        width=int(grid.size_x),
        height=int(grid.size_y),
        origin=pose_msg((grid.x_min_m, grid.y_min_m, 0.0), 0.0),
    )


def _grid_msg(frame: BevFrame, probability: NDArray[np.float32]) -> OccupancyGrid:
    cells = occupancy_to_int8(probability, frame.observed)
    return OccupancyGrid(
        header=header_msg(frame.stamp_ns, frame.frame_id),
        info=_map_info(frame.grid, frame.stamp_ns),
        data=array.array('b', cells.tobytes()),
    )


def _object_msg(item: BevObject) -> bev_msgs.BevObject:
    length, width, height = map(float, item.size_m)
    msg = bev_msgs.BevObject(
        object_id=UUID(uuid=np.frombuffer(item.object_id, dtype=np.uint8)),
        age_frames=int(item.age_frames),
        existence_probability=float(item.existence_probability),
        classes=[
            bev_msgs.ClassScore(
                class_index=int(c.index), class_name=c.name, probability=float(c.probability)
            )
            for c in item.classes
        ],
        orientation_availability=bev_msgs.BevObject.ORIENTATION_AVAILABLE,
        dimensions=Vector3(x=length, y=width, z=height),
        has_twist=item.velocity_mps is not None,
        motion_state=motion_state(item.velocity_mps),
        trajectories=[_trajectory_msg(path) for path in item.trajectories],
    )
    msg.pose.pose = pose_msg(item.center_m, item.yaw_rad)
    if item.velocity_mps is not None:
        msg.twist.twist.linear.x, msg.twist.twist.linear.y = map(float, item.velocity_mps)
    return msg


def _trajectory_msg(path: Trajectory) -> bev_msgs.BevTrajectory:
    return bev_msgs.BevTrajectory(
        probability=float(path.probability),
        time_step=duration_msg(path.time_step_s),
        start_offset=duration_msg(path.start_offset_s),
        poses=[
            pose_msg(position, yaw)
            for position, yaw in zip(path.positions_m, path.yaws_rad, strict=True)
        ],
    )


def _camera_status_msg(report: CameraReport) -> bev_msgs.CameraStatus:
    return bev_msgs.CameraStatus(
        name=report.name,
        state=int(report.state),
        detail=report.detail,
        has_image=report.stamp_ns is not None,
        stamp=time_msg(report.stamp_ns or 0),
        age_s=float(report.age_s or 0.0),
    )
