from __future__ import annotations

import math

import numpy as np
import pytest

from bev_perception.errors import TransformUnavailable
from bev_perception.geometry.pose import pose_from_yaw, yaw_of
from bev_perception.inputs.transform_tree import TransformTree

S = 1_000_000_000


@pytest.fixture
def tree():
    tree = TransformTree()
    tree.set_transform('base_link', 'mast', 0, pose_from_yaw(1.0, 0.0, 2.0, math.pi / 2), True)
    tree.set_transform('mast', 'camera', 0, pose_from_yaw(0.5, 0.0, 0.0, 0.0), True)
    tree.set_transform('odom', 'base_link', 10 * S, pose_from_yaw(0.0, 0.0, 0.0, 0.0), False)
    tree.set_transform('odom', 'base_link', 12 * S, pose_from_yaw(4.0, 2.0, 0.0, 1.0), False)
    return tree


def test_chain_by_hand(tree):
    """The camera is 0.5 m along the mast's x, which points to the left of the vehicle."""
    base_T_camera = tree.lookup('base_link', 'camera', 5 * S)
    np.testing.assert_allclose(base_T_camera[:3, 3], [1.0, 0.5, 2.0], atol=1e-12)
    assert yaw_of(base_T_camera) == pytest.approx(math.pi / 2)


def test_inverse_direction_and_siblings(tree):
    tree.set_transform('base_link', 'lidar', 0, pose_from_yaw(0.0, 0.0, 2.0, 0.0), True)
    lidar_T_camera = tree.lookup('lidar', 'camera', 0)
    np.testing.assert_allclose(lidar_T_camera[:3, 3], [1.0, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(
        lidar_T_camera @ tree.lookup('camera', 'lidar', 0), np.eye(4), atol=1e-12
    )


def test_moving_transforms_are_interpolated(tree):
    odom_T_base = tree.lookup('odom', 'base_link', 11 * S)
    np.testing.assert_allclose(odom_T_base[:3, 3], [2.0, 1.0, 0.0], atol=1e-12)
    assert yaw_of(odom_T_base) == pytest.approx(0.5)


@pytest.mark.parametrize(('stamp', 'text'), [(9, '1.000 s after'), (13, '1.000 s before')])
def test_no_extrapolation(tree, stamp, text):
    with pytest.raises(TransformUnavailable, match=text):
        tree.lookup('odom', 'base_link', stamp * S)


def test_unknown_frames_are_named(tree):
    with pytest.raises(TransformUnavailable, match="'base_link' and 'nowhere' are not connected"):
        tree.lookup('base_link', 'nowhere', 0)


def test_a_loop_is_refused(tree):
    tree.set_transform('camera', 'odom', 0, np.eye(4), True)
    with pytest.raises(TransformUnavailable, match='loop'):
        tree.lookup('odom', 'camera', 11 * S)


def test_clearing_forgets_only_what_moves(tree):
    tree.clear_moving()
    tree.lookup('base_link', 'camera', 0)
    with pytest.raises(TransformUnavailable):
        tree.lookup('odom', 'base_link', 11 * S)


def test_history_is_bounded():
    tree = TransformTree(history_s=5.0)
    for i in range(100):
        tree.set_transform('odom', 'base_link', i * S, pose_from_yaw(i, 0, 0, 0), False)
    assert tree.lookup('odom', 'base_link', 94 * S)[0, 3] == 94
    with pytest.raises(TransformUnavailable):
        tree.lookup('odom', 'base_link', 93 * S)


def test_out_of_order_samples_are_sorted_in():
    tree = TransformTree()
    for i in (3, 1, 2):
        tree.set_transform('odom', 'base_link', i * S, pose_from_yaw(i * i, 0, 0, 0), False)
    assert tree.lookup('odom', 'base_link', round(2.5 * S))[0, 3] == pytest.approx(6.5)
