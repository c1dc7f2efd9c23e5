"""System tests start whole processes, each test in a ROS domain of its own."""

from __future__ import annotations

import itertools
import os

import pytest

DOMAINS = 100
_counter = itertools.count(1)


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    """Keeps a test apart from all others, those whose nodes live on in this process included."""
    base = int(os.environ.get('ROS_DOMAIN_ID', os.getpid()))
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + (base + next(_counter)) % DOMAINS))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture
def built():
    """Skips where ROS or the messages of this package are missing."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    pytest.importorskip('bev_perception.msg', reason='the messages of this package are not built')
