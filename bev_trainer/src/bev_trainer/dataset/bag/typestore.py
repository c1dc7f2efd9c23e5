"""Definitions of the messages that recordings of drives hold."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from bev_perception.evaluation.truth.message_types import VISION_MSGS
from bev_perception.replay.known_types import own_types


@cache
def recording_types() -> Typestore:
    """Returns ROS's common messages, those of bev_perception and those of vision_msgs.

    Raises:
        ConfigError: bev_perception was installed without its data.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(own_types())
    for name, text in VISION_MSGS.items():
        store.register(get_types_from_msg(text, f'vision_msgs/msg/{name}'))
    return store


def new_message(name: str, **fields: Any) -> Any:
    """Returns a message of a type such as 'std_msgs/Header' with all its fields given."""
    return _message_class(name)(**fields)


@cache
def _message_class(name: str) -> Any:
    package, _, kind = name.partition('/')
    types: dict[str, Any] = dict(recording_types().types)
    return types[f'{package}/msg/{kind}']
