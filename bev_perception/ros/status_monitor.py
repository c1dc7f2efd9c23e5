"""Follows the node's frame status from another process, and brings the node up."""

from __future__ import annotations

import threading
import time

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from bev_perception.errors import BevError
from bev_perception.msg import FrameStatus
from bev_perception.ros.child_process import ChildProcess
from bev_perception.ros.lifecycle_client import LifecycleClient

SILENT_S = 1.0
POLL_S = 0.05
GIVE_UP_S = 60.0


class StatusMonitor:
    """A ROS node of its own with its spinning thread; use as a context manager.

    Args:
        target: fully qualified name of the node.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node('bev_status_monitor')
        self._latest: FrameStatus | None = None
        self._latest_s = time.monotonic()
        self._stopping = threading.Event()
        self._node.create_subscription(FrameStatus, f'{target}/frame_status', self._take, 50)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._spinner = threading.Thread(target=self._spin, daemon=True)

    def __enter__(self) -> StatusMonitor:
        self._spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._executor.shutdown()
        self._spinner.join(timeout=5.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def bring_up(self, process: ChildProcess) -> None:
        """Configures and activates the node.

        Raises:
            BevError: it refused or its process ended; quotes its last line of output.
        """
        watcher = threading.Thread(target=self._stop_with, args=(process,), daemon=True)
        watcher.start()
        try:
            LifecycleClient(self._node, self._target, self._stopping).bring_up()
        except BevError as error:
            raise process.failure(f'cannot be used, {error}') from error

    def wait_until_done(self) -> FrameStatus:
        """Returns the last status once every set was processed or dropped and no more come.

        Raises:
            BevError: nothing was ever published, or the node does not come to an end.
        """
        begin_s = time.monotonic()
        while time.monotonic() - begin_s < GIVE_UP_S:
            latest = self._latest
            quiet_s = time.monotonic() - max(self._latest_s, begin_s)
            if latest is not None and quiet_s > SILENT_S and _settled(latest):
                return latest
            time.sleep(POLL_S)
        what = 'published no frame' if self._latest is None else 'did not finish its last frame'
        raise BevError(f'node {self._target} {what} within {GIVE_UP_S:.0f} s after the bag ended')

    def _take(self, status: FrameStatus) -> None:
        self._latest, self._latest_s = status, time.monotonic()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _stop_with(self, process: ChildProcess) -> None:
        while not self._stopping.wait(POLL_S):
            if process.ended():
                self._stopping.set()


def _settled(status: FrameStatus) -> bool:
    return status.sets_received <= status.sets_processed + status.sets_dropped
