"""System tests start whole processes, in a ROS domain of their own."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture
def built():
    """Skips where ROS or the messages of this package are missing."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')
