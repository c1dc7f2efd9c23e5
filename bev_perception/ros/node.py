"""The lifecycle node: cameras in, occupancy, objects and trajectories out."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from bev_perception.errors import BevError
from bev_perception.geometry.rig_file import load_rig_file
from bev_perception.inputs.calibration import CameraSource
from bev_perception.inputs.rig_sources import sources_from_rig_file
from bev_perception.model.folder import load_model
from bev_perception.paths import model_folder
from bev_perception.pipeline import BevPipeline, PipelineConfig
from bev_perception.ros.diagnostics import diagnostics_msg
from bev_perception.ros.parameters import NodeParameters, declare_parameters
from bev_perception.ros.parent_watch import follow_parent
from bev_perception.ros.processor import FrameProcessor, ProcessorSettings
from bev_perception.ros.startup import init_ros
from bev_perception.ros.subscriptions import InputSubscriptions

POLL_PERIOD_S = 0.02
Transition = Callable[..., TransitionCallbackReturn]
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


@dataclass(frozen=True)
class _Rig:
    """Where the inputs come from, out of a rig file or out of parameters."""

    sources: tuple[CameraSource, ...]
    base_frame: str
    odometry_topic: str


def _reported(transition: Transition) -> Transition:
    """Returns a transition callback whose unforeseen exceptions reach the log.

    rclpy turns them into ERROR without a word.
    """

    @functools.wraps(transition)
    def call(node: BevNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().error(f'{transition.__name__} failed:\n{traceback.format_exc()}')
            return TransitionCallbackReturn.ERROR

    return call


class BevNode(LifecycleNode):
    """Inputs, pipeline and outputs under ROS 2 life cycle management.

    Configuring loads the rig and the model and creates the publishers; activating creates the
    subscriptions and starts the worker. A failed configuration leaves the node unconfigured,
    with the reason in the log, so that it can be tried again.

    Raises:
        ConfigError: a parameter is wrong or unknown.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('bev_perception', **kwargs)
        self._steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._rig: _Rig | None = None
        self._processor: FrameProcessor | None = None
        self._inputs: InputSubscriptions | None = None
        self._active_timers: list[Any] = []
        self._jump_handle: Any = None
        try:
            self._settings = declare_parameters(self)
        except BevError:
            self.destroy_node()
            raise
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)

    @_reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads rig and model, warms the model up and creates the publishers."""
        settings = self._settings
        try:
            self._rig = read_rig(settings)
            pipeline = _load_pipeline(settings)
            pipeline.warm_up(len(self._rig.sources))
        except BevError as error:
            self.get_logger().error(f'cannot configure: {error}')
            return FAILURE
        self._processor = FrameProcessor(
            self, pipeline, self._processor_settings, self._rig.base_frame
        )
        names = ', '.join(s.name for s in self._rig.sources)
        self.get_logger().info(
            f'configured: model {pipeline.loaded.model_id} on {pipeline.device}; cameras {names}'
        )
        return super().on_configure(state)

    @_reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Creates the subscriptions and starts processing."""
        assert self._rig is not None and self._processor is not None
        result = super().on_activate(state)
        settings = replace(self._settings, base_frame=self._rig.base_frame)
        try:
            self._inputs = InputSubscriptions(
                self,
                self._rig.sources,
                settings,
                self._rig.odometry_topic,
                self._processor.submit,
            )
        except BevError as error:
            self.get_logger().error(f'cannot activate: {error}')
            super().on_deactivate(state)
            return FAILURE
        self._processor.start()
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jump_handle = self.get_clock().create_jump_callback(
            threshold, post_callback=self._on_time_jump
        )
        self._active_timers = [
            self.create_timer(POLL_PERIOD_S, self._inputs.poll, clock=self._steady_clock),
            self.create_timer(
                settings.diagnostics_period_s, self._publish_diagnostics, clock=self._steady_clock
            ),
        ]
        return result

    @_reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops processing and ends the subscriptions; the model stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    @_reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model and the publishers."""
        self._free()
        return SUCCESS

    @_reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything from whatever state."""
        self._free()
        return SUCCESS

    @_reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything; the node is unconfigured and can be tried again."""
        self._free()
        return SUCCESS

    def destroy_node(self) -> None:
        """Frees everything, then the node."""
        self._free()
        super().destroy_node()

    def _stop(self) -> None:
        for timer in self._active_timers:
            self.destroy_timer(timer)
        self._active_timers = []
        if self._jump_handle is not None:
            self._jump_handle.unregister()
            self._jump_handle = None
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        if self._processor is not None:
            self._processor.stop()

    def _free(self) -> None:
        self._stop()
        if self._processor is not None:
            self._processor.close()
            self._processor = None

    def _on_time_jump(self, jump: Any) -> None:
        if self._inputs is not None:
            self.get_logger().warning('time jumped: past images and poses are forgotten')
            self._inputs.reset()

    def _publish_diagnostics(self) -> None:
        if self._processor is None or self._inputs is None:
            return
        health = replace(
            self._processor.health(),
            cameras=self._inputs.statistics(),
            topic_problems=self._inputs.problems(),
        )
        self._diagnostics.publish(
            diagnostics_msg(
                self.get_fully_qualified_name(),
                self.get_clock().now(),
                health,
                self._settings.diagnostics_max_age_s,
            )
        )

    def _processor_settings(self) -> ProcessorSettings:
        min_score = self.get_parameter('min_score').value
        return ProcessorSettings(
            always_run=self.get_parameter('always_run').value,
            min_score=None if min_score < 0 else min_score,
            marker_lifetime_s=self.get_parameter('markers.lifetime_s').value,
        )


def read_rig(settings: NodeParameters) -> _Rig:
    """Returns the rig of the parameters.

    Raises:
        BevError: the rig file cannot be used.
    """
    if not settings.rig_file:
        return _Rig(
            settings.cameras,
            settings.base_frame or 'base_link',
            settings.odometry_topic or 'odom',
        )
    rig = load_rig_file(Path(settings.rig_file))
    return _Rig(
        sources_from_rig_file(rig),
        settings.base_frame or rig.base_frame,
        settings.odometry_topic or rig.odometry_topic or 'odom',
    )


def _load_pipeline(settings: NodeParameters) -> BevPipeline:
    if settings.threads:
        torch.set_num_threads(settings.threads)
    loaded = load_model(model_folder(settings.model))
    return BevPipeline(loaded, PipelineConfig(device=settings.device))


def main() -> int:
    """Runs the node until it is told to end; returns the exit code."""
    try:
        init_ros()
        node = BevNode()
    except BevError as error:
        print(f'bev_node: error: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    follow_parent(rclpy.try_shutdown)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
