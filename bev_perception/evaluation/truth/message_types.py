"""Definitions of messages that carry ground truth, for recordings that hold none of their own."""

from __future__ import annotations

from functools import cache

from rosbags.typesys import get_types_from_msg

from bev_perception.replay.known_types import known_types

OWN_OBJECTS = 'bev_perception/msg/BevObjectArray'
DETECTIONS = 'vision_msgs/msg/Detection3DArray'
DETECTED = 'autoware_perception_msgs/msg/DetectedObjects'
TRACKED = 'autoware_perception_msgs/msg/TrackedObjects'
PREDICTED = 'autoware_perception_msgs/msg/PredictedObjects'
GRID = 'nav_msgs/msg/OccupancyGrid'

# vision_msgs 4 (ROS 2 Humble and later), which rosbags does not bring.
VISION_MSGS = {
    'ObjectHypothesis': 'string class_id\nfloat64 score\n',
    'ObjectHypothesisWithPose': (
        'ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n'
    ),
    'BoundingBox3D': 'geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n',
    'Detection3D': (
        'std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox3D bbox\n'
        'string id\n'
    ),
    'Detection3DArray': 'std_msgs/Header header\nDetection3D[] detections\n',
}
# autoware_perception_msgs 1 (autowarefoundation/autoware_msgs).
_AUTOWARE = {
    'ObjectClassification': 'uint8 label\nfloat32 probability\n',
    'Shape': 'uint8 type\ngeometry_msgs/Polygon footprint\ngeometry_msgs/Vector3 dimensions\n',
    'PredictedPath': (
        'geometry_msgs/Pose[] path\nbuiltin_interfaces/Duration time_step\nfloat32 confidence\n'
    ),
    'DetectedObjectKinematics': (
        'geometry_msgs/PoseWithCovariance pose_with_covariance\nbool has_position_covariance\n'
        'uint8 orientation_availability\n'
        'geometry_msgs/TwistWithCovariance twist_with_covariance\nbool has_twist\n'
        'bool has_twist_covariance\n'
    ),
    'TrackedObjectKinematics': (
        'geometry_msgs/PoseWithCovariance pose_with_covariance\n'
        'geometry_msgs/TwistWithCovariance twist_with_covariance\n'
        'geometry_msgs/AccelWithCovariance acceleration_with_covariance\n'
        'uint8 orientation_availability\nbool is_stationary\n'
    ),
    'PredictedObjectKinematics': (
        'geometry_msgs/PoseWithCovariance initial_pose_with_covariance\n'
        'geometry_msgs/TwistWithCovariance initial_twist_with_covariance\n'
        'geometry_msgs/AccelWithCovariance initial_acceleration_with_covariance\n'
        'PredictedPath[] predicted_paths\n'
    ),
    'DetectedObject': (
        'float32 existence_probability\nObjectClassification[] classification\n'
        'DetectedObjectKinematics kinematics\nShape shape\n'
    ),
    'TrackedObject': (
        'unique_identifier_msgs/UUID object_id\nfloat32 existence_probability\n'
        'ObjectClassification[] classification\nTrackedObjectKinematics kinematics\nShape shape\n'
    ),
    'PredictedObject': (
        'unique_identifier_msgs/UUID object_id\nfloat32 existence_probability\n'
        'ObjectClassification[] classification\nPredictedObjectKinematics kinematics\n'
        'Shape shape\n'
    ),
    'DetectedObjects': 'std_msgs/Header header\nDetectedObject[] objects\n',
    'TrackedObjects': 'std_msgs/Header header\nTrackedObject[] objects\n',
    'PredictedObjects': 'std_msgs/Header header\nPredictedObject[] objects\n',
}


@cache
def learn_truth_types() -> None:
    """Makes `known_types` know the messages of vision_msgs and Autoware, too.

    A recording's own definitions come first: these serve those that hold none.
    """
    for package, texts in (('vision_msgs', VISION_MSGS), ('autoware_perception_msgs', _AUTOWARE)):
        for name, text in texts.items():
            full = f'{package}/msg/{name}'
            if full not in known_types().fielddefs:
                known_types().register(get_types_from_msg(text, full))
