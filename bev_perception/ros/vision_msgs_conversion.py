"""Objects as vision_msgs/Detection3DArray, and back.

What survives: stamp and frame, box (centre, orientation, size), every class name with its
probability (as `score`), pose covariance, identity, order.

What is lost, and what stands there after the way back:

| lost | after the way back |
| --- | --- |
| existence probability | the highest class score (this package's decoder sets it so itself) |
| twist, its covariance, motion state | `has_twist` false, motion unknown |
| trajectories | none |
| age in frames | 1 when there is an id, else 0 |
| orientation availability | available |
| `has_pose_covariance` | true when any number of the covariance is not 0 |
| model id | empty |
| class index | found again by name in the class list that the reader gives |
| pose covariance of an object without classes | zero |
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PoseWithCovariance
from unique_identifier_msgs.msg import UUID
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

import bev_perception.msg as bev_msgs
from bev_perception.errors import ConfigError
from bev_perception.frame import BevFrame
from bev_perception.ros.messages import object_array_msg


def detection_array_msg(frame: BevFrame) -> Detection3DArray:
    """Returns the objects of a frame as detections; raises as `object_array_msg` does."""
    return detections_from_objects(object_array_msg(frame))


def detections_from_objects(msg: bev_msgs.BevObjectArray) -> Detection3DArray:
    """Returns one detection per object, in the same order, each with the array's header.

    `bbox.center` is the box centre and `bbox.size` is (length, width, height); there is one
    hypothesis per class, named in `class_id`; `id` is the identity in 32 hexadecimal digits,
    empty when the object is not tracked.
    """
    detections = []
    for item in msg.objects:
        pose = PoseWithCovariance(pose=item.pose.pose)
        if item.has_pose_covariance:
            pose.covariance = item.pose.covariance
        detections.append(
            Detection3D(
                header=msg.header,
                results=[_hypothesis(score, pose) for score in item.classes],
                bbox=BoundingBox3D(center=item.pose.pose, size=item.dimensions),
                id=bytes(item.object_id.uuid).hex() if item.object_id.uuid.any() else '',
            )
        )
    return Detection3DArray(header=msg.header, detections=detections)


def objects_from_detections(
    msg: Detection3DArray, object_classes: Sequence[str]
) -> bev_msgs.BevObjectArray:
    """Returns one object per detection, in the same order.

    `class_index` counts in `object_classes`. An `id` that is not a UUID becomes one by hashing,
    the same for the same id.

    Raises:
        ConfigError: a detection has a class that is not in the list.
    """
    return bev_msgs.BevObjectArray(
        header=msg.header, objects=[_object(item, object_classes) for item in msg.detections]
    )


def _hypothesis(score: bev_msgs.ClassScore, pose: PoseWithCovariance) -> ObjectHypothesisWithPose:
    return ObjectHypothesisWithPose(
        hypothesis=ObjectHypothesis(class_id=score.class_name, score=float(score.probability)),
        pose=pose,
    )


def _object(item: Detection3D, object_classes: Sequence[str]) -> bev_msgs.BevObject:
    results = sorted(item.results, key=lambda result: -result.hypothesis.score)
    covariance = results[0].pose.covariance if results else np.zeros(36)
    return bev_msgs.BevObject(
        object_id=UUID(uuid=np.frombuffer(_identity(item.id), dtype=np.uint8)),
        age_frames=1 if item.id else 0,
        existence_probability=results[0].hypothesis.score if results else 0.0,
        classes=[_class_score(result.hypothesis, object_classes) for result in results],
        pose=PoseWithCovariance(pose=item.bbox.center, covariance=covariance),
        has_pose_covariance=bool(np.any(covariance)),
        orientation_availability=bev_msgs.BevObject.ORIENTATION_AVAILABLE,
        dimensions=item.bbox.size,
    )


def _class_score(
    hypothesis: ObjectHypothesis, object_classes: Sequence[str]
) -> bev_msgs.ClassScore:
    name = hypothesis.class_id
    if name not in object_classes:
        raise ConfigError(
            f"detection of class '{name}', which is not one of the object classes "
            f'{list(object_classes)}; give a list that has it'
        )
    index = list(object_classes).index(name)
    return bev_msgs.ClassScore(
        class_index=index, class_name=name, probability=float(hypothesis.score)
    )


def _identity(text: str) -> bytes:
    if not text:
        return bytes(16)
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, text).bytes
