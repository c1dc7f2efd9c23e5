"""ROS tests: a domain of their own, and a context per test."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture
def ros() -> Iterator[None]:
    """Initialises rclpy for one test."""
    rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')
    rclpy.init()
    yield
    rclpy.try_shutdown()
    # The C side of a lifecycle node lives until its Python object is collected.
    gc.collect()
