"""Ends a program when the one that started it is gone, so that no node is orphaned.

`ros2 launch` that dies of SIGTERM leaves its nodes running; launch files and the demo therefore
set the environment variable below for the processes that they start.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

EXIT_WITH_PARENT = 'BEV_EXIT_WITH_PARENT'
PERIOD_S = 1.0


def follow_parent(on_gone: Callable[[], object]) -> None:
    """Calls `on_gone` once when the parent process has ended; only where it was asked for."""
    if not os.environ.get(EXIT_WITH_PARENT):
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            never.wait(PERIOD_S)
        on_gone()

    never = threading.Event()
    threading.Thread(target=watch, name='bev_parent_watch', daemon=True).start()
