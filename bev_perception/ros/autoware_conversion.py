"""Objects as autoware_perception_msgs/PredictedObjects, and back.

Autoware expresses an object's twist in the object's own frame, we in the header frame: twist and
covariance are turned by -yaw on the way there and by +yaw on the way back. Its paths begin with
the current pose.

What survives: stamp and frame, identity, existence probability, box (centre, orientation, size),
pose covariance, twist and its covariance, the probability and the poses of every path, order.

What is lost, and what stands there after the way back:

| lost | after the way back |
| --- | --- |
| class names and indices | the first class of the reader's list that has the same label |
| one of several classes with one label | one class, with the highest of their probabilities |
| `has_twist` false | a twist of zero, stationary |
| `has_pose_covariance`, `has_twist_covariance` | true when any number of it is not 0 |
| orientation availability | available |
| age in frames | 1 when there is an id, else 0 |
| model id | empty |
| `start_offset` of paths | 0: the path has the current pose before its own |
| poses of a path whose `start_offset` is not 0 or one time step | interpolated at whole steps |

Only the way back: acceleration is dropped, and a cylinder or polygon becomes the box around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from autoware_perception_msgs.msg import (
    ObjectClassification,
    PredictedObject,
    PredictedObjectKinematics,
    PredictedObjects,
    PredictedPath,
    Shape,
)
from geometry_msgs.msg import Pose, PoseWithCovariance, Twist, TwistWithCovariance, Vector3
from numpy.typing import NDArray

import bev_perception.msg as bev_msgs
from bev_perception.errors import ConfigError
from bev_perception.evaluation.truth.messages import AUTOWARE_CLASSES
from bev_perception.frame import BevFrame
from bev_perception.inputs.conversion import stamp_to_ns
from bev_perception.replay.result_messages import yaw_from_msg
from bev_perception.ros.messages import motion_state, object_array_msg, pose_msg

# Autoware's labels in the order of their numbers.
LABEL_OF_CLASS = {
    **{name: label for label, name in enumerate(AUTOWARE_CLASSES)},
    'construction_vehicle': ObjectClassification.TRUCK,
    'barrier': ObjectClassification.HAZARD,
    'traffic_cone': ObjectClassification.HAZARD,
}


def autoware_label(class_name: str) -> int:
    """Returns Autoware's label of a class; UNKNOWN for one that `LABEL_OF_CLASS` lacks."""
    return LABEL_OF_CLASS.get(class_name, ObjectClassification.UNKNOWN)


def predicted_objects_msg(frame: BevFrame) -> PredictedObjects:
    """Returns the objects of a frame as predicted ones; raises as `object_array_msg` does."""
    return predicted_from_objects(object_array_msg(frame))


def predicted_from_objects(msg: bev_msgs.BevObjectArray) -> PredictedObjects:
    """Returns one predicted object per object, in the same order, in the same frame."""
    return PredictedObjects(
        header=msg.header, objects=[_predicted_object(item) for item in msg.objects]
    )


def objects_from_predicted(
    msg: PredictedObjects, object_classes: Sequence[str] = AUTOWARE_CLASSES
) -> bev_msgs.BevObjectArray:
    """Returns one object per predicted object, in the same order, in the same frame.

    `class_index` counts in `object_classes`; the default list takes any label.

    Raises:
        ConfigError: an object has a label that no class in the list has.
    """
    class_of_label: dict[int, int] = {}
    for index, name in enumerate(object_classes):
        class_of_label.setdefault(autoware_label(name), index)
    return bev_msgs.BevObjectArray(
        header=msg.header,
        objects=[_object(item, object_classes, class_of_label) for item in msg.objects],
    )


def _predicted_object(item: bev_msgs.BevObject) -> PredictedObject:
    kinematics = PredictedObjectKinematics(
        predicted_paths=[_predicted_path(path, item.pose.pose) for path in item.trajectories]
    )
    kinematics.initial_pose_with_covariance.pose = item.pose.pose
    if item.has_pose_covariance:
        kinematics.initial_pose_with_covariance.covariance = item.pose.covariance
    if item.has_twist:
        twist = _turned(item.twist, -yaw_from_msg(item.pose.pose.orientation))
        kinematics.initial_twist_with_covariance.twist = twist.twist
        if item.has_twist_covariance:
            kinematics.initial_twist_with_covariance.covariance = twist.covariance
    return PredictedObject(
        object_id=item.object_id,
        existence_probability=item.existence_probability,
        classification=_classification(item.classes),
        kinematics=kinematics,
        shape=Shape(type=Shape.BOUNDING_BOX, dimensions=item.dimensions),
    )


