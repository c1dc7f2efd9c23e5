"""Headings of objects along their predicted paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bev_perception.geometry.pose import wrap_angle


def path_headings(
    xy_m: NDArray[np.float64], yaw_rad: NDArray[np.float64], noise_m: float
) -> NDArray[np.float64]:
    """Returns yaws [M, T + 1] that turn from the first ones [M] towards the direction of motion.

    The direction at a step is that of the chord between its neighbours (at the last step of a
    path, from the one before). Each step turns the yaw of the step before by the share w of the
    angle to it, w = s^4 / (s^4 + noise_m^4) with s the distance per step: nothing when standing
    still, half at a distance equal to the noise, all at several times it. A direction more than
    a quarter turn away counts as driving backwards, and keeps the heading.

    Args:
        xy_m: [M, T + 1, 2], NaN after the end of a path.
        yaw_rad: [M].
        noise_m: distance that a standing instance may seem to move.
    """
    yaws = np.repeat(yaw_rad[:, None], xy_m.shape[1], axis=1)
    for t in range(1, xy_m.shape[1]):
        step_m = xy_m[:, t] - xy_m[:, t - 1]
        if t + 1 < xy_m.shape[1]:
            chord_m = (xy_m[:, t + 1] - xy_m[:, t - 1]) / 2.0
            step_m = np.where(np.isfinite(chord_m), chord_m, step_m)
        power = np.sum(step_m**2, axis=-1) ** 2
        direction = np.arctan2(step_m[:, 1], step_m[:, 0])
        # Wrapped modulo half a turn: forwards or backwards, whichever is nearer.
        turn = wrap_angle(2.0 * (direction - yaws[:, t - 1])) / 2.0
        yaws[:, t] = wrap_angle(yaws[:, t - 1] + power / (power + noise_m**4) * turn)
    return yaws
