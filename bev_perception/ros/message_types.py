"""Message classes and definitions by name, for tools that handle any topic."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from bev_perception.errors import BevError


def message_class(name: str) -> type[Any] | None:
    """Returns the class of a type such as 'sensor_msgs/msg/Image'; None when not installed."""
    package, _, short = name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), short)
    except (ImportError, AttributeError):
        return None


class MessageDefinitions:
    """Definitions of message types: those rosbags knows, and those of installed packages."""

    def __init__(self) -> None:
        self.store: Typestore = get_typestore(Stores.ROS2_KILTED)

    def require(self, name: str) -> None:
        """Makes sure that `store` knows a type and all it is built from.

        Raises:
            BevError: the definition is not installed.
        """
        if name in self.store.fielddefs:
            return
        types = get_types_from_msg(_definition_file(name).read_text(encoding='utf-8'), name)
        self.store.register({name: types[name]})
        for dependency in _field_types(types[name]):
            self.require(dependency)


def _definition_file(name: str) -> Path:
    package, _, short = name.partition('/msg/')
    try:
        path = Path(get_package_share_directory(package)) / 'msg' / f'{short}.msg'
    except PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise BevError(f'message type {name}: its definition is not installed')
    return path


def _field_types(definition: Any) -> set[str]:
    """Returns the names of the message types among the fields of a definition."""
    found: set[str] = set()
    _, fields = definition
    stack = [kind for _, kind in fields]
    while stack:
        item = stack.pop()
        if isinstance(item, str) and '/msg/' in item:
            found.add(item)
        elif isinstance(item, tuple | list):
            stack.extend(item)
    return found
