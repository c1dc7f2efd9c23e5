"""Many road users interpolated at once, exactly as `Track.state` does one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bev_trainer.world.tracks import Track

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class TrackSamples:
    """The samples of all tracks in one table.

    Args:
        tracks: in the order by which they are counted.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        counts = np.array([len(track.samples) for track in tracks], np.int64)
        self._samples = np.concatenate([np.zeros((0, 8)), *(track.samples for track in tracks)])
        self._first = np.cumsum(counts) - counts
        self._count = counts
        self._start_s = np.array([track.start_s for track in tracks], np.float64)
        self._end_s = np.array([track.end_s for track in tracks], np.float64)
        self._step_s = np.array([track.step_s for track in tracks], np.float64)
        self._parked = np.array([track.parked for track in tracks], bool)

    def at(self, time_s: float) -> tuple[IntArray, FloatArray]:
        """Returns (index [n] of the tracks that exist at a world time, states [n, 8]).

        A state is x_m, y_m, yaw_rad, vx_mps, vy_mps, ax_mps2, ay_mps2, travelled_m, as in
        `MotionState`.
        """
        exists = self._parked | ((self._start_s <= time_s) & (time_s <= self._end_s))
        index = np.flatnonzero(exists)
        moving = self._count[index] > 1
        start_s = np.where(moving, self._start_s[index], time_s)
        place = (time_s - start_s) / self._step_s[index]
        low = np.minimum(place.astype(np.int64), np.maximum(self._count[index] - 2, 0))
        share = (place - low)[:, None]
        row = self._first[index] + low
        after = row + moving
        return index, (1.0 - share) * self._samples[row] + share * self._samples[after]
