"""Starts ROS for a program; wrong ROS arguments become one clear line."""

from __future__ import annotations

import re
import sys

import rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from bev_perception.errors import ConfigError

_SOURCE_PLACE = re.compile(r',\s+at \S+:\d+')
_PREFIX = 'failed to initialize rcl: '


def init_ros(own_signals: bool = False) -> list[str]:
    """Initialises rclpy with the command line; returns the arguments that are not for ROS.

    Args:
        own_signals: the program handles SIGINT and SIGTERM itself.

    Raises:
        ConfigError: ROS arguments or a parameter file cannot be understood.
    """
    options = SignalHandlerOptions.NO if own_signals else SignalHandlerOptions.ALL
    try:
        rclpy.init(signal_handler_options=options)
        return remove_ros_args(sys.argv)[1:]
    except RuntimeError as error:  # rclpy's RCLError and UnknownROSArgsError
        reason = ' '.join(_SOURCE_PLACE.sub('', str(error)).removeprefix(_PREFIX).split())
        raise ConfigError(f'ROS arguments: {reason}') from error
