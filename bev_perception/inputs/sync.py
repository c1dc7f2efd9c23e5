"""Groups the images of N cameras into sets of one instant, and says so when one is missing.

One *collector* per reference instant instead of exact matching: the reference of an image is its
stamp minus the known trigger offset of its camera; the image joins the nearest open collector
within a noise window, or opens a new one. A collector is released when every camera that is
alive has contributed, or at its deadline with what it has. Cost per image is O(open collectors),
memory is bounded, and released stamps are strictly increasing. No ROS, no clock of its own:
callers pass the time, so that a live node and a bag replay behave alike.

The idea of a collector with per-sensor offsets, noise windows and a timeout is that of the
concatenation and fusion nodes of Autoware (autoware_image_projection_based_fusion).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from bev_perception.errors import ConfigError
from bev_perception.inputs.camera_statistics import CameraStatistics, CameraTrack
from bev_perception.inputs.state import CameraState
from bev_perception.inputs.synced_set import Absence, SyncConfig, SyncedItem, SyncedSet, T
from bev_perception.units import NS_PER_S


@dataclass
class _Collector(Generic[T]):
    reference_ns: int
    opened_ns: int
    items: dict[int, SyncedItem[T]] = field(default_factory=dict)
    references_ns: list[int] = field(default_factory=list)

    def put(self, camera: int, reference_ns: int, item: SyncedItem[T]) -> None:
        self.items[camera] = item
        self.references_ns.append(reference_ns)

    def stamp_ns(self) -> int:
        return sorted(self.references_ns)[(len(self.references_ns) - 1) // 2]


class CameraSynchronizer(Generic[T]):
    """The collector synchroniser of `cameras`; see the module's description.

    Args:
        cameras: names, in the order in which sets list them.
        config: windows and deadlines.
        offsets_s: trigger offset per camera (stamp minus reference); 0 where absent.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        config: SyncConfig | None = None,
        offsets_s: Mapping[str, float] | None = None,
    ) -> None:
        if not cameras or len(set(cameras)) != len(cameras):
            raise ConfigError(f'sync: camera names must be given and differ, got {list(cameras)}')
        offsets = dict(offsets_s or {})
        unknown = sorted(set(offsets) - set(cameras))
        if unknown:
            raise ConfigError(f'sync: offsets for cameras that do not exist: {unknown}')
        self._config = config or SyncConfig()
        self._index = {name: i for i, name in enumerate(cameras)}
        self._tracks = [CameraTrack(n, round(offsets.get(n, 0.0) * NS_PER_S)) for n in cameras]
        self._open: list[_Collector[T]] = []
        self._released: deque[tuple[int, int]] = deque(maxlen=64)
        self._last_stamp_ns: int | None = None
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """Number of resets so far."""
        return self._epoch

    def add(self, camera: str, stamp_ns: int, item: T, now_ns: int) -> list[SyncedSet[T]]:
        """Takes one image; returns the sets that became ready, oldest first.

        Args:
            camera: name of the camera.
            stamp_ns: acquisition stamp of the image.
            item: whatever the caller wants back in the set.
            now_ns: arrival time on the caller's clock.
        """
        index = self._index[camera]
        track = self._tracks[index]
        if stamp_ns <= 0:
            track.reject(CameraState.BAD_STAMP, 'stamp is zero', None, now_ns)
            return self.poll(now_ns)
        if self._jumped_back(track, stamp_ns, now_ns):
            return []
        track.received(stamp_ns, now_ns)
        reference_ns = stamp_ns - track.offset_ns
        collector = self._collector_for(index, reference_ns, now_ns)
        if collector is not None:
            collector.put(index, reference_ns, SyncedItem(stamp_ns, now_ns, item))
        return self.poll(now_ns)

    def poll(self, now_ns: int) -> list[SyncedSet[T]]:
        """Returns the sets that are complete or past their deadline at `now_ns`, oldest first."""
        self._drop_runaways([c for c in self._open if self._expired(c, now_ns)], now_ns)
        ready = -1
        for position, collector in enumerate(self._open):
            if self._complete(collector) or self._expired(collector, now_ns):
                ready = position
        ready = max(ready, len(self._open) - 1 - self._config.max_open_sets)
        due, self._open = self._open[: ready + 1], self._open[ready + 1 :]
        return [self._release(c, now_ns) for c in due]

    def flush(self, now_ns: int) -> list[SyncedSet[T]]:
        """Returns everything that is still open, oldest first (end of a recording)."""
        self._drop_runaways(list(self._open), now_ns)
        due, self._open = self._open, []
        return [self._release(c, now_ns) for c in due]

    def next_deadline_ns(self) -> int | None:
        """Returns when `poll` has something to do without further images; None if never."""
        if not self._open:
            return None
        return min(c.opened_ns for c in self._open) + self._deadline_ns

    def reset(self) -> None:
        """Forgets all images and stamps (time jumped); statistics go on counting."""
        self._open.clear()
        self._released.clear()
        self._last_stamp_ns = None
        self._epoch += 1
        for track in self._tracks:
            track.restart()

    def statistics(self, now_ns: int) -> tuple[CameraStatistics, ...]:
        """Returns one snapshot of counts, rate and timing per camera, in camera order."""
        return tuple(track.snapshot(now_ns) for track in self._tracks)

    @property
    def _deadline_ns(self) -> int:
        return round(self._config.deadline_s * NS_PER_S)

    def _window_ns(self, track: CameraTrack) -> int:
        window = self._config.tolerance_s * NS_PER_S
        period = track.period_ns()
        return round(window if period is None else min(window, 0.45 * period))

    def _jumped_back(self, track: CameraTrack, stamp_ns: int, now_ns: int) -> bool:
        """Returns whether the image is refused because this camera's time jumped back.

        One camera alone has a faulty clock; when most of the live ones jump, time itself did.
        """
        previous = track.last_stamp_ns
        jump_ns = self._config.backward_jump_s * NS_PER_S
        if previous is None or previous - stamp_ns < jump_ns:
            return False
        track.jumped_back = True
        live = [t for t in self._tracks if self._expected(t) and t.last_stamp_ns is not None]
        if 2 * sum(t.jumped_back for t in live) > len(live):
            self.reset()
            return False
        detail = f'stamp jumped back by {(previous - stamp_ns) / NS_PER_S:.2f} s'
        track.reject(CameraState.BAD_STAMP, detail, stamp_ns, now_ns)
        track.last_stamp_ns = stamp_ns
        return True

    def _collector_for(self, index: int, reference_ns: int, now_ns: int) -> _Collector[T] | None:
        """Returns the collector that the image belongs to; None when it is late or a double."""
        track = self._tracks[index]
        window_ns = self._window_ns(track)
        near = [c for c in self._open if abs(c.reference_ns - reference_ns) <= window_ns]
        nearest = min(near, key=lambda c: abs(c.reference_ns - reference_ns), default=None)
        if nearest is not None and index not in nearest.items:
            return nearest
        if nearest is not None and nearest.items[index].stamp_ns == track.last_stamp_ns:
            track.reject(CameraState.BAD_STAMP, 'same stamp twice', track.last_stamp_ns, now_ns)
            return None
        if self._too_late(track, reference_ns, window_ns, now_ns):
            return None
        collector: _Collector[T] = _Collector(reference_ns, now_ns)
        self._open.append(collector)
        self._open.sort(key=lambda c: c.reference_ns)
        return collector

    def _too_late(
        self, track: CameraTrack, reference_ns: int, window_ns: int, now_ns: int
    ) -> bool:
        """Returns whether the set of this instant has gone; a near miss revives the camera."""
        if self._last_stamp_ns is None or reference_ns > self._last_stamp_ns + window_ns:
            return False
        opened = [o for r, o in self._released if abs(r - reference_ns) <= window_ns]
        if opened and now_ns - max(opened) <= self._deadline_ns:
            track.misses = 0
        behind_s = (self._last_stamp_ns - reference_ns) / NS_PER_S
        track.late(f'{max(behind_s, 0.0):.2f} s behind the newest released set')
        return True

    def _expected(self, track: CameraTrack) -> bool:
        return track.misses < self._config.max_misses

    def _complete(self, collector: _Collector[T]) -> bool:
        return all(i in collector.items for i, t in enumerate(self._tracks) if self._expected(t))

    def _expired(self, collector: _Collector[T], now_ns: int) -> bool:
        return now_ns - collector.opened_ns >= self._deadline_ns

    def _release(self, collector: _Collector[T], now_ns: int) -> SyncedSet[T]:
        for index, track in enumerate(self._tracks):
            track.misses = 0 if index in collector.items else track.misses + 1
        stamp_ns = collector.stamp_ns()
        if self._last_stamp_ns is not None:
            stamp_ns = max(stamp_ns, self._last_stamp_ns + 1)
        self._last_stamp_ns = stamp_ns
        self._released.append((collector.reference_ns, collector.opened_ns))
        items = tuple(
            self._contribution(collector, index, stamp_ns, now_ns)
            for index in range(len(self._tracks))
        )
        return SyncedSet(stamp_ns, self._epoch, items, collector.opened_ns)

    def _drop_runaways(self, candidates: list[_Collector[T]], now_ns: int) -> None:
        """Refuses sets that a camera with a wrong clock opened ahead of time.

        Cameras that sent nothing all the while count a miss: should most cameras die at once,
        the others stop being outvoted by them.
        """
        for collector in [c for c in candidates if self._runs_ahead(c)]:
            self._open.remove(collector)
            for track in self._tracks:
                track.misses += track.silent_since(collector.opened_ns)
            for index, item in collector.items.items():
                self._tracks[index].reject(
                    CameraState.BAD_STAMP,
                    'stamp ahead of all other cameras',
                    item.stamp_ns,
                    now_ns,
                )

    def _runs_ahead(self, collector: _Collector[T]) -> bool:
        """Returns whether a minority of cameras opened a set that the others have not reached.

        Releasing it would make the images of all others late: one wrong clock would blind all.
        """
        expected = [i for i, t in enumerate(self._tracks) if self._expected(t)]
        others = [i for i in expected if i not in collector.items]
        if 2 * len(collector.items) >= len(expected):
            return False
        newest = [self._tracks[i].last_reference_ns for i in others]
        behind = sum(
            n is not None and n < collector.reference_ns - self._window_ns(self._tracks[i])
            for i, n in zip(others, newest, strict=True)
        )
        return 2 * behind > len(expected)

    def _contribution(
        self, collector: _Collector[T], index: int, stamp_ns: int, now_ns: int
    ) -> SyncedItem[T] | Absence:
        track = self._tracks[index]
        item = collector.items.get(index)
        if item is None:
            return Absence(*track.absence(now_ns))
        track.used(item.stamp_ns - track.offset_ns - stamp_ns, item.arrival_ns)
        return item
