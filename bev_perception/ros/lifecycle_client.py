"""Drives a lifecycle node from another process through its services."""

from __future__ import annotations

import threading
import time
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from bev_perception.errors import BevError

CALL_TIMEOUT_S = 60.0
POLL_S = 0.1


def wait_until_active(node: Node, target: str, stopping: threading.Event) -> None:
    """Returns when `target` is active, or when told to stop; `node` must be spinning elsewhere."""
    client: Any = node.create_client(GetState, f'{target}/get_state')
    try:
        while not stopping.is_set():
            if client.service_is_ready():
                state = _call(client, GetState.Request(), target, stopping)
                if state is not None and state.current_state.id == State.PRIMARY_STATE_ACTIVE:
                    return
            stopping.wait(POLL_S)
    finally:
        node.destroy_client(client)


def bring_up(node: Node, target: str, stopping: threading.Event) -> None:
    """Configures and activates `target`; `node` must be spinning elsewhere.

    Raises:
        BevError: the node did not appear in time or refused a transition.
    """
    client: Any = node.create_client(ChangeState, f'{target}/change_state')
    try:
        deadline = time.monotonic() + CALL_TIMEOUT_S
        while not client.service_is_ready():
            if time.monotonic() > deadline:
                raise BevError(f'node {target} did not appear within {CALL_TIMEOUT_S:.0f} s')
            if stopping.wait(POLL_S):
                raise BevError(f'node {target} ended before it could be configured; see its log')
        for name, number in (
            ('configure', Transition.TRANSITION_CONFIGURE),
            ('activate', Transition.TRANSITION_ACTIVATE),
        ):
            request = ChangeState.Request(transition=Transition(id=number))
            answer = _call(client, request, target, stopping)
            if answer is None or not answer.success:
                raise BevError(f'node {target} could not {name}; its log says why')
    finally:
        node.destroy_client(client)


def _call(client: Any, request: Any, target: str, stopping: threading.Event) -> Any:
    """Returns the answer of a service; None when told to stop meanwhile."""
    future = client.call_async(request)
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    deadline = time.monotonic() + CALL_TIMEOUT_S
    while not done.wait(POLL_S):
        if stopping.is_set():
            return None
        if time.monotonic() > deadline:
            raise BevError(f'node {target} did not answer within {CALL_TIMEOUT_S:.0f} s')
    return future.result()
