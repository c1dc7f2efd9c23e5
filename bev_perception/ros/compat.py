"""ROS packages that are not everywhere, each imported here alone, with what happens without it.

| package | without it |
| --- | --- |
| tf2_ros | `TransformTree` fed from /tf and /tf_static (same answers, no extrapolation) |
| message_filters | sync policies `approximate` and `exact` are refused with a clear error |
| vision_msgs | no `~/detections` |
| autoware_perception_msgs | no `~/predicted_objects` |
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from bev_perception.errors import ConfigError, RosUnavailableError, TransformUnavailable
from bev_perception.frame import FloatArray
from bev_perception.inputs.conversion import pose_from_msg, transforms_from_msg
from bev_perception.inputs.transform_tree import TransformTree


def optional_module(name: str) -> ModuleType | None:
    """Returns a module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def message_filters() -> ModuleType:
    """Returns message_filters.

    Raises:
        ConfigError: it is not installed.
    """
    module = optional_module('message_filters')
    if module is None:
        raise ConfigError(
            "sync.policy approximate and exact need the ROS package 'message_filters', which is "
            'not installed; use sync.policy collector'
        )
    return module


class Tf2Transforms:
    """tf2's buffer, fed by its own listener; never waits."""

    def __init__(self, node: Node, tf2_ros: ModuleType) -> None:
        self._tf2_ros = tf2_ros
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp_ns: int) -> FloatArray:
        """Returns target_T_source [4, 4]; raises TransformUnavailable."""
        from rclpy.time import Time

        try:
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except self._tf2_ros.TransformException as error:
            raise TransformUnavailable(' '.join(str(error).split())) from error
        return pose_from_msg(found.transform)

    def clear(self) -> None:
        """Forgets what moves; tf2 keeps static transforms."""
        self._buffer.clear()

    def close(self) -> None:
        """Ends the subscriptions."""
        self._listener.unregister()


class TopicTransforms:
    """A `TransformTree` fed from /tf and /tf_static, where tf2_ros is not installed."""

    def __init__(self, node: Node, message_type: type, on_update: Callable[[], None]) -> None:
        self._tree = TransformTree()
        self._node = node
        self._on_update = on_update
        latched = QoSProfile(
            depth=100,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self._subscriptions = [
            node.create_subscription(message_type, 'tf', lambda m: self._take(m, False), 100),
            node.create_subscription(
                message_type, 'tf_static', lambda m: self._take(m, True), latched
            ),
        ]

    def lookup(self, target: str, source: str, stamp_ns: int) -> FloatArray:
        """Returns target_T_source [4, 4]; raises TransformUnavailable."""
        return self._tree.lookup(target, source, stamp_ns)

    def clear(self) -> None:
        """Forgets what moves."""
        self._tree.clear_moving()

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take(self, message: Any, static: bool) -> None:
        for transform in transforms_from_msg(message):
            self._tree.set_transform(*transform, static)
        self._on_update()


def transform_listener(
    node: Node, on_update: Callable[[], None]
) -> Tf2Transforms | TopicTransforms:
    """Returns a source of transforms for `node`.

    Args:
        node: owner of the subscriptions.
        on_update: called when transforms arrived, where that is known.

    Raises:
        RosUnavailableError: neither tf2_ros nor tf2_msgs is installed.
    """
    tf2_ros = optional_module('tf2_ros')
    if tf2_ros is not None:
        return Tf2Transforms(node, tf2_ros)
    tf2_msgs = optional_module('tf2_msgs.msg')
    if tf2_msgs is None:
        raise RosUnavailableError(
            "neither 'tf2_ros' nor 'tf2_msgs' is installed: transforms cannot be received; "
            'install one of them or give every camera its placement in the rig file'
        )
    return TopicTransforms(node, tf2_msgs.TFMessage, on_update)
