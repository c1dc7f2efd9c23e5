"""Fewer frame sets out of many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from bev_perception.frame import FrameSet
from bev_perception.units import NS_PER_S

_EARLY_SHARE = 0.05  # of a period: stamps jitter


def thinned(frame_sets: Iterable[FrameSet], rate_hz: float, anchor_ns: int) -> Iterator[FrameSet]:
    """Yields the first frame set of every period, periods counted from an instant.

    With the stamp of a ground-truth frame as the anchor, frame sets at ground truth of that
    rate stay. A frame set that is early by a twentieth of a period belongs to the next one. After
    a jump in time it goes on with the next frame set.
    """
    last: tuple[int, int] | None = None
    for frames in frame_sets:
        periods = (frames.stamp_ns - anchor_ns) * rate_hz / NS_PER_S
        slot = frames.epoch, math.floor(periods + _EARLY_SHARE)
        if slot != last:
            last = slot
            yield frames
