"""The node's inputs: images, calibrations, transforms and odometry into the assembler."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo as CameraInfoMsg
from sensor_msgs.msg import CompressedImage, Image

from bev_perception.errors import BevError
from bev_perception.frame import FrameSet
from bev_perception.inputs.assembler import AssemblerConfig, FrameAssembler
from bev_perception.inputs.calibration import CameraSource
from bev_perception.inputs.camera_statistics import CameraStatistics
from bev_perception.inputs.conversion import (
    camera_info_from_msg,
    ego_pose_from_msg,
    image_from_msg,
    stamp_to_ns,
)
from bev_perception.inputs.ego_motion import EgoMotion, TransformEgoMotion
from bev_perception.ros.compat import message_filters, transform_listener
from bev_perception.ros.parameters import NodeParameters


class InputSubscriptions:
    """Subscribes to everything a rig needs and hands over frame sets.

    All callbacks run on the node's executor; `on_sets` must not block.

    Args:
        node: owner of the subscriptions.
        sources: the rig.
        parameters: of the node.
        odometry_topic: used when ego motion comes from odometry.
        on_sets: called with frame sets as they become ready.
    """

    def __init__(
        self,
        node: Node,
        sources: tuple[CameraSource, ...],
        parameters: NodeParameters,
        odometry_topic: str,
        on_sets: Callable[[list[FrameSet]], None],
    ) -> None:
        self._node = node
        self._sources = sources
        self._on_sets = on_sets
        self._base_frame = parameters.base_frame
        self._incompatible: dict[str, str] = {}
        self._odometry_problem = ''
        self._transforms = transform_listener(node, self.poll)
        self._odometry = EgoMotion()
        from_tf = parameters.ego_motion_source == 'tf'
        self._assembler = FrameAssembler(
            sources,
            AssemblerConfig(
                parameters.base_frame, parameters.sync, parameters.ego_motion_source != 'none'
            ),
            self._transforms,
            TransformEgoMotion(self._transforms, parameters.odom_frame, parameters.base_frame)
            if from_tf
            else self._odometry,
        )
        self._subscriptions: list[Any] = []
        self._subscribe_images(parameters)
        self._subscribe_infos()
        if parameters.ego_motion_source == 'odometry':
            self._subscribe(Odometry, odometry_topic, self._on_odometry, qos_profile_sensor_data)

    def poll(self) -> None:
        """Hands over what is ready now; call it often."""
        self._on_sets(self._assembler.poll(time.monotonic_ns()))

    def reset(self) -> None:
        """Forgets images, poses and moving transforms: time jumped."""
        self._assembler.reset()
        self._transforms.clear()

    def statistics(self) -> tuple[CameraStatistics, ...]:
        """Returns the present figures of every camera's stream."""
        return self._assembler.statistics(time.monotonic_ns())

    def problems(self) -> dict[str, str]:
        """Returns what is wrong with topics, by topic: incompatible QoS, unusable odometry."""
        problems = dict(self._incompatible)
        if self._odometry_problem:
            problems['odometry'] = self._odometry_problem
        return problems

    def close(self) -> None:
        """Ends all subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._transforms.close()

    def _subscribe_images(self, parameters: NodeParameters) -> None:
        qos = QoSProfile(
            depth=parameters.images_depth,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE
            if parameters.images_reliable
            else ReliabilityPolicy.BEST_EFFORT,
        )
        if parameters.sync_policy != 'collector':
            self._subscribe_filtered(parameters, qos)
            return
        for source in self._sources:
            self._subscribe(
                CompressedImage if source.compressed else Image,
                source.image_topic,
                partial(self._on_image, source.name),
                qos,
            )

    def _subscribe_filtered(self, parameters: NodeParameters, qos: QoSProfile) -> None:
        """Groups images with message_filters, exactly as people know it."""
        filters = message_filters()
        inputs = [
            filters.Subscriber(
                self._node,
                CompressedImage if s.compressed else Image,
                s.image_topic,
                qos_profile=qos,
            )
            for s in self._sources
        ]
        queue = parameters.sync_queue_size
        if parameters.sync_policy == 'approximate':
            synchroniser = filters.ApproximateTimeSynchronizer(
                inputs, queue, parameters.sync.tolerance_s
            )
        else:
            synchroniser = filters.TimeSynchronizer(inputs, queue)
        synchroniser.registerCallback(self._on_filtered_set)
        self._subscriptions += [i.sub for i in inputs]

    def _subscribe_infos(self) -> None:
        for source in self._sources:
            if source.intrinsics is None:
                self._subscribe(
                    CameraInfoMsg,
                    source.camera_info_topic,
                    partial(self._on_info, source.name),
                    qos_profile_sensor_data,
                )

    def _subscribe(
        self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> None:
        events = SubscriptionEventCallbacks(
            incompatible_qos=partial(self._on_incompatible_qos, topic)
        )
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, callback, qos, event_callbacks=events)
        )

    def _on_incompatible_qos(self, topic: str, event: Any) -> None:
        self._incompatible[topic] = (
            f'a publisher offers incompatible QoS ({event.last_policy_kind})'
        )

    def _on_image(self, camera: str, message: Any) -> None:
        self._on_sets(
            self._assembler.add_image(
                camera,
                stamp_to_ns(message.header.stamp),
                image_from_msg(message),
                time.monotonic_ns(),
            )
        )

    def _on_filtered_set(self, *messages: Any) -> None:
        images = {
            source.name: (stamp_to_ns(message.header.stamp), image_from_msg(message))
            for source, message in zip(self._sources, messages, strict=True)
        }
        self._on_sets(self._assembler.add_set(images, time.monotonic_ns()))

    def _on_info(self, camera: str, message: Any) -> None:
        self._assembler.add_info(camera, camera_info_from_msg(message))
        self.poll()

    def _on_odometry(self, message: Any) -> None:
        try:
            odom_T_base = ego_pose_from_msg(message, self._base_frame, self._transforms)
        except BevError as error:
            self._odometry_problem = str(error)
            return
        self._odometry_problem = ''
        self._odometry.add(stamp_to_ns(message.header.stamp), odom_T_base)
        self.poll()
