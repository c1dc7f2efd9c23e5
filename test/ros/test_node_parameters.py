"""Parameters: declared with type and range, unknown ones refused, some changeable at run time."""

# ruff: noqa: E402
from __future__ import annotations

import pytest

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')

from rclpy.parameter import Parameter
from support.node_harness import NodeHarness

from bev_perception.errors import ConfigError
from bev_perception.ros.node import BevNode
from bev_perception.ros.parameter_table import PARAMETERS

CAMERA = {'cameras': ['front'], 'camera.front.image_topic': '/front/image'}


def node_with(**values):
    merged = {**CAMERA, **{k.replace('__', '.'): v for k, v in values.items()}}
    return BevNode(
        parameter_overrides=[
            Parameter(name, value=value) for name, value in merged.items() if value is not None
        ]
    )


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'modle': 'nano'}, "'modle' is unknown; did you mean 'model'"),
        ({'sync__polizy': 'exact'}, "'sync.polizy' is unknown; did you mean 'sync.policy'"),
        ({'camera__rear__image_topic': '/x'}, "'camera.rear.image_topic' is unknown"),
        (
            {'sync__policy': 'psychic'},
            "'sync.policy' is 'psychic'; .*collector, approximate, exact",
        ),
        ({'sync__deadline_s': 'soon'}, "'sync.deadline_s' is 'soon'; it must be a float"),
        ({'sync__deadline_s': -1.0}, "'sync.deadline_s' is -1.0; it must be a float, 0.001 to 10"),
        ({'sync__max_misses': 0}, "'sync.max_misses' is 0; it must be a int, 1 to 1000"),
        ({'cameras': 'front'}, "'cameras' is 'front'; it must be a list of strings"),
        ({'rig_file': 'rig.yaml'}, "'rig_file' and 'cameras' are both set"),
        ({'cameras': None, 'camera__front__image_topic': None}, 'no cameras: set parameter'),
        ({'camera__front__image_topic': None}, "'camera.front.image_topic' is required"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(ros, values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        node_with(**values)
    assert '\n' not in str(caught.value)


def test_every_parameter_is_described_and_bounded(ros):
    node = node_with()
    for spec in PARAMETERS:
        descriptor = node.describe_parameter(spec.name)
        assert descriptor.description == spec.description
        assert descriptor.read_only == spec.read_only
        bounds = [*descriptor.integer_range, *descriptor.floating_point_range]
        assert [(b.from_value, b.to_value) for b in bounds] == (
            [] if spec.low is None else [(spec.low, spec.high)]
        )
    node.destroy_node()


def test_camera_info_topic_follows_the_image_topic(ros):
    node = node_with(
        cameras=['a', 'b', 'c'],
        camera__a__image_topic='/rig/a/image_raw',
        camera__b__image_topic='/rig/b/image_raw/compressed',
        camera__b__transport='compressed',
        camera__c__image_topic='picture',
        camera__front__image_topic=None,
    )
    topics = [source.camera_info_topic for source in node._settings.cameras]
    assert topics == ['/rig/a/camera_info', '/rig/b/camera_info', 'camera_info']
    node.destroy_node()


def test_only_some_change_at_run_time(ros):
    node = node_with()
    (model,) = node.set_parameters([Parameter('model', value='other')])
    assert not model.successful
    (high,) = node.set_parameters([Parameter('min_score', value=3.0)])
    assert not high.successful
    (score,) = node.set_parameters([Parameter('min_score', value=0.5)])
    assert score.successful
    node.destroy_node()


def test_min_score_takes_effect_on_the_next_frame(ros, tiny_model):
    with NodeHarness(tiny_model) as harness:
        harness.step(0)
        objects = harness.spin_until(lambda: harness.received[kind_of(harness)])[-1].objects
        scores = sorted(o.existence_probability for o in objects)
        assert len(scores) >= 4
        limit = (scores[1] + scores[2]) / 2
        assert harness.node.set_parameters([Parameter('min_score', value=limit)])[0].successful
        harness.step(1)
        harness.spin_until(lambda: len(harness.received[kind_of(harness)]) == 2)
        later = harness.received[kind_of(harness)][-1].objects
        assert later
        assert min(o.existence_probability for o in later) >= limit


def kind_of(harness):
    from bev_perception.msg import BevObjectArray

    return BevObjectArray
