"""What is known about one camera's stream: rate, timing, and why images were not used."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from statistics import median

from bev_perception.inputs.state import CameraState
from bev_perception.units import NS_PER_S


@dataclass(frozen=True)
class CameraStatistics:
    """Counts since start and current timing of one camera.

    Attributes:
        received: images that arrived with a usable stamp.
        used: images that went into a released set.
        late: images whose set had been released before.
        missing: released sets without this camera.
        rejected: images refused before grouping, by reason.
        rate_hz: from the stamps of the latest images; None below two images.
        silence_s: since the latest arrival; None when nothing ever arrived.
        offset_s: mean of (stamp - trigger offset - set stamp) over the latest used images.
    """

    name: str
    received: int
    used: int
    late: int
    missing: int
    rejected: dict[str, int]
    rate_hz: float | None
    silence_s: float | None
    offset_s: float | None


class CameraTrack:
    """Running record of one camera; owned and written by the synchroniser."""

    def __init__(self, name: str, offset_ns: int) -> None:
        self.name = name
        self.offset_ns = offset_ns
        self.misses = 0
        self.jumped_back = False
        self.last_stamp_ns: int | None = None
        self._arrival_ns: int | None = None
        self._problem: tuple[CameraState, str, int | None] | None = None
        self._periods_ns: deque[int] = deque(maxlen=9)
        self._offsets_ns: deque[int] = deque(maxlen=50)
        self._received = self._used = self._late = self._missing = 0
        self._rejected: Counter[str] = Counter()

    @property
    def last_reference_ns(self) -> int | None:
        """Latest stamp minus the camera's trigger offset."""
        return None if self.last_stamp_ns is None else self.last_stamp_ns - self.offset_ns

    def period_ns(self) -> float | None:
        """Returns the median time between the latest stamps; None below two images."""
        return median(self._periods_ns) if self._periods_ns else None

    def silent_since(self, then_ns: int) -> bool:
        """Returns whether nothing has arrived since `then_ns`."""
        return self._arrival_ns is None or self._arrival_ns < then_ns

    def received(self, stamp_ns: int, now_ns: int) -> None:
        """Counts an image with a usable stamp."""
        self._received += 1
        self._arrival_ns = now_ns
        if self.last_stamp_ns is not None and stamp_ns > self.last_stamp_ns:
            self._periods_ns.append(stamp_ns - self.last_stamp_ns)
        self.last_stamp_ns = stamp_ns

    def used(self, offset_ns: int, arrival_ns: int) -> None:
        """Counts an image that went into a set, `offset_ns` after the set's stamp."""
        self._used += 1
        self._problem = None
        self.jumped_back = False
        self._offsets_ns.append(offset_ns)
        self._arrival_ns = arrival_ns

    def late(self, detail: str) -> None:
        """Counts an image whose set has gone."""
        self._late += 1
        self._problem = (CameraState.LATE, detail, self.last_stamp_ns)

    def reject(self, state: CameraState, detail: str, stamp_ns: int | None, now_ns: int) -> None:
        """Counts an image that was refused."""
        self._rejected[detail.split(' by ')[0]] += 1
        self._arrival_ns = now_ns
        self._problem = (state, detail, stamp_ns)

    def absence(self, now_ns: int) -> tuple[CameraState, str, int | None]:
        """Counts a set without this camera; returns (state, detail, stamp of latest image)."""
        self._missing += 1
        if self._arrival_ns is None:
            return CameraState.MISSING, 'no image yet', None
        silence_s = (now_ns - self._arrival_ns) / NS_PER_S
        fresh_s = max(1.0, 3 * (self.period_ns() or 0.0) / NS_PER_S)
        if self._problem is not None and silence_s <= fresh_s:
            return self._problem
        return CameraState.MISSING, f'no image for {silence_s:.2f} s', self.last_stamp_ns

    def restart(self) -> None:
        """Forgets stamps and timing after a time jump; counts stay."""
        self.misses = 0
        self.jumped_back = False
        self.last_stamp_ns = None
        self._problem = None
        self._periods_ns.clear()

    def snapshot(self, now_ns: int) -> CameraStatistics:
        """Returns the present figures."""
        period = self.period_ns()
        offsets = self._offsets_ns
        return CameraStatistics(
            name=self.name,
            received=self._received,
            used=self._used,
            late=self._late,
            missing=self._missing,
            rejected=dict(self._rejected),
            rate_hz=None if not period else NS_PER_S / period,
            silence_s=None if self._arrival_ns is None else (now_ns - self._arrival_ns) / NS_PER_S,
            offset_s=sum(offsets) / len(offsets) / NS_PER_S if offsets else None,
        )
