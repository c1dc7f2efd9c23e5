"""Starts the ROS programs, or says in one line what they lack; importable without ROS."""

from __future__ import annotations

import sys
from importlib import import_module

from bev_perception.errors import RosUnavailableError


def require_ros() -> None:
    """Checks that rclpy and this package's messages can be imported.

    Raises:
        RosUnavailableError: one line, what is missing and how to get it.
    """
    try:
        import_module('rclpy')
    except ImportError as error:
        raise RosUnavailableError(
            f'ROS 2 is missing ({_one_line(error)}): source a ROS 2 environment, or in a clone of '
            'bev_perception run scripts/setup and then "source scripts/env.sh"'
        ) from error
    try:
        import_module('bev_perception.msg')
    except ImportError as error:
        raise RosUnavailableError(
            f'the messages of bev_perception are missing ({_one_line(error)}): build the package '
            'with "colcon build", then "source install/setup.bash"'
        ) from error


def bev_node() -> int:
    """Runs the perception node; returns its exit code."""
    return _run('bev_perception.ros.node')


def bev_bag_player() -> int:
    """Runs the bag player; returns its exit code."""
    return _run('bev_perception.ros.bag_player')


def bev_bag_recorder() -> int:
    """Runs the bag recorder; returns its exit code."""
    return _run('bev_perception.ros.bag_recorder')


def _run(module: str) -> int:
    try:
        require_ros()
    except RosUnavailableError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return import_module(module).main()


def _one_line(error: ImportError) -> str:
    return ' '.join(str(error).split())
