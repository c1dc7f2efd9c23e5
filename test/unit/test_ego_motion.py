from __future__ import annotations

import numpy as np
import pytest

from bev_perception.geometry.pose import pose_from_yaw, yaw_of
from bev_perception.inputs.ego_motion import EgoMotion, TransformEgoMotion
from bev_perception.inputs.transform_tree import TransformTree

S = 1_000_000_000
MS = 1_000_000


@pytest.fixture
def straight():
    motion = EgoMotion(max_extrapolation_s=0.2)
    for i in range(5):
        motion.add(S + i * 100 * MS, pose_from_yaw(i * 1.0, 0.0, 0.0, 0.1 * i))
    return motion


def test_between_samples(straight):
    pose = straight.pose_at(S + 250 * MS)
    assert pose[0, 3] == pytest.approx(2.5)
    assert yaw_of(pose) == pytest.approx(0.25)
    assert straight.pose_at(S + 200 * MS)[0, 3] == 2.0


def test_shortly_beyond_the_samples_the_motion_goes_on(straight):
    assert straight.pose_at(S + 500 * MS)[0, 3] == pytest.approx(5.0)
    assert yaw_of(straight.pose_at(S + 500 * MS)) == pytest.approx(0.5)
    assert straight.pose_at(S - 100 * MS)[0, 3] == pytest.approx(-1.0)
    assert straight.pose_at(S + 601 * MS) is None
    assert straight.pose_at(S - 201 * MS) is None


def test_covers_says_whether_waiting_could_help(straight):
    assert straight.covers(S + 400 * MS)
    assert not straight.covers(S + 401 * MS)
    assert not EgoMotion().covers(0)


def test_a_single_sample_counts_nearby():
    motion = EgoMotion()
    motion.add(S, pose_from_yaw(3.0, 0.0, 0.0, 0.0))
    assert motion.pose_at(S + 50 * MS)[0, 3] == 3.0
    assert motion.pose_at(S + 300 * MS) is None


def test_order_of_arrival_does_not_matter(straight):
    shuffled = EgoMotion()
    for i in (3, 0, 4, 1, 2, 1):
        shuffled.add(S + i * 100 * MS, pose_from_yaw(i * 1.0, 0.0, 0.0, 0.1 * i))
    for stamp in range(0, 450, 7):
        np.testing.assert_array_equal(
            shuffled.pose_at(S + stamp * MS), straight.pose_at(S + stamp * MS)
        )


def test_cleared_means_unknown(straight):
    straight.clear()
    assert straight.pose_at(S + 200 * MS) is None


def test_from_transforms():
    tree = TransformTree()
    for i in range(2):
        tree.set_transform('odom', 'base', S * i, pose_from_yaw(2.0 * i, 0, 0, 0), False)
    motion = TransformEgoMotion(tree, 'odom', 'base')
    assert motion.pose_at(S // 2)[0, 3] == pytest.approx(1.0)
    assert motion.covers(S // 2)
    assert not motion.covers(2 * S)
    assert motion.pose_at(2 * S) is None
