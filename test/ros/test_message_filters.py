"""The policies of message_filters, and what the collector does better in the same situation."""

# ruff: noqa: E402
from __future__ import annotations

import pytest

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')

from rclpy.lifecycle import TransitionCallbackReturn
from support.node_harness import NodeHarness, camera_states, stamp_of

from bev_perception.ros.compat import optional_module

INSTALLED = optional_module('message_filters') is not None


@pytest.mark.skipif(not INSTALLED, reason='message_filters is not installed')
@pytest.mark.parametrize('policy', ['approximate', 'exact'])
def test_whole_sets_pass(ros, tiny_model, policy):
    with NodeHarness(tiny_model, parameters={'sync.policy': policy}) as harness:
        for frame in range(3):
            status = harness.step(frame)
            assert set(camera_states(status).values()) == {'USED'}


@pytest.mark.skipif(not INSTALLED, reason='message_filters is not installed')
def test_one_dead_camera_silences_approximate_as_documented(ros, tiny_model):
    """Exactly the classic behaviour: nothing for incomplete sets, then all goes on."""
    with NodeHarness(tiny_model, parameters={'sync.policy': 'approximate'}) as harness:
        harness.step(0)
        others = {c.name for c in harness.cameras} - {'camera_2'}
        for frame in range(1, 4):
            harness.send(frame, only=others)
        harness.step(4)
        assert [harness.status_at(stamp_of(f)) is None for f in range(5)] == [
            False, True, True, True, False
        ]  # fmt: skip


@pytest.mark.skipif(INSTALLED, reason='message_filters is installed')
def test_refused_with_the_name_of_the_package_where_it_is_missing(ros, tiny_model, capfd):
    harness = NodeHarness(tiny_model, parameters={'sync.policy': 'approximate'})
    assert harness.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert harness.node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert "'message_filters', which is not installed" in capfd.readouterr().err
    harness.__exit__(None, None, None)
