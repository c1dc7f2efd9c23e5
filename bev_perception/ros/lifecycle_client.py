"""Drives a lifecycle node from another process through its services.

A request or an answer can be lost while both sides are still discovering each other, so the state
is asked for again and again, and a transition is asked for again when nothing came of it.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from bev_perception.errors import BevError

TIMEOUT_S = 120.0
ANSWER_S = 2.0
RETRY_S = 5.0
POLL_S = 0.05


class LifecycleClient:
    """The life cycle of `target`, a fully qualified node name; `node` must spin elsewhere.

    Args:
        node: owner of the service clients.
        target: fully qualified name of the lifecycle node.
        stopping: set when waiting is to end, as when the target's process has ended.
    """

    def __init__(self, node: Node, target: str, stopping: threading.Event) -> None:
        self._node = node
        self._target = target
        self._stopping = stopping
        self._get: Any = node.create_client(GetState, f'{target}/get_state')
        self._change: Any = node.create_client(ChangeState, f'{target}/change_state')

    def close(self) -> None:
        """Ends the service clients."""
        for client in (self._get, self._change):
            self._node.destroy_client(client)

    def bring_up(self) -> None:
        """Configures and activates the node.

        Raises:
            BevError: the node did not appear, refused a transition, or waiting was ended.
        """
        self._reach(State.PRIMARY_STATE_INACTIVE, Transition.TRANSITION_CONFIGURE, 'configure')
        self._reach(State.PRIMARY_STATE_ACTIVE, Transition.TRANSITION_ACTIVATE, 'activate')

    def wait_until_active(self) -> None:
        """Returns when the node is active, however long that takes, or when told to stop."""
        while not self._stopping.is_set() and self.state() != State.PRIMARY_STATE_ACTIVE:
            self._stopping.wait(POLL_S)

    def state(self) -> int | None:
        """Returns the id of the node's state; None when it does not answer now."""
        if not self._get.service_is_ready():
            return None
        future = self._get.call_async(GetState.Request())
        deadline = time.monotonic() + ANSWER_S
        while not future.done():
            if self._stopping.wait(POLL_S) or time.monotonic() > deadline:
                self._get.remove_pending_request(future)
                return None
        return int(future.result().current_state.id)

    def _reach(self, wanted: int, transition: int, name: str) -> None:
        """Asks for a transition until the node is in the state behind it."""
        deadline = time.monotonic() + TIMEOUT_S
        asked: Any = None
        asked_s = 0.0
        start: int | None = None
        while (state := self.state()) != wanted:
            if self._stopping.is_set():
                raise BevError(f'node {self._target} ended before it could {name}')
            if time.monotonic() > deadline:
                raise BevError(f'node {self._target} could not {name} in {TIMEOUT_S:.0f} s')
            if state is None:
                continue
            start = state if start is None else start
            if asked is not None and asked.done() and not asked.result().success:
                raise BevError(f'node {self._target} could not {name}; its log says why')
            if state == start and (asked is None or time.monotonic() - asked_s > RETRY_S):
                request = ChangeState.Request(transition=Transition(id=transition))
                asked, asked_s = self._change.call_async(request), time.monotonic()
            self._stopping.wait(POLL_S)
