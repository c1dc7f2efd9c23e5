"""The node's outputs: publishers, and a frame written to those that somebody listens to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nav_msgs.msg import OccupancyGrid
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from visualization_msgs.msg import MarkerArray

from bev_perception.frame import BevFrame
from bev_perception.msg import BevObjectArray, FrameStatus, ModelInfo, OccupancySequence
from bev_perception.ros import messages
from bev_perception.ros.compat import optional_module
from bev_perception.ros.markers import MarkerOptions, marker_array_msg

STREAM = QoSProfile(
    depth=5, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
LATCHED = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
_PATHS = frozenset({'motion', 'trajectories'})  # heads that say where objects go


@dataclass(frozen=True)
class _Output:
    """One topic.

    Attributes:
        publisher: of the topic.
        needed: heads without which there is nothing to publish.
        heads: those and what adds to them, as far as the model has them.
        convert: a frame to its message.
    """

    publisher: Any
    needed: frozenset[str]
    heads: frozenset[str]
    convert: Callable[[BevFrame], Any]


class OutputPublishers:
    """Publishes frames; a topic without subscribers costs nothing.

    Args:
        node: owner of the publishers.
        model: description published once, for late joiners too.
        available: heads that the model has; topics that need others have no publisher.
        marker_options: asked for at every frame.
    """

    def __init__(
        self,
        node: LifecycleNode,
        model: messages.ModelDescription,
        available: frozenset[str],
        marker_options: Callable[[], MarkerOptions],
    ) -> None:
        self._node = node
        self._available = available
        self._marker_options = marker_options
        self._status = node.create_lifecycle_publisher(FrameStatus, '~/frame_status', STREAM)
        self._model = node.create_lifecycle_publisher(ModelInfo, '~/model_info', LATCHED)
        self._model_msg = messages.model_info_msg(model)
        outputs = [
            self._output(
                BevObjectArray,
                '~/objects',
                STREAM,
                {'objects'},
                messages.object_array_msg,
                adds=_PATHS,
            ),
            self._output(
                OccupancyGrid, '~/occupancy', LATCHED, {'occupancy'}, messages.occupancy_grid_msg
            ),
            self._output(
                OccupancySequence,
                '~/occupancy_sequence',
                STREAM,
                {'occupancy', 'motion'},
                messages.occupancy_sequence_msg,
            ),
            self._output(
                MarkerArray, '~/markers', STREAM, {'objects'}, self._markers, adds=_PATHS
            ),
            *self._optional_outputs(),
        ]
        self._outputs = [output for output in outputs if output is not None]

    def wanted_heads(self, everything: bool) -> frozenset[str]:
        """Returns the heads that somebody listens to; all of them when `everything`."""
        return frozenset().union(
            *(o.heads for o in self._outputs if everything or self._heard(o.publisher))
        )

    def status_heard(self) -> bool:
        """Returns whether somebody listens to the frame status."""
        return self._heard(self._status)

    def publish_model(self) -> None:
        """Publishes the model's description; late joiners get it too."""
        self._model.publish(self._model_msg)

    def publish(self, frame: BevFrame, heads: frozenset[str]) -> None:
        """Publishes every output that is listened to and whose heads were computed."""
        for output in self._outputs:
            if output.needed <= heads and self._heard(output.publisher):
                output.publisher.publish(output.convert(frame))

    def publish_status(self, status: messages.FrameStatusData) -> None:
        """Publishes how a frame came about."""
        if self._heard(self._status):
            self._status.publish(messages.frame_status_msg(status))

    def close(self) -> None:
        """Destroys all publishers."""
        for publisher in (self._status, self._model, *(o.publisher for o in self._outputs)):
            self._node.destroy_lifecycle_publisher(publisher)

    def _output(
        self,
        kind: type,
        topic: str,
        qos: QoSProfile,
        heads: set[str],
        convert: Callable[[BevFrame], Any],
        adds: frozenset[str] = frozenset(),
    ) -> _Output | None:
        needed = frozenset(heads)
        if not needed <= self._available:
            return None
        publisher: Any = self._node.create_lifecycle_publisher(kind, topic, qos)
        return _Output(publisher, needed, needed | (adds & self._available), convert)

    def _optional_outputs(self) -> list[_Output | None]:
        """Outputs in messages of packages that are not everywhere."""
        outputs: list[_Output | None] = []
        if (vision_msgs := optional_module('vision_msgs.msg')) is not None:
            from bev_perception.ros.vision_msgs_conversion import detection_array_msg

            outputs.append(
                self._output(
                    vision_msgs.Detection3DArray,
                    '~/detections',
                    STREAM,
                    {'objects'},
                    detection_array_msg,
                )
            )
        if (autoware := optional_module('autoware_perception_msgs.msg')) is not None:
            from bev_perception.ros.autoware_conversion import predicted_objects_msg

            outputs.append(
                self._output(
                    autoware.PredictedObjects,
                    '~/predicted_objects',
                    STREAM,
                    {'objects'},
                    predicted_objects_msg,
                    adds=_PATHS,
                )
            )
        return outputs

    def _markers(self, frame: BevFrame) -> MarkerArray:
        return marker_array_msg(frame, self._marker_options())

    @staticmethod
    def _heard(publisher: Any) -> bool:
        return publisher.get_subscription_count() > 0
