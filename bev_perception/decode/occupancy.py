"""Occupancy ahead in time, from occupancy now and the motion of what can move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def future_occupancy(
    occupancy: NDArray[np.float32], movable: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Returns the probability that a cell is occupied at each step ahead.

    What is occupied now by something that cannot move stays; what can move is where the motion
    head says. A cell is occupied when either holds, and the more probable one is taken.

    Args:
        occupancy: [Y, X] probability that the cell is occupied now, by anything.
        movable: [T + 1, Y, X] probability that a movable object is in the cell, t = 0 is now.

    Returns:
        float32 [T, Y, X], t = 1..T.
    """
    static = occupancy * (1.0 - movable[0])
    return np.maximum(static[None], movable[1:]).astype(np.float32)
