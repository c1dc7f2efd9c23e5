"""Our stand-ins against the real packages, where those are installed."""

# ruff: noqa: E402
from __future__ import annotations

import array

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.ros
pytest.importorskip('rclpy', reason='ROS 2 is not installed')
pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')

from builtin_interfaces.msg import Time as TimeMsg
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.time import Time
from sensor_msgs.msg import Image
from support.sample_drive.images import RAW_ENCODINGS, encode_raw

from bev_perception.errors import TransformUnavailable
from bev_perception.geometry.camera import Camera
from bev_perception.geometry.distortion import Distortion
from bev_perception.geometry.pose import make_pose, yaw_of
from bev_perception.inputs.conversion import image_from_msg, pose_from_msg
from bev_perception.inputs.image import decode
from bev_perception.inputs.transform_tree import TransformTree

S = 1_000_000_000


@pytest.mark.parametrize('encoding', RAW_ENCODINGS)
def test_image_decoding_equals_cv_bridge(encoding):
    cv_bridge = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    rng = np.random.default_rng(5)
    width, height = 32, 24
    smooth = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    data = encode_raw(smooth, encoding)
    message = Image(height=height, width=width, encoding=encoding, step=data.size // height)
    message.data = array.array('B', data.tobytes())
    try:
        theirs = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except cv_bridge.CvBridgeError as error:
        pytest.skip(f'cv_bridge cannot convert {encoding}: {error}')
    camera = Camera(
        'c', 'c', width, height, np.array([[20.0, 0, 16], [0, 20, 12], [0, 0, 1]]),
        Distortion('none'), np.eye(4),
    )  # fmt: skip
    np.testing.assert_array_equal(decode(image_from_msg(message), camera, 1), theirs)


def random_transform(rng, parent, child, stamp_ns):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = TimeMsg(sec=stamp_ns // S, nanosec=stamp_ns % S)
    x, y, z = rng.uniform(-5, 5, 3)
    qx, qy, qz, qw = Rotation.random(random_state=rng).as_quat()
    message.transform.translation = Vector3(x=float(x), y=float(y), z=float(z))
    message.transform.rotation = Quaternion(x=float(qx), y=float(qy), z=float(qz), w=float(qw))
    return message


def test_transform_tree_equals_tf2():
    """Random trees with static and moving frames, asked at random times, outside too."""
    tf2_ros = pytest.importorskip('tf2_ros', reason='tf2_ros is not installed')
    rng = np.random.default_rng(11)
    answered = refused = 0
    for _ in range(10):
        theirs, ours = tf2_ros.Buffer(), TransformTree()
        frames = ['base']
        for index in range(6):
            parent, child, static = frames[rng.integers(len(frames))], f'f{index}', index % 2 == 0
            for stamp in [100 * S] if static else np.sort(rng.integers(100 * S, 104 * S, 5)):
                message = random_transform(rng, parent, child, int(stamp))
                (theirs.set_transform_static if static else theirs.set_transform)(
                    *((message, 'test'))
                )
                ours.set_transform(
                    parent, child, int(stamp), pose_from_msg(message.transform), static
                )
            frames.append(child)
        for _ in range(40):
            target, source = rng.choice(frames, 2, replace=False)
            stamp = int(rng.integers(99 * S, 105 * S))
            try:
                expected = theirs.lookup_transform(target, source, Time(nanoseconds=stamp))
            except tf2_ros.TransformException:
                refused += 1
                with pytest.raises(TransformUnavailable):
                    ours.lookup(target, source, stamp)
                continue
            answered += 1
            np.testing.assert_allclose(
                ours.lookup(target, source, stamp), pose_from_msg(expected.transform), atol=1e-7
            )
    assert answered > 50 and refused > 50


def test_rotations_equal_tf_transformations():
    tf_transformations = pytest.importorskip(
        'tf_transformations', reason='tf_transformations is not installed'
    )
    for rotation in Rotation.random(50, random_state=3):
        quaternion = rotation.as_quat()
        pose = make_pose((0, 0, 0), quaternion)
        np.testing.assert_allclose(
            pose, tf_transformations.quaternion_matrix(quaternion), atol=1e-9
        )
        yaw = tf_transformations.euler_from_quaternion(quaternion)[2]
        assert yaw_of(pose) == pytest.approx(yaw, abs=1e-6)
