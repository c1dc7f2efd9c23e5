"""The real node in this process, with a probe that feeds its topics and hears its outputs."""

from __future__ import annotations

import array
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from bev_perception.msg import BevObjectArray, CameraStatus, FrameStatus, ModelInfo
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Pose, Quaternion, TransformStamped, Vector3
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from bev_perception.geometry.camera import Camera
from bev_perception.geometry.pose import quaternion_of
from bev_perception.ros.messages import time_msg
from bev_perception.ros.node import BevNode
from support.sample_drive.rig import camera_ring

TIMEOUT_S = 60.0
START_NS = 1_700_000_000_000_000_000
LATCHED = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
OUTPUTS = {
    FrameStatus: '/bev_perception/frame_status',
    OccupancyGrid: '/bev_perception/occupancy',
    BevObjectArray: '/bev_perception/objects',
}
STATES = {
    getattr(CameraStatus, name): name
    for name in dir(CameraStatus)
    if name.isupper() and isinstance(getattr(CameraStatus, name), int)
}


def stamp_of(frame: int, period_s: float = 0.1) -> int:
    """Returns the stamp of the k-th frame."""
    return START_NS + round(frame * period_s * 1e9)


class NodeHarness:
    """Runs a configured and active node; everything happens in `spin_until`.

    Args:
        model: model folder.
        cameras: of the rig; given to the node by parameters, CameraInfo and /tf_static.
        parameters: further parameters of the node.
        rig_file: given to the node instead of cameras by parameters.
        with_tf: publish the cameras' placements.
    """

    @staticmethod
    def default_cameras() -> tuple[Camera, ...]:
        """Returns six small cameras that see all around."""
        return camera_ring(6, 64, 48, hfov_deg=75.0)

    def __init__(
        self,
        model: Path,
        cameras: tuple[Camera, ...] | None = None,
        parameters: Mapping[str, Any] | None = None,
        rig_file: Path | None = None,
        with_tf: bool = True,
    ) -> None:
        self.cameras = cameras or self.default_cameras()
        self._with_tf = with_tf
        self.node = BevNode(parameter_overrides=self._overrides(model, parameters, rig_file))
        self.probe = rclpy.create_node('probe')
        self.executor = SingleThreadedExecutor()
        for node in (self.node, self.probe):
            self.executor.add_node(node)
        self.received: dict[type, list[Any]] = {}
        self._listeners: dict[type, Any] = {}
        self._listen(ModelInfo, '/bev_perception/model_info', LATCHED)
        self._listen(DiagnosticArray, '/diagnostics', 50)
        self.listen_again()
        make = self.probe.create_publisher
        self.images = {c.name: make(Image, f'/{c.name}/image', 10) for c in self.cameras}
        self.infos = {c.name: make(CameraInfo, f'/{c.name}/camera_info', 10) for c in self.cameras}
        self.odometry = make(Odometry, '/odom', 10)
        self.tf_static = make(TFMessage, '/tf_static', LATCHED)

    def __enter__(self) -> NodeHarness:
        self.node.trigger_configure()
        self.node.trigger_activate()
        if self._with_tf:
            self.publish_transforms()
        self.spin_until(self._connected)
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.probe.destroy_node()

    def publish_transforms(self) -> None:
        """Publishes the placement of every camera."""
        self.tf_static.publish(TFMessage(transforms=[transform_msg(c) for c in self.cameras]))

    def spin_until(self, done: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
        """Spins until `done()` is true and returns it; fails when that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not (result := done()):
            assert time.monotonic() < deadline, f'timed out; statuses: {self.states()[-3:]}'
            self.executor.spin_once(timeout_sec=0.05)
        return result

    def send(
        self,
        frame: int,
        only: set[str] | None = None,
        edit: Mapping[str, Callable[[Image], Image]] | None = None,
        period_s: float = 0.1,
        with_info: bool = True,
    ) -> None:
        """Publishes one image (and CameraInfo) per camera, and the ego pose, at one stamp."""
        stamp_ns = stamp_of(frame, period_s)
        self.odometry.publish(odometry_msg(stamp_ns))
        for camera in self.cameras:
            if only is not None and camera.name not in only:
                continue
            if with_info:
                self.infos[camera.name].publish(info_msg(camera, stamp_ns))
            message = image_msg(camera, stamp_ns)
            if edit and camera.name in edit:
                message = edit[camera.name](message)
            self.images[camera.name].publish(message)

    def step(self, frame: int, **options: Any) -> FrameStatus:
        """Sends one frame and returns the status of the output that it becomes."""
        self.send(frame, **options)
        stamp_ns = stamp_of(frame, options.get('period_s', 0.1))
        return self.spin_until(lambda: self.status_at(stamp_ns))

    def status_at(self, stamp_ns: int) -> FrameStatus | None:
        """Returns the status with a stamp, if it has come."""
        return self._at(FrameStatus, stamp_ns)

    def grid_at(self, stamp_ns: int) -> OccupancyGrid:
        """Returns the occupancy grid with a stamp, waiting for it."""
        return self.spin_until(lambda: self._at(OccupancyGrid, stamp_ns))

    def states(self) -> list[dict[str, str]]:
        """Returns the camera states of every status so far, by camera."""
        return [camera_states(s) for s in self.received[FrameStatus]]

    def diagnosis(self, camera: str, contains: str) -> Any:
        """Waits until the diagnostics of a camera contain a text; returns that entry."""

        def found() -> Any:
            for array_msg in reversed(self.received[DiagnosticArray]):
                for status in array_msg.status:
                    if status.name.endswith(f'camera {camera}') and contains in status.message:
                        return status
            return None

        return self.spin_until(found)

    def diagnosis_of_pipeline(self, contains: str) -> Any:
        """Waits until the newest diagnostics of the pipeline contain a text."""

        def found() -> Any:
            newest = self.received[DiagnosticArray][-1:]
            return newest if newest and contains in newest[0].status[0].message else None

        return self.spin_until(found)

    def forget_outputs(self, keep: tuple[type, ...]) -> None:
        """Stops listening to the node's outputs and waits until the node knows."""
        for kind in set(OUTPUTS) - set(keep):
            self.probe.destroy_subscription(self._listeners.pop(kind))
        self.spin_until(
            lambda: all(
                bool(self.node.count_subscribers(topic)) == (kind in keep)
                for kind, topic in OUTPUTS.items()
            )
        )

    def listen_again(self) -> None:
        """Listens to every output that is not listened to."""
        for kind, topic in OUTPUTS.items():
            if kind not in self._listeners:
                self._listen(kind, topic, 50)
        self.spin_until(lambda: all(self.node.count_subscribers(t) for t in OUTPUTS.values()))

    def _at(self, kind: type, stamp_ns: int) -> Any:
        wanted = time_msg(stamp_ns)
        return next((m for m in self.received[kind] if m.header.stamp == wanted), None)

    def _listen(self, kind: type, topic: str, qos: Any) -> None:
        received = self.received.setdefault(kind, [])
        self._listeners[kind] = self.probe.create_subscription(kind, topic, received.append, qos)

    def _connected(self) -> bool:
        publishers = [*self.images.values(), *self.infos.values(), self.odometry, self.tf_static]
        heard = [self.probe.count_publishers(topic) for topic in OUTPUTS.values()]
        connected = all(p.get_subscription_count() for p in publishers if p in self._needed())
        return connected and all(heard) and bool(self.received[ModelInfo])

    def _needed(self) -> list[Any]:
        """Publishers that the node subscribes to (a rig file may make some superfluous)."""
        topics = {
            t for t, _ in self.probe.get_subscriber_names_and_types_by_node('bev_perception', '/')
        }
        everything = [*self.images.values(), *self.infos.values(), self.odometry, self.tf_static]
        images = list(self.images.values())
        return [p for p in everything if p.topic_name in topics] + images

    def _overrides(
        self, model: Path, parameters: Mapping[str, Any] | None, rig_file: Path | None
    ) -> list[Parameter]:
        values: dict[str, Any] = {'model': str(model), 'diagnostics.period_s': 0.2}
        if rig_file is not None:
            values['rig_file'] = str(rig_file)
        else:
            values['cameras'] = [c.name for c in self.cameras]
            for camera in self.cameras:
                values[f'camera.{camera.name}.image_topic'] = f'/{camera.name}/image'
        values.update(parameters or {})
        return [Parameter(name, value=value) for name, value in values.items()]


def camera_states(status: FrameStatus) -> dict[str, str]:
    """Returns state names by camera."""
    return {c.name: STATES[c.state] for c in status.cameras}


def image_msg(camera: Camera, stamp_ns: int) -> Image:
    """Returns an rgb8 image with a pattern of its own per camera."""
    seed = sum(camera.name.encode())
    pixels = np.random.default_rng(seed).integers(0, 256, (camera.height, camera.width, 3))
    message = Image(
        height=camera.height, width=camera.width, encoding='rgb8', step=3 * camera.width
    )
    message.header.stamp = time_msg(stamp_ns)
    message.header.frame_id = camera.frame_id
    message.data = array.array('B', pixels.astype(np.uint8).tobytes())
    return message


def info_msg(camera: Camera, stamp_ns: int) -> CameraInfo:
    """Returns the camera's calibration."""
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model='plumb_bob')
    message.header.stamp = time_msg(stamp_ns)
    message.header.frame_id = camera.frame_id
    message.k = camera.K.ravel()
    message.r = np.eye(3).ravel()
    message.p = np.hstack([camera.K, np.zeros((3, 1))]).ravel()
    message.d = array.array('d', [0.0] * 5)
    return message


def transform_msg(camera: Camera) -> TransformStamped:
    """Returns base_link to the camera's optical frame."""
    message = TransformStamped(child_frame_id=camera.frame_id)
    message.header.frame_id = 'base_link'
    x, y, z = camera.base_T_camera[:3, 3]
    qx, qy, qz, qw = quaternion_of(camera.base_T_camera)
    message.transform.translation = Vector3(x=float(x), y=float(y), z=float(z))
    message.transform.rotation = Quaternion(x=float(qx), y=float(qy), z=float(qz), w=float(qw))
    return message


def odometry_msg(stamp_ns: int) -> Odometry:
    """Returns an ego pose that drives forward at 5 m/s."""
    message = Odometry(child_frame_id='base_link')
    message.header.stamp = time_msg(stamp_ns)
    message.header.frame_id = 'odom'
    message.pose.pose = Pose(
        position=Point(x=5.0 * (stamp_ns - START_NS) / 1e9), orientation=Quaternion(w=1.0)
    )
    return message
