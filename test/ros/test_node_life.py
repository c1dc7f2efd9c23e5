"""The node's life cycle, time, idling and overload."""

# ruff: noqa: E402
from __future__ import annotations

import threading

import numpy as np
import pytest

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')

from bev_perception.msg import BevObjectArray, FrameStatus, ModelInfo
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from support.node_harness import NodeHarness, camera_states, info_msg, stamp_of

from bev_perception.geometry.pose import quaternion_of
from bev_perception.geometry.rig_file import (
    RigFile,
    RigFileCamera,
    RigFileIntrinsics,
    RigFilePose,
    save_rig_file,
)
from bev_perception.ros.messages import time_msg
from bev_perception.ros.node import BevNode


def test_model_info_is_latched_and_says_untrained(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        (info,) = harness.received[ModelInfo]
        assert (info.name, info.trained, info.horizon_steps) == ('tiny', False, 4)
        assert info.model_id.startswith('tiny-0.1.0-')
        assert (info.grid.width, info.grid.height, info.grid.resolution) == (32, 24, 1.0)
        assert (info.grid.origin.position.x, info.grid.origin.position.y) == (-12.0, -12.0)
        assert list(info.object_classes)[:2] == ['car', 'truck']
        status = harness.step(0)
        assert status.model_id == info.model_id


def test_status_counts_frames_and_times_every_stage(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        for frame in range(3):
            status = harness.step(frame)
        assert (status.sets_received, status.sets_processed, status.sets_dropped) == (3, 3, 0)
        names = [s.name for s in status.stages]
        assert names == [
            'wait', 'preprocess', 'geometry', 'encode', 'lift', 'memory', 'bev', 'heads', 'decode',
            'publish',
        ]  # fmt: skip
        assert status.latency_s >= sum(s.seconds for s in status.stages[1:-1]) > 0


def test_deactivated_is_silent_and_activated_goes_on(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        harness.step(0)
        assert harness.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert harness.node.count_subscribers('/camera_0/image') == 0
        harness.send(1)
        assert harness.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        harness.spin_until(harness._connected)
        harness.step(2)
        assert harness.status_at(stamp_of(1)) is None
        assert harness.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert harness.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert harness.node.trigger_configure() == TransitionCallbackReturn.SUCCESS


@pytest.mark.parametrize(
    ('name', 'value'), [('model', '/nowhere/model'), ('rig_file', '/nowhere/rig.yaml')]
)
def test_failed_configuration_leaves_the_node_unconfigured(ros, tiny_model, name, value):
    values = {'model': str(tiny_model), name: value}
    if name != 'rig_file':
        values |= {'cameras': ['a'], 'camera.a.image_topic': '/a'}
    node = BevNode(parameter_overrides=[Parameter(n, value=v) for n, v in values.items()])
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE  # still unconfigured
    node.destroy_node()


def test_a_rig_file_alone_is_enough(ros, tiny_model, tmp_path):
    """No CameraInfo and no transforms are ever published here."""
    cameras = tuple(
        RigFileCamera(
            name=c.name,
            image_topic=f'/{c.name}/image',
            transport='raw',
            frame_id=c.frame_id,
            intrinsics=RigFileIntrinsics(width=c.width, height=c.height, k=tuple(c.K.ravel())),
            base_T_camera=RigFilePose(
                translation_m=tuple(c.base_T_camera[:3, 3]),
                quaternion_xyzw=tuple(quaternion_of(c.base_T_camera)),
            ),
        )
        for c in NodeHarness.default_cameras()
    )
    path = tmp_path / 'rig.yaml'
    save_rig_file(RigFile(format=1, base_frame='base_link', cameras=cameras), path)
    with NodeHarness(tiny_model, rig_file=path, with_tf=False) as harness:
        status = harness.step(0, with_info=False)
        assert set(camera_states(status).values()) == {'USED'}


def test_calibration_changes_are_picked_up(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        before = harness.step(0).observed_share
        narrow = {}
        for camera in harness.cameras:
            message = info_msg(camera, stamp_of(1))
            message.k = message.k * np.array([4.0, 1, 1, 1, 4, 1, 1, 1, 1])
            narrow[camera.name] = message
        for name, message in narrow.items():
            harness.infos[name].publish(message)
        for frame in range(1, 20):
            after = harness.step(frame, with_info=False).observed_share
            if after < before:
                break
        assert after < 0.6 * before


def test_time_that_jumps_back_starts_anew(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        for frame in range(100, 104):
            harness.step(frame)
        harness.send(0)
        for frame in range(1, 4):
            harness.step(frame)
        ids = [
            {bytes(o.object_id.uuid) for o in m.objects} for m in harness.received[BevObjectArray]
        ]
        assert ids[0] & ids[1]
        assert not ids[3] & ids[-1]


def test_a_memory_that_lets_go_of_the_past_says_why(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        assert [harness.step(frame).past_dropped for frame in range(2)] == ['', '']
        why = harness.step(31).past_dropped  # frames are a tenth of a second apart
        assert why == '3.000 s without a frame, more than 2 s'
        said = harness.diagnosis_of_pipeline(f'past frames dropped: {why}')
        assert said[0].status[0].level == DiagnosticStatus.WARN
        assert harness.step(32).past_dropped == ''


def test_simulated_time_that_jumps_back_starts_anew(ros, tiny_model):
    with NodeHarness(tiny_model, parameters={'use_sim_time': True}) as harness:
        clock = harness.probe.create_publisher(Clock, '/clock', 10)
        harness.spin_until(clock.get_subscription_count)
        harness.spin_until(
            lambda: (
                clock.publish(Clock(clock=time_msg(stamp_of(50))))
                or harness.node.get_clock().now().nanoseconds == stamp_of(50)
            )
        )
        harness.step(50)
        epoch = harness.node._inputs._assembler.epoch
        harness.spin_until(
            lambda: (
                clock.publish(Clock(clock=time_msg(stamp_of(1))))
                or harness.node.get_clock().now().nanoseconds == stamp_of(1)
            )
        )
        assert harness.node._inputs._assembler.epoch > epoch
        harness.step(1)


def test_nothing_is_computed_while_nobody_listens(ros, tiny_model, monkeypatch):
    with NodeHarness(tiny_model) as harness:
        harness.step(0)
        steps = []
        pipeline = harness.node._processor._pipeline
        real = pipeline.step
        monkeypatch.setattr(
            pipeline, 'step', lambda frames, heads: steps.append(heads) or real(frames, heads)
        )
        harness.forget_outputs(keep=())
        harness.send(1)
        harness.spin_until(lambda: harness.node._processor.health().idle)
        assert steps == []
        harness.listen_again()
        harness.step(2)
        assert len(steps) == 1
        assert steps[0] == {'objects', 'motion', 'occupancy', 'trajectories'}


def test_only_the_wanted_heads_run(ros, tiny_model, monkeypatch):
    with NodeHarness(tiny_model) as harness:
        harness.forget_outputs(keep=(FrameStatus, BevObjectArray))
        steps = []
        pipeline = harness.node._processor._pipeline
        real = pipeline.step
        monkeypatch.setattr(
            pipeline, 'step', lambda frames, heads: steps.append(heads) or real(frames, heads)
        )
        harness.step(0)
        assert steps == [{'objects', 'motion', 'trajectories'}]


def test_a_slow_model_drops_whole_old_sets_and_blocks_nobody(ros, tiny_model, monkeypatch):
    with NodeHarness(tiny_model) as harness:
        harness.step(0)
        pipeline = harness.node._processor._pipeline
        real, held, release = pipeline.step, threading.Event(), threading.Event()

        def slow(frames, heads):
            held.set()
            assert release.wait(60)
            return real(frames, heads)

        monkeypatch.setattr(pipeline, 'step', slow)
        harness.send(1)
        harness.spin_until(held.is_set)
        for frame in range(2, 6):
            harness.send(frame)
            harness.spin_until(
                lambda f=frame: harness.node._processor.health().counts.received == f + 1
            )
        release.set()
        last = harness.spin_until(lambda: harness.status_at(stamp_of(5)))
        assert (last.sets_received, last.sets_processed, last.sets_dropped) == (6, 3, 3)
        stamps = [s.header.stamp for s in harness.received[FrameStatus]]
        assert stamps == [time_msg(stamp_of(f)) for f in (0, 1, 5)]


def test_a_failing_pipeline_is_reported_and_recovers(ros, tiny_model, monkeypatch):
    with NodeHarness(tiny_model) as harness:
        harness.step(0)
        pipeline = harness.node._processor._pipeline
        real = pipeline.step

        def fail(frames, heads):
            raise RuntimeError('out of memory')

        monkeypatch.setattr(pipeline, 'step', fail)
        harness.send(1)
        harness.diagnosis_of_pipeline('RuntimeError: out of memory')
        monkeypatch.setattr(pipeline, 'step', real)
        harness.step(2)
        harness.spin_until(lambda: not harness.node._processor.health().error)
        harness.diagnosis_of_pipeline('old when published')


def test_unforeseen_exceptions_of_a_transition_reach_the_log(ros, tiny_model, monkeypatch, capfd):
    def explode(settings):
        raise AttributeError('nobody thought of this')

    monkeypatch.setattr('bev_perception.ros.node.read_rig', explode)
    node = BevNode(
        parameter_overrides=[
            Parameter('cameras', value=['a']),
            Parameter('camera.a.image_topic', value='/a'),
        ]
    )
    assert node.trigger_configure() == TransitionCallbackReturn.ERROR
    node.destroy_node()
    log = capfd.readouterr().err
    assert 'on_configure failed' in log
    assert 'AttributeError: nobody thought of this' in log


def test_without_transforms_cameras_are_named_and_used_as_soon_as_they_come(ros, tiny_model):
    with NodeHarness(tiny_model, with_tf=False) as harness:
        status = harness.step(0)
        assert set(camera_states(status).values()) == {'NO_TRANSFORM'}
        assert 'base_link' in status.cameras[0].detail
        harness.publish_transforms()
        for frame in range(1, 20):
            if set(camera_states(harness.step(frame)).values()) == {'USED'}:
                return
        pytest.fail('the transforms were never used')


def test_incompatible_qos_is_in_the_diagnostics(ros, tiny_model):
    """A best-effort publisher never reaches a reliable subscription, and ROS does not tell."""
    parameters = {'qos.images.reliability': 'reliable'}
    with NodeHarness(tiny_model, parameters=parameters) as harness:
        harness.step(0)
        harness.probe.create_publisher(Image, '/camera_3/image', qos_profile_sensor_data)
        status = harness.diagnosis_of_pipeline('incompatible QoS')[0].status[0]
        assert '/camera_3/image' in {value.key for value in status.values}
