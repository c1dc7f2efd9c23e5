"""What happens to a message between publisher and subscriber."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message


def over_the_wire(msg: Any) -> Any:
    """Returns the message as a subscriber gets it."""
    return deserialize_message(serialize_message(msg), type(msg))


def check_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes message classes check the types of their fields, as ROS_PYTHON_CHECK_FIELDS=1 does."""
    for name, module in list(sys.modules.items()):
        if '.msg._' in name and hasattr(module, 'ros_python_check_fields'):
            monkeypatch.setattr(module, 'ros_python_check_fields', '1')


def float32(value: float) -> float:
    return float(np.float32(value))