def _classification(classes: Sequence[bev_msgs.ClassScore]) -> list[ObjectClassification]:
    """Returns each label once; the first class of a label is its most probable one."""
    best: dict[int, float] = {}
    for score in classes:
        best.setdefault(autoware_label(score.class_name), score.probability)
    return [ObjectClassification(label=label, probability=p) for label, p in best.items()]


def _predicted_path(path: bev_msgs.BevTrajectory, current: Pose) -> PredictedPath:
    """Returns poses at 0, 1, 2, ... time steps after the stamp, up to the path's last pose."""
    step_ns, start_ns = stamp_to_ns(path.time_step), stamp_to_ns(path.start_offset)
    poses = list(path.poses)
    if start_ns > 0:
        poses = [current, *poses]
    if start_ns not in (0, step_ns):
        poses = _at_whole_steps(poses, start_ns, step_ns)
    return PredictedPath(path=poses, time_step=path.time_step, confidence=path.probability)


def _at_whole_steps(poses: Sequence[Pose], start_ns: int, step_ns: int) -> list[Pose]:
    """Returns poses interpolated at multiples of the step, heading the shorter way round.

    The given ones are the current pose, then one at `start_ns` and at every step after it.
    """
    times = np.concatenate([[0], start_ns + step_ns * np.arange(len(poses) - 1)])
    wanted = np.arange(0, times[-1] + 1, step_ns)
    rows = np.array([(p.position.x, p.position.y, p.position.z) for p in poses])
    yaws = np.unwrap([yaw_from_msg(p.orientation) for p in poses])
    columns = [np.interp(wanted, times, column) for column in (*rows.T, yaws)]
    return [pose_msg((x, y, z), yaw) for x, y, z, yaw in zip(*columns, strict=True)]


def _object(
    item: PredictedObject, object_classes: Sequence[str], class_of_label: dict[int, int]
) -> bev_msgs.BevObject:
    kinematics = item.kinematics
    pose: PoseWithCovariance = kinematics.initial_pose_with_covariance
    twist = _turned(kinematics.initial_twist_with_covariance, yaw_from_msg(pose.pose.orientation))
    return bev_msgs.BevObject(
        object_id=item.object_id,
        age_frames=1 if item.object_id.uuid.any() else 0,
        existence_probability=item.existence_probability,
        classes=_class_scores(item.classification, object_classes, class_of_label),
        pose=pose,
        has_pose_covariance=bool(np.any(pose.covariance)),
        orientation_availability=bev_msgs.BevObject.ORIENTATION_AVAILABLE,
        dimensions=_box_size(item.shape),
        twist=twist,
        has_twist=True,
        has_twist_covariance=bool(np.any(twist.covariance)),
        motion_state=motion_state((twist.twist.linear.x, twist.twist.linear.y)),
        trajectories=[
            bev_msgs.BevTrajectory(
                probability=path.confidence, time_step=path.time_step, poses=path.path
            )
            for path in kinematics.predicted_paths
        ],
    )


def _class_scores(
    classification: Sequence[ObjectClassification],
    object_classes: Sequence[str],
    class_of_label: dict[int, int],
) -> list[bev_msgs.ClassScore]:
    scores = []
    for entry in sorted(classification, key=lambda entry: -entry.probability):
        if entry.label not in class_of_label:
            raise ConfigError(
                f'predicted object with label {entry.label}, which none of the object classes '
                f'{list(object_classes)} has; give a list that has one, or none to take all'
            )
        index = class_of_label[entry.label]
        scores.append(
            bev_msgs.ClassScore(
                class_index=index,
                class_name=object_classes[index],
                probability=entry.probability,
            )
        )
    return scores


def _box_size(shape: Shape) -> Vector3:
    """Returns length, width and height of the box around a shape, centred on its pose."""
    if shape.type != Shape.POLYGON:
        return shape.dimensions
    points = np.array([(point.x, point.y) for point in shape.footprint.points]).reshape(-1, 2)
    length, width = (2.0 * np.abs(points).max(axis=0, initial=0.0)).tolist()
    return Vector3(x=length, y=width, z=shape.dimensions.z)


def _turned(msg: TwistWithCovariance, yaw_rad: float) -> TwistWithCovariance:
    """Returns a twist in axes that are turned by -`yaw_rad` about z."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.kron(np.eye(2), [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    covariance = turn @ np.asarray(msg.covariance).reshape(6, 6) @ turn.T
    linear, angular = msg.twist.linear, msg.twist.angular
    vector = turn @ [linear.x, linear.y, linear.z, angular.x, angular.y, angular.z]
    return TwistWithCovariance(
        twist=Twist(linear=_vector(vector[:3]), angular=_vector(vector[3:])),
        covariance=covariance.ravel(),
    )


def _vector(values: NDArray[np.float64]) -> Vector3:
    x, y, z = values.tolist()
    return Vector3(x=x, y=y, z=z)
