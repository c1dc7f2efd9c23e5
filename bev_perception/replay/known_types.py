"""Message definitions for recordings that hold none (sqlite3 of ROS 2 Humble)."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from bev_perception.paths import PACKAGE, share_dir


@cache
def known_types() -> Typestore:
    """Returns the definitions of ROS's common messages and of this package's own.

    Raises:
        ConfigError: the package was installed without its data.
    """
    store = get_typestore(Stores.ROS2_KILTED)
    store.register(own_types())
    return store


def own_types() -> dict[str, Any]:
    """Returns the definitions of this package's messages, as `Typestore.register` takes them.

    Raises:
        ConfigError: the package was installed without its data.
    """
    own: dict[str, Any] = {}
    for path in sorted((share_dir() / 'msg').glob('*.msg')):
        text = path.read_text(encoding='utf-8')
        own.update(get_types_from_msg(text, f'{PACKAGE}/msg/{path.stem}'))
    return own
